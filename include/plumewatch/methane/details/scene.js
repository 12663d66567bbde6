"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const element = (id) => document.getElementById(id);
  /* Told apart by colour-blind people too (Okabe and Ito), without grey, which is noise. */
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6a3d9a", "#7f3b08"];
  const NOISE = "#9aa3ab", ACCEPTED = "#00614a", REFUSED = "#8a3b00", CHOSEN = "#111111";
  const LEAST_SIZE = 2.5, NEAR_PX = 9, MARGIN = { left: 62, right: 12, top: 12, bottom: 30 };
  const clusterColour = (cluster) => (cluster < 0 ? NOISE : COLOURS[cluster % COLOURS.length]);

  const units = content.units, [west, south] = content.origin;
  const xs = Int32Array.from(content.points.x), ys = Int32Array.from(content.points.y);
  const scores = content.points.score, clusters = Int32Array.from(content.points.cluster);
  const candidates = content.methods.flatMap((m) => m.candidates.map((c) => ({ ...c, method: m.method })));
  const squash = Math.max(0.02, Math.cos(((south + Math.max(...span(ys)) / units / 2) * Math.PI) / 180));
  const canvas = element("scatter"), pen = canvas.getContext("2d");
  const groups = groupByColour();
  let view = null, chosen = null, width = 0, height = 0, waiting = false;

  function span(values) {
    let low = Infinity, high = -Infinity;
    for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
    return [low, high];
  }

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  /* One colour is set once for all of its points. */
  function groupByColour() {
    const found = new Map();
    clusters.forEach((cluster, i) => {
      const colour = clusterColour(cluster);
      if (!found.has(colour)) found.set(colour, []);
      found.get(colour).push(i);
    });
    return [...found].map(([colour, points]) => ({ colour, isNoise: colour === NOISE, points: Int32Array.from(points) }))
      .sort((a, b) => b.isNoise - a.isNoise);
  }

  /* --- from units to the screen and back; the view's centre is in units, its scale in pixels a unit of latitude */

  const toX = (x) => width / 2 + (x - view.x) * squash * view.scale;
  const toY = (y) => height / 2 - (y - view.y) * view.scale;
  const fromX = (px) => view.x + (px - width / 2) / (squash * view.scale);
  const fromY = (py) => view.y - (py - height / 2) / view.scale;

  function show(box, fill) {
    const [x0, x1, y0, y1] = box;
    const least = 30 * content.cell_deg * units;
    const w = Math.max((x1 - x0) * squash, least), h = Math.max(y1 - y0, least);
    view = { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: fill * Math.min((width - MARGIN.left) / w, (height - MARGIN.bottom) / h) };
    draw();
  }

  const boxOf = (rings) => {
    const even = rings.flatMap((r) => r.filter((_, i) => i % 2 === 0)), odd = rings.flatMap((r) => r.filter((_, i) => i % 2 === 1));
    return [...span(even), ...span(odd)];
  };
  function whole() {
    const boxes = [[...span(xs), ...span(ys)], ...candidates.filter((c) => c.outline.length).map((c) => boxOf(c.outline))];
    const ends = [0, 1, 2, 3].map((k) => boxes.map((box) => box[k]));
    show([Math.min(...ends[0]), Math.max(...ends[1]), Math.min(...ends[2]), Math.max(...ends[3])], 0.92);
  }

  function zoom(factor, px = width / 2, py = height / 2) {
    const x = fromX(px), y = fromY(py);
    const cell = content.cell_deg * units;
    view.scale = Math.min(60 / cell, Math.max(0.02 / cell, view.scale * factor));
    view.x = x - (px - width / 2) / (squash * view.scale);
    view.y = y + (py - height / 2) / view.scale;
    draw();
  }

  /* --- drawing, at most once a frame */

  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }

  function paint() {
    const ratio = devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    drawGrid();
    const cell = content.cell_deg * units * view.scale, size = Math.max(LEAST_SIZE, cell);
    for (const group of groups) {
      if (!element(group.isNoise ? "show-noise" : "show-clusters").checked) continue;
      pen.fillStyle = group.colour;
      for (const i of group.points) {
        const px = toX(xs[i]), py = toY(ys[i]);
        if (px > -size && px < width + size && py > -size && py < height + size) pen.fillRect(px - size / 2, py - size / 2, size, size);
      }
    }
    for (const c of candidates) {
      const isShown = element(c.is_accepted ? "show-accepted" : "show-refused").checked;
      if (isShown && c !== chosen) trace(c, c.is_accepted ? ACCEPTED : REFUSED, c.is_accepted ? 2.5 : 1.5, c.is_accepted ? [] : [5, 4]);
    }
    if (chosen) { trace(chosen, "#ffffff", 6, []); trace(chosen, CHOSEN, 3, []); cross(chosen.at); }
    drawFrame();
  }

  function trace(candidate, colour, lineWidth, dash) {
    pen.beginPath();
    for (const ring of candidate.outline) {
      for (let i = 0; i < ring.length; i += 2) pen[i ? "lineTo" : "moveTo"](toX(ring[i]), toY(ring[i + 1]));
      pen.closePath();
    }
    Object.assign(pen, { strokeStyle: colour, lineWidth, lineJoin: "round" });
    pen.setLineDash(dash);
    pen.stroke();
    pen.setLineDash([]);
  }

  function cross([x, y]) {
    const px = toX(x), py = toY(y);
    for (const [colour, lineWidth] of [["#ffffff", 5], [CHOSEN, 2]]) {
      pen.beginPath();
      pen.moveTo(px - 8, py); pen.lineTo(px + 8, py); pen.moveTo(px, py - 8); pen.lineTo(px, py + 8);
      Object.assign(pen, { strokeStyle: colour, lineWidth });
      pen.stroke();
    }
  }

  const STEPS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
  const stepOf = (range, n) => STEPS.find((s) => range / s <= n) ?? 30;
  const degrees = (value, step, letters) => {
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    return Math.abs(value).toFixed(digits) + "°" + letters[value < 0 ? 1 : 0];
  };

  function* ticks(from, to, n) {
    const step = stepOf(to - from, n);
    for (let k = Math.ceil(from / step); k * step <= to; k++) yield [k * step, step];
  }

  function drawGrid() {
    const [x0, x1] = [fromX(0), fromX(width)].map((x) => west + x / units), [y0, y1] = [fromY(height), fromY(0)].map((y) => south + y / units);
    Object.assign(pen, { strokeStyle: "#e6eaee", lineWidth: 1 });
    pen.beginPath();
    for (const [lon] of ticks(x0, x1, width / 110)) { const px = toX((lon - west) * units); pen.moveTo(px, 0); pen.lineTo(px, height); }
    for (const [lat] of ticks(y0, y1, height / 70)) { const py = toY((lat - south) * units); pen.moveTo(0, py); pen.lineTo(width, py); }
    pen.stroke();
  }

  /* Labels and scale over the points, so that they stay readable. */
  function drawFrame() {
    const [x0, x1] = [fromX(0), fromX(width)].map((x) => west + x / units), [y0, y1] = [fromY(height), fromY(0)].map((y) => south + y / units);
    Object.assign(pen, { font: "11.5px system-ui, sans-serif", textBaseline: "middle", lineWidth: 3, strokeStyle: "#ffffff", fillStyle: "#4b5b69" });
    const label = (text, px, py) => { pen.strokeText(text, px, py); pen.fillText(text, px, py); };
    pen.textAlign = "center";
    for (const [lon, step] of ticks(x0, x1, width / 110)) {
      const px = toX((lon - west) * units);
      if (px > 90 && px < width - 40) label(degrees(((lon + 540) % 360) - 180, step, "EW"), px, height - 12);
    }
    pen.textAlign = "left";
    for (const [lat, step] of ticks(y0, y1, height / 70)) {
      const py = toY((lat - south) * units);
      if (py > 14 && py < height - 60) label(degrees(lat, step, "NS"), 5, py);
    }
    const metre = (view.scale * units) / 111195, lengths = [50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
    const length = lengths.findLast((m) => m * metre <= 150) ?? 50;
    Object.assign(pen, { strokeStyle: "#1d2733", lineWidth: 3, fillStyle: "#1d2733" });
    pen.beginPath(); pen.moveTo(10, height - 34); pen.lineTo(10 + length * metre, height - 34); pen.stroke();
    Object.assign(pen, { lineWidth: 3, strokeStyle: "#ffffff" });
    label(length >= 1000 ? length / 1000 + " km" : length + " m", 10, height - 46);
  }

  /* --- what lies under the pointer */

  function nearest(px, py) {
    let best = -1, least = NEAR_PX ** 2;
    const shows = { noise: element("show-noise").checked, clusters: element("show-clusters").checked };
    for (let i = 0; i < xs.length; i++) {
      if (!(clusters[i] < 0 ? shows.noise : shows.clusters)) continue;
      const d = (toX(xs[i]) - px) ** 2 + (toY(ys[i]) - py) ** 2;
      if (d < least) { least = d; best = i; }
    }
    return best;
  }

  function tell(px, py) {
    const i = nearest(px, py), tip = element("tip");
    tip.hidden = i < 0;
    if (i < 0) return;
    const lon = ((west + xs[i] / units + 540) % 360) - 180, lat = south + ys[i] / units;
    const group = clusters[i] < 0 ? "in no cluster (noise)" : "cluster " + clusters[i];
    tip.textContent = `${group}\nscore ${(scores[i] / content.score_units).toFixed(3)}\n${degrees(lon, 0.00001, "EW")} ${degrees(lat, 0.00001, "NS")}`;
    tip.style.left = Math.min(px + 14, width - tip.offsetWidth - 4) + "px";
    tip.style.top = Math.max(4, py - tip.offsetHeight - 10) + "px";
  }

  const pointers = new Map();
  function listen() {
    const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...at(event)); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pointers.set(event.pointerId, at(event)); canvas.classList.add("moving"); });
    canvas.addEventListener("pointermove", (event) => {
      const [px, py] = at(event), before = pointers.get(event.pointerId);
      if (!before) return tell(px, py);
      if (pointers.size === 1) {
        view.x -= (px - before[0]) / (squash * view.scale);
        view.y += (py - before[1]) / view.scale;
        draw();
      } else {
        const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
        const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        zoom(far([px, py]) / Math.max(1, far(before)), ...other);
      }
      pointers.set(event.pointerId, [px, py]);
      element("tip").hidden = true;
    });
    const release = (event) => { pointers.delete(event.pointerId); canvas.classList.remove("moving"); };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => { element("tip").hidden = true; });
    canvas.addEventListener("dblclick", (event) => zoom(2, ...at(event)));
    canvas.addEventListener("keydown", (event) => {
      const step = 60 / view.scale, moves = { ArrowLeft: [-step / squash, 0], ArrowRight: [step / squash, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; draw(); event.preventDefault(); }
      if (event.key === "+" || event.key === "=") zoom(1.5);
      if (event.key === "-") zoom(1 / 1.5);
      if (event.key === "0") whole();
    });
    element("closer").addEventListener("click", () => zoom(1.6));
    element("farther").addEventListener("click", () => zoom(1 / 1.6));
    element("whole").addEventListener("click", whole);
    for (const box of document.querySelectorAll("#legend input")) box.addEventListener("change", draw);
  }

  /* --- the table and the lists */

  function choose(candidate) {
    chosen = candidate;
    for (const button of document.querySelectorAll(".candidate")) {
      const isIt = button.dataset.id === candidate.id && button.dataset.method === candidate.method;
      button.setAttribute("aria-current", String(isIt));
      if (isIt) { button.closest("details").open = true; button.scrollIntoView({ block: "nearest" }); }
    }
    if (candidate.outline.length) show(boxOf(candidate.outline), 0.45);
    else { view.x = candidate.at[0]; view.y = candidate.at[1]; draw(); }
  }

  function candidateItem(c) {
    const button = make("button", { type: "button", className: "candidate" + (c.is_accepted ? " accepted" : "") },
      make("b", { textContent: c.place }), " " + c.status, make("span", { textContent: c.facts }));
    Object.assign(button.dataset, { id: c.id, method: c.method });
    button.addEventListener("click", () => choose(c));
    const files = [["picture", c.picture], ["all details", c.details]].filter(([, href]) => href)
      .map(([text, href]) => make("a", { textContent: text, href, target: "_blank" }));
    return make("li", {}, button, files.length ? make("div", { className: "files" }, ...files) : null);
  }

  const rateCell = (m) => make("td", { className: "rate" }, m.rate || "–", m.interval ? make("small", { textContent: m.interval }) : null);

  function fill() {
    for (const m of content.methods) {
      const own = candidates.filter((c) => c.method === m.method), first = own[0];
      const head = make("th", { scope: "row", textContent: m.method }, make("small", { textContent: m.name }));
      const place = make("td");
      if (first) {
        const link = make("button", { type: "button", className: "link", textContent: first.place });
        link.addEventListener("click", () => choose(first));
        place.append(link);
      }
      const cells = m.state === "not run" ? [make("td", { colSpan: 6, textContent: "not run" })]
        : [...[m.n_candidates, m.n_accepted, m.best].map((text) => make("td", { textContent: text || "–" })), rateCell(m), make("td", { textContent: m.refused || "–" }), place];
      element("methods").append(make("tr", {}, head, ...cells));
      element("sights").append(make("li", { textContent: m.method + ": " + m.sight }));
      if (!own.length) continue;
      const list = make("ol", {}, ...own.map(candidateItem));
      if (m.more) list.append(make("li", {}, make("p", { className: "soft", textContent: m.more })));
      element("lists").append(make("details", { open: own.some((c) => c.is_accepted) }, make("summary", { textContent: m.heading }), list));
    }
    element("noise-text").textContent = content.noise_text;
    element("cluster-text").textContent = content.clusters_text;
    for (const colour of COLOURS.slice(0, Math.min(5, content.n_clusters))) {
      const square = make("i");
      square.style.background = colour;
      element("cluster-squares").append(square);
    }
  }

  function fit() {
    const before = width;
    width = canvas.clientWidth; height = canvas.clientHeight;
    canvas.width = width * (devicePixelRatio || 1); canvas.height = height * (devicePixelRatio || 1);
    if (before && view) draw(); else whole();
  }

  fill();
  listen();
  new ResizeObserver(fit).observe(canvas);
  fit();
  document.documentElement.dataset.scene = "ready";
})();
