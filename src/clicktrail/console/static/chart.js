// Draws the picture of the overview from the numbers in its data-series attribute.
(() => {
  const HOUR = 3600, DAY = 24 * HOUR, YEAR = 365 * DAY;
  const draw = () => {
    const place = document.getElementById("chart");
    if (!place || place.firstChild) return;
    const { times, lines, sent } = JSON.parse(place.dataset.series);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--axis"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const hourly = place.dataset.hourly !== "";
    const step = hourly ? HOUR : DAY;
    const long = times.length && times.at(-1) - times[0] > YEAR * .8; // then the year tells days apart
    const timeZone = place.dataset.zone;
    // Swedish writes a time as 2026-11-23 18:00.
    const clock = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: hourly ? "short" : undefined });
    const time = (_, seconds) => seconds == null ? "–" : clock.format(new Date(seconds * 1000));
    const number = (_, value) => value == null ? "–" : value.toLocaleString("en").replaceAll(",", "\u202f");
    const line = (label, name, more) => ({ label, stroke: colour(name), width: 2, value: number, points: { show: times.length < 2 }, ...more });
    const shown = {
      before: line("Before", "--axis", { dash: [5, 5], width: 1.5 }),
      human_clicks: line("People’s clicks", "--human", { fill: colour("--human") + "22" }),
      sent: line("Sent", "--sent", { width: 0, fill: colour("--sent") + "aa", paths: uPlot.paths.bars({ size: [.6, 24] }), points: { show: false } }),
    };
    // What is not over yet is hatched: its numbers still grow.
    const hatch = (chart) => {
      if (!place.dataset.unfinished) return;
      const { ctx, bbox } = chart;
      const right = bbox.left + bbox.width;
      const left = chart.valToPos(times.at(-1) - step / 2, "x", true);
      const gap = 8 * devicePixelRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, bbox.top, right - left, bbox.height);
      ctx.clip();
      ctx.beginPath();
      for (let x = left - bbox.height; x < right; x += gap) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.strokeStyle = colour("--axis");
      ctx.globalAlpha = .35;
      ctx.lineWidth = devicePixelRatio;
      ctx.stroke();
      ctx.restore();
    };
    const options = (height, names, labels) => ({
      width: place.clientWidth, height, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timeZone),
      scales: {
        x: { range: () => [times[0] - step / 2, times.at(-1) + step / 2] }, // bars are whole
        y: { range: (_, low, high) => [0, Math.max(high * 1.1, 5)] },
      },
      axes: [
        {
          ...axis, show: labels, space: hourly || long ? 90 : 70,
          incrs: (hourly ? [1, 2, 3, 6, 12, 24, 48, 96] : [1, 2, 3, 5, 7, 10, 14, 30, 60, 90, 180, 365, 730, 1460]).map((count) => count * step),
          values: (_, all) => all.map((one) => time(null, one).slice(long ? 0 : 5)),
        },
        { ...axis, size: 60, splits: height < 100 ? (chart) => [0, chart.series[1].max || 1] : undefined, values: (_, all) => all.map((one) => Number.isInteger(one) ? number(null, one) : "") },
      ],
      series: [{ label: hourly ? "Hour" : "Day", value: time }, ...names.map((name) => shown[name])],
      padding: [null, hourly || long ? 44 : 22, null, null], // the last label is whole
      cursor: { drag: { x: false, y: false }, sync: { key: "overview" } },
      hooks: { draw: [hatch] },
    });
    const charts = [new uPlot(options(220, ["before", "human_clicks"], true), [times, lines.before, lines.human_clicks], place)];
    if (sent.length) charts.push(new uPlot(options(80, ["sent"], false), [times, sent], place));
    new ResizeObserver(() => {
      for (const chart of charts)
        if (place.clientWidth && place.clientWidth !== chart.width) chart.setSize({ width: place.clientWidth, height: chart.height });
    }).observe(place);
  };
  draw();
  document.addEventListener("shown", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
})();
