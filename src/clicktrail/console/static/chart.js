// Draws the picture of the overview from the numbers in its data-series attribute.
(() => {
  const draw = () => {
    const place = document.getElementById("chart");
    if (!place || place.firstChild) return;
    const data = JSON.parse(place.dataset.series);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--axis"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const hourly = place.dataset.hourly !== "";
    const time = (_, seconds) => seconds == null ? "–" : new Date(seconds * 1000).toISOString().slice(0, hourly ? 16 : 10).replace("T", " ");
    const number = (_, value) => value == null ? "–" : value.toLocaleString("en").replaceAll(",", "\u202f");
    const line = (label, name, fill) => ({
      label, stroke: colour(name), width: 2, value: number, points: { show: data[0].length < 2 },
      fill: fill ? colour(name) + "22" : undefined,
    });
    const options = {
      width: place.clientWidth, height: 260, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 5)] } },
      axes: [{ ...axis, space: hourly ? 90 : 70, values: (_, all) => all.map((one) => time(null, one).slice(5)) }, { ...axis, size: 60, values: (_, all) => all.map((one) => Number.isInteger(one) ? number(null, one) : "") }],
      series: [{ label: hourly ? "Hour" : "Day", value: time }, line("Sent", "--sent"), line("Clicks", "--clicks", true), line("Human clicks", "--human")],
      cursor: { drag: { x: false, y: false } },
    };
    const chart = new uPlot(options, data, place);
    new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== chart.width) chart.setSize({ width: place.clientWidth, height: options.height });
    }).observe(place);
  };
  draw();
  document.addEventListener("shown", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
})();
