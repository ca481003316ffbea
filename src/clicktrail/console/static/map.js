// Puts numbered pins on the links of the click map, and says which links cannot have one, and why.
// The frame runs no script of its own: it is of our origin so that its links can be measured here.
(() => {
  const frame = document.querySelector("iframe.map");
  const undrawn = document.getElementById("undrawn");
  if (!frame) return;
  const MOST = 500;
  const STEP = 6;
  const links = [...document.querySelectorAll("#map tr[data-place]")].map((row) => ({
    place: Number(row.dataset.place),
    clicks: Number(row.dataset.clicks),
    colour: row.dataset.colour,
  }));

  const measured = (element) =>
    [element, ...element.querySelectorAll("*")]
      .filter((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      .flatMap((each) => [...each.getClientRects()])
      .find((rect) => rect.width > 1 && rect.height > 1);

  const begin = (doc) => {
    doc.getElementById("clicktrail-pins")?.remove();
    const host = doc.createElement("div");
    host.id = "clicktrail-pins";
    host.style.cssText =
      "all:initial!important;position:absolute!important;left:0!important;top:0!important;" +
      "width:0!important;height:0!important;z-index:2147483647!important";
    doc.documentElement.append(host);
    return host;
  };
  // No pin covers another, and none is cut: places are tried around the link's corner.
  const free = (wanted, size, taken, within) => {
    for (let ring = 0; ring < 200; ring++) {
      for (const [dx, dy] of ring ? [[1, 0], [0, 1], [-1, 0], [1, 1], [-1, 1], [0, -1], [1, -1], [-1, -1]] : [[0, 0]]) {
        const x = Math.max(0, Math.min(wanted.x + dx * ring * STEP, within.width - size.width));
        const y = Math.max(0, Math.min(wanted.y + dy * ring * STEP, within.height - size.height));
        const is = (each) => x < each.x + each.width && each.x < x + size.width
          && y < each.y + each.height && each.y < y + size.height;
        if (!taken.some(is)) return { x, y, ...size };
      }
    }
    return null;
  };
  const comments = (doc) => {
    const found = new Set();
    const walk = doc.createTreeWalker(doc, NodeFilter.SHOW_COMMENT);
    while (walk.nextNode()) {
      for (const match of walk.currentNode.data.matchAll(/#clicktrail-(\d+)/g)) found.add(Number(match[1]));
    }
    return found;
  };

  const draw = () => {
    const doc = frame.contentDocument;
    if (!doc?.documentElement) return;
    doc.getElementById("clicktrail-pins")?.remove();
    const within = { width: doc.documentElement.scrollWidth, height: doc.documentElement.scrollHeight };
    const host = begin(doc);
    const origin = host.getBoundingClientRect();
    const root = host.attachShadow({ mode: "open" });
    const commented = comments(doc);
    const taken = [];
    const missing = new Map();
    const most = [...links].sort((one, other) => other.clicks - one.clicks).slice(0, MOST);
    for (const link of most.sort((one, other) => one.place - other.place)) {
      const elements = [...doc.querySelectorAll(`[href="#clicktrail-${link.place}"]`)];
      const drawable = elements.filter((each) => each.localName !== "area");
      const rect = drawable.map(measured).find((each) => each && each.right > 0 && each.bottom + doc.defaultView.scrollY > 0);
      const spot = rect && pin(root, link, rect, origin, taken, within);
      if (spot) taken.push(spot);
      else {
        const why = rect ? "no room" : drawable.length ? "hidden" : elements.length ? "image map"
          : commented.has(link.place) ? "for Outlook alone" : "not in the HTML";
        missing.set(why, [...(missing.get(why) ?? []), link]);
      }
    }
    const all = [...missing.values()].flat();
    const clicks = all.reduce((sum, link) => sum + link.clicks, 0);
    undrawn.hidden = !all.length;
    undrawn.textContent = `Not on the map: ${all.length} link${all.length === 1 ? "" : "s"} with `
      + `${clicks} click${clicks === 1 ? "" : "s"}: `
      + [...missing].map(([why, some]) => `${why} ×${some.length}`).join(", ") + ".";
  };
  const pin = (root, link, rect, origin, taken, within) => {
    const made = document.createElement("span");
    made.className = "pin";
    made.textContent = String(link.place + 1);
    made.title = `${link.clicks} click${link.clicks === 1 ? "" : "s"}`;
    made.style.cssText =
      "position:absolute;box-sizing:border-box;padding:0 5px;border-radius:8px;min-width:16px;text-align:center;"
      + `font:600 11px/16px system-ui,sans-serif;color:#fff;background:${link.colour};white-space:nowrap`;
    root.append(made);
    const size = { width: Math.ceil(made.offsetWidth), height: Math.ceil(made.offsetHeight) };
    const wanted = { x: rect.left - origin.left - size.width / 2, y: rect.top - origin.top - size.height / 2 };
    const spot = free(wanted, size, taken, within);
    if (!spot) made.remove();
    else {
      made.style.left = `${spot.x}px`;
      made.style.top = `${spot.y}px`;
    }
    return spot;
  };
  frame.addEventListener("load", draw);
  new ResizeObserver(draw).observe(frame);
  if (frame.contentDocument?.readyState === "complete") draw();
})();
