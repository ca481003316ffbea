// Puts clicks on top of the table as they come, and changes those that are judged anew.
(() => {
  const status = document.getElementById("connection");
  const last = document.getElementById("last");
  const pause = document.getElementById("pause");
  let rows, after, source, lastAt, ahead;
  let later = 0;
  // Ids of clicks are in the order of their times: a row is put where it belongs.
  const put = (html) => {
    const holder = document.createElement("tbody");
    holder.innerHTML = html; // the server has escaped every text in the row
    const row = holder.rows[0];
    const old = document.getElementById(row.id);
    if (old) old.replaceWith(row);
    else rows.insertBefore(row, [...rows.rows].find((each) => each.id < row.id) ?? null);
    document.getElementById("nothing").hidden = true;
    while (rows.rows.length > Number(rows.dataset.most)) rows.lastElementChild.remove();
    lastAt = Math.max(lastAt, Number(row.dataset.at));
  };
  const ago = (seconds) =>
    seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
    : seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
  const tell = () => {
    const seconds = Math.max(0, Math.floor((Date.now() - ahead - lastAt) / 1000));
    last.textContent = lastAt ? `; last click counted ${ago(seconds)} ago` : "";
  };
  const connect = () => {
    source = new EventSource("/live/events?after=" + encodeURIComponent(after) + "&" + rows.dataset.query);
    source.onopen = () => { status.textContent = "Connected: clicks appear as they come"; };
    source.onerror = () => {
      status.textContent = "Not connected; trying again";
      // After an answer other than 200 the browser does not try by itself (HTML § 9.2.3).
      if (source.readyState === EventSource.CLOSED) later = setTimeout(connect, 60000);
    };
    source.onmessage = (event) => {
      after = event.lastEventId;
      put(event.data);
      tell();
    };
    source.addEventListener("judged", (event) => put(event.data));
    source.addEventListener("gone", (event) => document.getElementById("click-" + event.data)?.remove());
  };
  const stop = () => {
    clearTimeout(later);
    source?.close();
  };
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  const begin = () => {
    stop();
    rows = document.getElementById("clicks");
    after = rows.dataset.after;
    lastAt = Number(rows.dataset.last);
    ahead = Date.now() - Number(rows.dataset.now); // of the service's clock
    tell();
    if (!paused()) connect();
  };
  begin();
  setInterval(tell, 1000);
  document.addEventListener("shown", begin);
  pause.addEventListener("click", () => {
    const pausing = !paused();
    pause.setAttribute("aria-pressed", String(pausing));
    pause.textContent = pausing ? "Go on" : "Pause";
    stop();
    if (pausing) status.textContent = "Paused: nothing moves until you go on";
    else connect();
  });
  addEventListener("pagehide", stop);
})();
