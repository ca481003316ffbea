// Puts clicks on top of the table as they come.
(() => {
  const rows = document.getElementById("clicks");
  const status = document.getElementById("connection");
  const source = new EventSource("/live/events?after=" + encodeURIComponent(rows.dataset.after));
  source.onopen = () => { status.textContent = "Connected: clicks appear as they come"; };
  source.onerror = () => { status.textContent = "Not connected; trying again"; };
  source.onmessage = (event) => {
    // The server has escaped every text in the row.
    rows.insertAdjacentHTML("afterbegin", event.data);
    document.getElementById("nothing").hidden = true;
    while (rows.rows.length > Number(rows.dataset.most)) rows.lastElementChild.remove();
  };
  addEventListener("pagehide", () => source.close());
})();
