// Puts clicks on top of the table as they come.
(() => {
  const status = document.getElementById("connection");
  const pause = document.getElementById("pause");
  let rows, after, source;
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
  const stop = () => {
    clearTimeout(later);
    source?.close();
  };
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  const begin = () => {
    stop();
    rows = document.getElementById("clicks");
    after = rows.dataset.after;
    if (!paused()) connect();
  };
  begin();
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
