// Puts clicks on top of the table as they come.
(() => {
  const rows = document.getElementById("clicks");
  const status = document.getElementById("connection");
  const pause = document.getElementById("pause");
  let after = rows.dataset.after;
  let source = null;
  const connect = () => {
    source = new EventSource("/live/events?after=" + encodeURIComponent(after) + "&" + rows.dataset.query);
    source.onopen = () => { status.textContent = "Connected: clicks appear as they come"; };
    source.onerror = () => { status.textContent = "Not connected; trying again"; };
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
    const pausing = source.readyState !== EventSource.CLOSED;
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
