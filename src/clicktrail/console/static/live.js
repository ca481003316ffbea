// Puts clicks on top of the table as they come.
(() => {
  const rows = document.getElementById("clicks");
  const status = document.getElementById("connection");
  const pause = document.getElementById("pause");
  let after = rows.dataset.after;
  let source = null;
  let later = 0;
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
      // The server has escaped every text in the row.
      rows.insertAdjacentHTML("afterbegin", event.data);
      document.getElementById("nothing").hidden = true;
      while (rows.rows.length > Number(rows.dataset.most)) rows.lastElementChild.remove();
    };
  };
  connect();
  pause.addEventListener("click", () => {
    const pausing = pause.getAttribute("aria-pressed") !== "true";
    clearTimeout(later);
    pause.setAttribute("aria-pressed", String(pausing));
    pause.textContent = pausing ? "Go on" : "Pause";
    if (pausing) {
      source.close();
      status.textContent = "Paused: nothing moves until you go on";
    } else {
      connect();
    }
  });
  addEventListener("pagehide", () => source.close());
})();
