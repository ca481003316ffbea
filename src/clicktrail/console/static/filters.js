// Shows what is filtered as soon as it is chosen: what depends on the filters is loaded anew, the
// form stays as it is, and so does the focus. Without scripts, its button does the same.
(() => {
  const form = document.querySelector("form.filters");
  if (!form) return;
  const busy = document.getElementById("busy");
  const trouble = document.getElementById("trouble");
  const parts = (page) => [...page.querySelectorAll("[data-shown]")];
  const here = () => location.pathname + location.search;

  const wanted = () => {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(fields).toString();
    return form.getAttribute("action") + (query ? "?" + query : "");
  };
  let asked = wanted(); // what is shown, or on its way
  let current = here();
  let request = null;
  let typing = null; // a date is whole only when its field is left: each digit is a change

  const wait = (waiting) => {
    busy.textContent = waiting ? "Loading…" : "";
    for (const part of parts(document)) part.setAttribute("aria-busy", String(waiting));
  };
  const fail = (why) => {
    asked = null;
    wait(false);
    for (const part of parts(document)) part.hidden = true; // it is of other filters
    trouble.hidden = false;
    trouble.querySelector("span").textContent = why;
  };
  // What the service has made of the filters: a day that cannot be is another day.
  const agree = (page) => {
    for (const field of page.querySelector("form.filters").elements) {
      const ours = form.elements.namedItem(field.name);
      if (!field.name || !ours || ours === document.activeElement) continue;
      if (ours.options) ours.replaceChildren(...field.cloneNode(true).options);
      ours.value = field.value;
    }
  };
  const show = (page, address) => {
    const fresh = new Map(parts(page).map((part) => [part.id, part]));
    for (const part of parts(document)) part.replaceWith(fresh.get(part.id));
    if (wanted() === address) { // nobody has typed on meanwhile
      agree(page);
      asked = wanted();
    }
    trouble.hidden = true;
    wait(false);
    document.title = page.title;
    history.pushState(null, "", address);
    current = here();
    form.dispatchEvent(new CustomEvent("shown", { bubbles: true }));
  };
  const apply = async () => {
    const address = wanted();
    if (address === asked || [...form.elements].some((field) => field.validity.badInput)) return;
    asked = address;
    request?.abort();
    const mine = (request = new AbortController());
    wait(true);
    try {
      const answer = await fetch(address, { signal: mine.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine.signal.aborted) return;
      if (!answer.ok) fail(`The service answered ${answer.status}.`);
      else if (!page.querySelector("form.filters")) location.assign(address); // signed out
      else show(page, address);
    } catch {
      if (!mine.signal.aborted) fail("The service does not answer.");
    }
  };

  form.addEventListener("keydown", (event) => {
    typing = event.target.type === "date" ? event.target : null;
  });
  form.addEventListener("pointerdown", () => { typing = null; });
  form.addEventListener("change", (event) => { if (event.target !== typing) apply(); });
  form.addEventListener("focusout", () => { typing = null; apply(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  trouble.querySelector("button").addEventListener("click", apply);
  addEventListener("popstate", () => { if (here() !== current) location.reload(); });
})();
