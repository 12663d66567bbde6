"use strict";
/* Shows what #content holds. Names come from files of strangers: they enter the page as text nodes only. */
(async () => {
  const element = (id) => document.getElementById(id);
  const content = JSON.parse(element("content").textContent);
  const css = getComputedStyle(document.documentElement);
  const colour = (state) => css.getPropertyValue("--" + state).trim();
  const byId = new Map(content.detections.map((d) => [d.id, d]));
  let map = null, popup = null, showsRefused = false, showsLessProbable = false;
  const isShown = (d) => (d.state === "refused" ? showsRefused : showsLessProbable || !d.is_less_probable);

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  /* --- what is known of a detection or a source */

  function detectionInfo(d) {
    const badge = make("span", { className: "badge", textContent: d.state_text });
    badge.style.background = colour(d.state) + "33";
    const facts = make("dl");
    for (const [name, value] of d.facts) facts.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
    const picture = content.pictures[d.id];
    return make("div", { className: "info" },
      make("h3", { textContent: d.title }),
      make("p", { textContent: d.time + ", " + d.seen_in }),
      make("p", { className: "big" }, d.rate_text, d.interval_text ? make("small", { textContent: " " + d.interval_text }) : null),
      make("p", {}, badge),
      d.matches.length ? matchTable(d.matches) : null,
      ...content.sources.filter((s) => d.first_sources.includes(s.id)).map(sourcePage),
      facts,
      content.scene_pages[d.id] ? make("p", {}, make("a", { href: content.scene_pages[d.id], target: "_blank", textContent: "What each method says of this scene" })) : null,
      picture ? pictureButton("data:image/png;base64," + picture) : null);
  }

  function pictureButton(src) {
    const image = () => make("img", { src, alt: "What this detection was made from" });
    const button = make("button", { type: "button", className: "picture", title: "Show in full size" }, image());
    button.addEventListener("click", () => { element("large-picture").replaceChildren(image()); element("picture").showModal(); });
    return button;
  }

  function matchTable(matches) {
    const table = make("table", {}, make("caption", { textContent: "Sources that may be behind it" }));
    const head = ["source", "probability", "distance", "expected"].map((t) => make("th", { scope: "col", textContent: t }));
    table.append(make("thead", {}, make("tr", {}, ...head)));
    const rows = matches.map((m) => make("tr", {}, ...[m.name, m.probability, m.distance, m.expected].map((t) => make("td", { textContent: t }))));
    table.append(make("tbody", {}, ...rows));
    return table;
  }

  function sourceInfo(s) {
    const facts = make("dl");
    for (const [name, value] of s.facts) facts.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
    return make("div", { className: "info" }, make("h3", { textContent: s.name }), make("p", { className: "big", textContent: s.rate_text }), sourcePage(s), facts);
  }

  function sourcePage({ id, name }) {
    const href = content.source_pages[id];
    return href ? make("p", {}, make("a", { href, target: "_blank", textContent: "All passes over " + name })) : null;
  }

  /* What others saw is told as such, and apart from what was found here. */
  function reportInfo(r) {
    const facts = make("dl");
    for (const [name, value] of r.facts) facts.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
    return make("div", { className: "info" }, make("h3", { textContent: "Reported by others" }), make("p", { textContent: r.time }),
      make("p", { className: "big", textContent: r.rate_text }), facts);
  }

  /* --- the list */

  const ORDERS = {
    rate: (a, b) => (b.rate ?? -1) - (a.rate ?? -1),
    probability: (a, b) => (b.probability ?? -1) - (a.probability ?? -1) || (b.rarity ?? -1) - (a.rarity ?? -1),
    time: (a, b) => a.time.localeCompare(b.time),
    source: (a, b) => a.source_text.localeCompare(b.source_text),
  };

  function fillList() {
    const shown = content.detections.filter(isShown), shownText = content.shown_texts[Number(showsLessProbable)];
    element("shown-text").textContent = shownText;
    element("shown-text").hidden = !shownText;
    shown.sort((a, b) => (a.state === "refused") - (b.state === "refused") || ORDERS[element("sort").value](a, b) || a.id.localeCompare(b.id));
    const items = shown.map((d) => {
      const dot = make("span", { className: "dot" });
      dot.style.background = colour(d.state);
      const button = make("button", { type: "button", className: "detection" }, dot,
        make("span", { className: "where", textContent: d.title }),
        make("span", { className: "rate", textContent: d.rate_text }),
        make("span", { className: "more", textContent: [d.time, d.seen_in, d.source_text, d.certainty_text].filter(Boolean).join(" · ") }));
      button.dataset.id = d.id;
      button.addEventListener("click", () => choose(d, button));
      return make("li", {}, button);
    });
    if (!items.length) items.push(make("li", { className: "nothing", textContent: content.summary }));
    element("list").replaceChildren(...items);
  }

  function choose(d, button) {
    for (const other of document.querySelectorAll(".detection")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    if (map) {
      if (matchMedia("(max-width: 760px)").matches) element("map-side").scrollIntoView({ block: "start" });
      map.flyTo({ center: [d.lon, d.lat], zoom: Math.max(map.getZoom(), content.near_zoom), offset: besidePopup(), speed: 2.5, maxDuration: 3000 });
      openPopup([d.lon, d.lat], detectionInfo(d));
      return;
    }
    const open = button.nextElementSibling;
    for (const info of document.querySelectorAll("li > .info")) info.remove();
    if (!open) button.after(detectionInfo(d));
  }

  /* Each area or group of orbits, and what came of looking at it; an area that is on the map is gone to. */
  function fillLookedAt() {
    const items = content.looked_at.map((one) => {
      const box = map && content.area_boxes.find(({ name }) => name === one.name);
      const text = (className, textContent) => make("span", { className, textContent });
      const entry = make(box ? "button" : "div", { className: "entry" }, text("area", one.name),
        text("outcome" + (one.is_searched ? "" : " not-searched"), one.outcome), ...one.lines.map((line) => text("said", line)));
      if (box) { entry.type = "button"; entry.addEventListener("click", () => goTo(box)); }
      return make("li", {}, entry);
    });
    element("looked-at").replaceChildren(...items);
  }

  function goTo({ bounds }) {
    if (matchMedia("(max-width: 760px)").matches) element("map-side").scrollIntoView({ block: "start" });
    map.fitBounds(bounds, { padding: 60 });
  }

  /* What is looked at goes to the upper part of the map, so that its popup has room below. */
  const besidePopup = () => [0, -0.3 * map.getContainer().clientHeight];

  function openPopup(at, info) {
    if (popup) popup.remove();
    popup = new maplibregl.Popup({ anchor: "top", maxWidth: "min(350px, 88vw)", focusAfterOpen: false }).setLngLat(at).setDOMContent(info).addTo(map);
  }

  /* --- the map */

  async function unpack(id) {
    const bytes = Uint8Array.from(atob(element(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  }

  async function runScript(id) {
    const url = URL.createObjectURL(new Blob([await unpack(id)], { type: "text/javascript" }));
    await new Promise((resolve, reject) => {
      document.head.append(make("script", { src: url, onload: resolve, onerror: () => reject(new Error(id + " did not load")) }));
    });
    URL.revokeObjectURL(url);
  }

  const feature = (geometry, properties) => ({ type: "Feature", geometry, properties });
  const point = (thing, properties) => feature({ type: "Point", coordinates: [thing.lon, thing.lat] }, properties);
  const collection = (features) => ({ type: "FeatureCollection", features });
  const empty = collection([]);

  /* Lines that step over the antimeridian go on beyond 180 degrees instead of running back across the whole map. */
  function unwrap(line) {
    let shift = 0;
    return line.map(([lon, lat], n) => {
      const step = n ? lon - line[n - 1][0] : 0;
      shift -= Math.abs(step) > 180 ? 360 * Math.sign(step) : 0;
      return [lon + shift, lat];
    });
  }

  async function backdrop() {
    const atlas = JSON.parse(await unpack("packed-countries"));
    const land = topojson.feature(atlas, atlas.objects.countries);
    for (const { geometry } of land.features) {
      const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
      Object.assign(geometry, { type: "MultiPolygon", coordinates: polygons.map((rings) => rings.map(unwrap)) });
    }
    const mesh = (keep) => {
      const lines = topojson.mesh(atlas, atlas.objects.countries, keep);
      return { ...lines, coordinates: lines.coordinates.map(unwrap) };
    };
    return { land, borders: mesh((a, b) => a !== b), coast: mesh((a, b) => a === b) };
  }

  /* What the map shows of detections; refused ones are a layer of their own that is switched. */
  function ofShown() {
    const seen = content.detections.filter((d) => d.state === "refused" || isShown(d)), ids = new Set(seen.map((d) => d.id));
    const winds = seen.filter((d) => d.wind_to !== null && d.state !== "refused");
    return {
      detections: collection(seen.map((d) => point(d, { id: d.id, state: d.state, radius: d.radius }))),
      lines: collection(content.lines.features.filter((line) => ids.has(line.properties.id))),
      wind: collection(winds.map((d) => point(d, { to: d.wind_to, size: d.wind_size }))),
    };
  }

  function mapStyle({ land, borders, coast }) {
    const geojson = (data) => ({ type: "geojson", data });
    const stateColour = ["match", ["get", "state"], ...[...content.states.map(([s]) => s), "refused"].flatMap((s) => [s, colour(s)]), "#000"];
    const isRefused = ["==", ["get", "state"], "refused"];
    const circle = { "circle-radius": ["get", "radius"], "circle-color": stateColour, "circle-stroke-color": "#14212c" };
    return {
      version: 8,
      sources: {
        land: geojson(land), borders: geojson(borders), coast: geojson(coast), graticule: geojson(empty), areas: geojson(content.areas),
        plumes: geojson(content.plumes),
        ...Object.fromEntries(Object.entries(ofShown()).map(([id, data]) => [id, geojson(data)])),
        reports: geojson(collection(content.reports.map((r) => point(r, { id: r.id })))),
        sources: geojson(collection(content.sources.map((s, n) => point(s, { n, kind: s.kind, size: s.size, rank: s.is_first ? 1 : 0 })))),
      },
      layers: [
        { id: "water", type: "background", paint: { "background-color": "#dbe8f0" } },
        { id: "land", type: "fill", source: "land", paint: { "fill-color": "#f7f5ef", "fill-antialias": false } },
        { id: "graticule", type: "line", source: "graticule", paint: { "line-color": "#8fa1b0", "line-opacity": 0.35, "line-width": 0.7 } },
        { id: "coast", type: "line", source: "coast", paint: { "line-color": "#8fa6b5", "line-width": 0.9 } },
        { id: "borders", type: "line", source: "borders", paint: { "line-color": "#a9a294", "line-width": 0.9, "line-dasharray": [3, 2] } },
        { id: "areas", type: "line", source: "areas", filter: ["get", "is_searched"], paint: { "line-color": "#14324a", "line-width": 1.6 } },
        { id: "areas-not-searched", type: "line", source: "areas", filter: ["!", ["get", "is_searched"]], paint: { "line-color": "#8a3b00", "line-width": 1.8, "line-dasharray": [3, 3] } },
        { id: "plumes", type: "fill", source: "plumes", paint: { "fill-color": stateColour, "fill-opacity": 0.35 } },
        { id: "plume-edges", type: "line", source: "plumes", paint: { "line-color": stateColour, "line-width": 1.6 } },
        { id: "refused", type: "circle", source: "detections", filter: isRefused, layout: { visibility: "none" }, paint: { ...circle, "circle-opacity": 0.35, "circle-stroke-width": 0.8 } },
        { id: "lines", type: "line", source: "lines", layout: { "line-cap": "round" }, paint: { "line-color": "#14212c", "line-width": 1.8, "line-dasharray": [0.5, 2] } },
        { id: "detections", type: "circle", source: "detections", filter: ["!", isRefused], paint: { ...circle, "circle-opacity": 0.85, "circle-stroke-width": 1.2 } },
        { id: "reports", type: "circle", source: "reports", paint: { "circle-radius": 7, "circle-opacity": 0, "circle-stroke-color": "#0969da", "circle-stroke-width": 2.4 } },
        { id: "wind", type: "symbol", source: "wind", layout: { "icon-image": "wind", "icon-rotate": ["get", "to"], "icon-anchor": "bottom", "icon-size": ["get", "size"], "icon-allow-overlap": true, "icon-ignore-placement": true } },
        { id: "sources", type: "symbol", source: "sources", layout: { "icon-image": ["concat", "source-", ["get", "kind"]], "icon-size": ["get", "size"], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "rank"] } },
      ],
    };
  }

  /* Icons are drawn here: one shape a kind of source, so that colour isn't all that tells them apart. */
  const SHAPES = {
    power_plant: [[-7, -7], [7, -7], [7, 7], [-7, 7]],
    industry: [[-4, -8], [4, -8], [8, 0], [4, 8], [-4, 8], [-8, 0]],
    oil_and_gas: [[0, -9], [8.5, 7], [-8.5, 7]],
    coal_mine: [[0, -9], [9, 0], [0, 9], [-9, 0]],
    landfill: [[-8.5, -7], [8.5, -7], [0, 9]],
    city: [[-3, -8], [3, -8], [3, -3], [8, -3], [8, 3], [3, 3], [3, 8], [-3, 8], [-3, 3], [-8, 3], [-8, -3], [-3, -3]],
    grid_cell: [[-9, -9], [9, -9], [9, 9], [-9, 9], [-9, -9], [-6, -6], [-6, 6], [6, 6], [6, -6], [-6, -6]],
    wind: [[-2, 0], [-2, -38], [-9, -38], [0, -56], [9, -38], [2, -38], [2, 0]],
  };

  function draw(name, width, height, originX, originY, fill, scale = 2) {
    const canvas = make("canvas", { width: width * scale, height: height * scale });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.translate(originX, originY);
    pen.beginPath();
    SHAPES[name].forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    Object.assign(pen, { fillStyle: fill, strokeStyle: "#fff", lineWidth: 1.6, lineJoin: "round" });
    pen.stroke();
    pen.fill("evenodd");
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    return canvas;
  }

  const sourceIcon = (kind) => draw(kind, 22, 22, 11, 11, "#2f4150");
  const windIcon = () => draw("wind", 22, 58, 11, 57, "#146c54");

  function addIcon({ id }) {
    const canvas = id === "wind" ? windIcon() : sourceIcon(id.replace("source-", ""));
    map.addImage(id, canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), { pixelRatio: 2 });
  }

  /* Lines of longitude and latitude with their degrees at the edges: near the ground there is nothing else to hold on to. */
  function drawGraticule() {
    const bounds = map.getBounds(), west = bounds.getWest(), east = bounds.getEast(), south = bounds.getSouth(), north = bounds.getNorth();
    const wanted = (east - west) / 6;
    const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30].find((s) => s >= wanted) ?? 45;
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    const text = (value, letters) => Math.abs(value).toFixed(digits) + "°" + (Number(value.toFixed(digits)) === 0 ? "" : letters[value < 0 ? 1 : 0]);
    const lines = [], labels = [];
    const label = (content, x, y) => {
      const span = make("span", { textContent: content });
      Object.assign(span.style, { left: x + "px", top: y + "px" });
      labels.push(span);
    };
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      lines.push([[lon, Math.max(-85, south - step)], [lon, Math.min(85, north + step)]]);
      label(text(((lon + 540) % 360) - 180, "EW"), map.project([lon, south]).x + 3, 4);
    }
    for (let lat = Math.ceil(Math.max(-85, south) / step) * step; lat <= Math.min(85, north); lat += step) {
      lines.push([[west - step, lat], [east + step, lat]]);
      label(text(lat, "NS"), 4, map.project([west, lat]).y + 3);
    }
    map.getSource("graticule").setData(feature({ type: "MultiLineString", coordinates: lines }, {}));
    element("edge-labels").replaceChildren(...labels);
  }

  /* Icons at one place hide each other: what is told of one is told of all. */
  const isAt = (one, other) => one.lon === other.lon && one.lat === other.lat;

  function nameSources() {
    const tagged = content.sources.filter((s) => s.is_first);
    const firstHere = tagged.filter((s) => tagged.find((other) => isAt(other, s)) === s);
    const markers = firstHere.slice(0, content.max_names).map((s) => {
      const textContent = tagged.filter((other) => isAt(other, s)).map(({ name }) => name).join(" · ");
      const marker = new maplibregl.Marker({ element: make("div", { className: "place-name", textContent }), anchor: "left", offset: [13, 0] });
      return marker.setLngLat([s.lon, s.lat]).addTo(map).getElement();
    });
    const show = () => markers.forEach((node) => { node.style.display = map.getZoom() >= content.name_zoom ? "" : "none"; });
    map.on("zoom", show);
    show();
    return markers;
  }

  /* Country names where there is room for them, at the middle of the widest part. */
  function nameCountries(land) {
    const labels = land.features.map((country) => {
      const boxes = country.geometry.coordinates.map(([ring]) => {
        const x = ring.map((c) => c[0]), y = ring.map((c) => c[1]);
        return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
      });
      const [west, south, east, north] = boxes.reduce((a, b) => ((b[2] - b[0]) * (b[3] - b[1]) > (a[2] - a[0]) * (a[3] - a[1]) ? b : a));
      const node = make("div", { className: "country-name", textContent: country.properties.name });
      new maplibregl.Marker({ element: node }).setLngLat([(west + east) / 2, (south + north) / 2]).addTo(map);
      return { node, width: east - west, letters: country.properties.name.length };
    });
    const show = () => {
      const pixels = (512 * 2 ** map.getZoom()) / 360;
      for (const { node, width, letters } of labels) node.style.display = width * pixels > letters * 9 ? "" : "none";
    };
    map.on("zoom", show);
    show();
  }

  function nameAreas() {
    return content.area_boxes.map((box) => {
      const { bounds, label, is_searched } = box;
      const button = make("button", { type: "button", className: "place-name area-name" + (is_searched ? "" : " not-searched"), textContent: label });
      button.addEventListener("click", () => goTo(box));
      return new maplibregl.Marker({ element: button, anchor: "bottom" }).setLngLat([(bounds[0][0] + bounds[1][0]) / 2, bounds[1][1]]).addTo(map).getElement();
    });
  }

  function listen() {
    const open = (layer, show) => {
      map.on("click", layer, (event) => { event.preventDefault(); show(event); });
      map.on("mouseenter", layer, () => { map.getCanvas().style.cursor = "pointer"; });
      map.on("mouseleave", layer, () => { map.getCanvas().style.cursor = ""; });
    };
    const showDetection = (event) => {
      const d = byId.get(event.features[0].properties.id);
      map.easeTo({ center: [d.lon, d.lat], offset: besidePopup() });
      openPopup([d.lon, d.lat], detectionInfo(d));
      const button = [...document.querySelectorAll(".detection")].find((b) => b.dataset.id === d.id);
      for (const other of document.querySelectorAll(".detection")) other.removeAttribute("aria-current");
      if (button) { button.setAttribute("aria-current", "true"); if (!matchMedia("(max-width: 760px)").matches) button.scrollIntoView({ block: "nearest" }); }
    };
    open("sources", (event) => {
      const s = content.sources[event.features[0].properties.n];
      map.easeTo({ center: [s.lon, s.lat], offset: besidePopup() });
      openPopup([s.lon, s.lat], make("div", {}, ...content.sources.filter((other) => isAt(other, s)).map(sourceInfo)));
    });
    open("reports", (event) => {
      const { id } = event.features[0].properties, r = content.reports.find((one) => one.id === id);
      const isTaken = map.queryRenderedFeatures(event.point, { layers: ["sources", "detections"] }).length > 0;
      if (!isTaken) openPopup([r.lon, r.lat], reportInfo(r));
    });
    for (const layer of ["detections", "refused", "plumes"]) open(layer, (event) => {
      const isTaken = map.queryRenderedFeatures(event.point, { layers: ["sources"] }).length > 0;
      if (!isTaken) showDetection(event);
    });
  }

  function fillLegend(sourceNames, areaNames) {
    const body = element("legend-body");
    const layer = (text, icon, isOn, toggle) => {
      const box = make("input", { type: "checkbox", checked: isOn });
      box.addEventListener("change", () => toggle(box.checked));
      body.append(make("label", {}, box, icon, make("span", { textContent: text })));
    };
    const show = (...layers) => (isOn) => layers.forEach((id) => map.setLayoutProperty(id, "visibility", isOn ? "visible" : "none"));
    const swatch = (state) => { const s = make("span", { className: "swatch" }); s.style.background = colour(state); return s; };
    const key = (icon, text) => body.append(make("div", { className: "key" }, icon, make("span", { textContent: text })));
    const states = new Set(content.detections.map((d) => d.state));
    if (states.size) body.append(make("h3", { textContent: content.size_text }));
    for (const [state, text] of content.states) if (states.has(state)) key(swatch(state), text);
    if (states.has("refused")) key(swatch("refused"), "not accepted (see the list)");
    body.append(make("h3", { textContent: "Layers" }));
    if (content.plumes.features.length) layer("plume outlines", "", true, show("plumes", "plume-edges"));
    if (content.detections.some((d) => d.wind_to !== null)) { const icon = windIcon(); icon.style.height = "20px"; icon.style.width = "8px"; layer("wind", icon, true, show("wind")); }
    if (content.lines.features.length) layer("to the most probable source", "", true, show("lines"));
    const hide = (nodes, isOn) => nodes.forEach((node) => { node.style.visibility = isOn ? "" : "hidden"; });
    for (const [id, text, isSearched] of [["areas", "areas that were searched", true], ["areas-not-searched", "areas that were not searched", false]]) {
      const names = areaNames.filter((_, n) => content.area_boxes[n].is_searched === isSearched);
      const line = make("span", { className: "line" + (isSearched ? "" : " dashed") });
      if (names.length) layer(text, line, true, (isOn) => { show(id)(isOn); hide(names, isOn); });
    }
    if (content.sources.length) {
      layer("sources in inventories", "", true, (isOn) => { show("sources")(isOn); hide(sourceNames, isOn); });
      for (const [kind, text] of Object.entries(content.kinds)) if (SHAPES[kind]) key(sourceIcon(kind), text);
    }
    if (content.reports.length) {
      const ring = make("span", { className: "ring" });
      layer("reported by others within 30 days", ring, true, show("reports"));
    }
    element("legend").hidden = !body.querySelectorAll("input").length;
    if (matchMedia("(max-width: 760px)").matches) element("legend").open = false;
  }

  async function showMap() {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser has no WebGL 2");
    document.head.append(make("style", { textContent: await unpack("packed-maplibre-css") }));
    await runScript("packed-maplibre-js");
    await runScript("packed-topojson-js");
    const atlas = await backdrop();
    const style = mapStyle(atlas);
    const view = content.bounds ? { bounds: content.bounds, fitBoundsOptions: { padding: { top: 70, right: 100, bottom: 70, left: innerWidth > 760 ? 260 : 70 }, maxZoom: content.near_zoom } } : { center: [10, 20], zoom: 1 };
    map = new maplibregl.Map({ container: "map", style, ...view, attributionControl: false, maxZoom: 17, dragRotate: false, pitchWithRotate: false, locale: { "Map.Title": "Map of the detections" } });
    map.on("styleimagemissing", addIcon);
    map.touchZoomRotate.disableRotation();
    map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new maplibregl.FullscreenControl(), "top-right");
    map.addControl(new maplibregl.ScaleControl({ maxWidth: 140, unit: "metric" }), "bottom-left");
    await new Promise((resolve, reject) => { map.once("load", resolve); map.once("error", (event) => reject(event.error)); });
    drawGraticule();
    map.on("moveend", drawGraticule);
    map.on("resize", drawGraticule);
    nameCountries(atlas.land);
    listen();
    fillLegend(nameSources(), nameAreas());
    fillLookedAt();
    document.documentElement.dataset.map = "ready";
  }

  element("attribution").textContent = content.attribution.join(" · ");
  element("licence-text").textContent = content.licences;
  element("show-licences").addEventListener("click", () => element("licences").showModal());
  element("sort").value = content.sort;
  element("sort").addEventListener("change", fillList);
  element("less-probable-count").textContent = content.less_probable_text;
  element("less-probable-choice").hidden = !content.less_probable_text;
  element("less-probable").addEventListener("change", () => {
    showsLessProbable = element("less-probable").checked;
    if (map) for (const [id, data] of Object.entries(ofShown())) map.getSource(id).setData(data);
    fillList();
  });
  element("refused-count").textContent = content.refused_text;
  element("refused-choice").hidden = !content.refused_text;
  element("refused").addEventListener("change", () => {
    showsRefused = element("refused").checked;
    if (map) map.setLayoutProperty("refused", "visibility", showsRefused ? "visible" : "none");
    fillList();
  });
  fillList();
  fillLookedAt();
  try {
    await showMap();
  } catch (error) {
    map = null;
    fillLookedAt();
    document.body.classList.add("no-map");
    element("fallback").textContent = "The map cannot be drawn (" + error.message + "); the list has everything that it would show.";
    element("fallback").hidden = false;
    document.documentElement.dataset.map = "list only";
  }
})();
