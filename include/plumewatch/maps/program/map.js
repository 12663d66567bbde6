"use strict";
/* The map, its names and its legend; and how the page begins. */

const LEGEND_PX = 520; // height of a map that an open legend leaves free

/* How long a hundred pixels or so are in the middle of the map. */
function drawScale() {
  const { map } = page, perPixel = (40075016.7 * Math.cos((map.getCenter().lat * Math.PI) / 180)) / (512 * 2 ** map.getZoom());
  const most = 140 * perPixel, power = 10 ** Math.floor(Math.log10(most)), metres = [5, 2, 1].find((n) => n * power <= most) * power;
  const textContent = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`, width = `${Math.round(metres / perPixel)}px`;
  const scale = element("scale");
  if (scale.textContent !== textContent) scale.textContent = textContent;
  if (scale.style.width !== width) scale.style.width = width;
}

/* Icons at one place hide each other: what is told of one is told of all. */
const isAt = (one, other) => one.lon === other.lon && one.lat === other.lat;

/* A tag on the map; one that only repeats what the lists say isn't announced. */
function tag(node, at, options) {
  if (node.localName !== "button") node.setAttribute("aria-hidden", "true");
  node.setAttribute("aria-label", node.textContent);
  const marker = new maplibregl.Marker({ element: node, ...options }).setLngLat(at).addTo(page.map);
  page.tags.push(marker);
  return node;
}

function nameSources() {
  const { content, map } = page, tagged = content.sources.filter((s) => s.is_first);
  const firstHere = tagged.filter((s) => tagged.find((other) => isAt(other, s)) === s);
  const nodes = firstHere.slice(0, content.max_names).map((s) => {
    const textContent = tagged.filter((other) => isAt(other, s)).map(({ name }) => name).join(" · ");
    return tag(make("div", { className: "place-name", textContent }), [s.lon, s.lat], { anchor: "left", offset: [13, 0] });
  });
  page.showNames = () => nodes.forEach((node) => { node.style.display = map.getZoom() >= content.name_zoom ? "" : "none"; });
  page.showNames();
  return nodes;
}

function nameAreas() {
  return page.content.area_boxes.map((box) => {
    const { bounds, label, is_searched } = box;
    const node = button(label, () => { goTo(box); tellArea(box); }, { className: "place-name area-name" + (is_searched ? "" : " not-searched") });
    return tag(node, [(bounds[0][0] + bounds[1][0]) / 2, bounds[1][1]], { anchor: "bottom" });
  });
}

/* Of orbits those that are switched on. */
function filterTracks(states) {
  const isOn = ["in", ["get", "state"], ["literal", [...states]]], { map } = page;
  for (const { id, source, filter } of layers()) if (source === "tracks" && map.getLayer(id)) map.setFilter(id, filter ? ["all", filter, isOn] : isOn);
}

function goTo({ bounds }) {
  if (isNarrow()) element("map-side").scrollIntoView({ block: "start" });
  page.map.fitBounds(bounds, { padding: 60 });
}

function listen() {
  const { map } = page;
  const open = (layer, show) => {
    map.on("click", layer, (event) => { if (measure.isOn) return; event.preventDefault(); show(event); });
    map.on("mouseenter", layer, () => { if (!measure.isOn) map.getCanvas().style.cursor = "pointer"; });
    map.on("mouseleave", layer, () => { if (!measure.isOn) map.getCanvas().style.cursor = ""; });
  };
  const isTaken = ({ point }, ...layers) => {
    const there = layers.filter((id) => map.getLayer(id));
    return there.length > 0 && map.queryRenderedFeatures(point, { layers: there }).length > 0;
  };
  open("sources", (event) => {
    const { sources } = page.content, s = sources[event.features[0].properties.n];
    tellSources(sources.filter((other) => isAt(other, s)));
  });
  open("reports", (event) => {
    if (!isTaken(event, "sources", "detections")) openPanel(reportInfo(page.content.reports[event.features[0].properties.n]));
  });
  for (const layer of ["detections", "refused", "plumes"]) open(layer, (event) => {
    if (!isTaken(event, "sources")) tellDetection(page.byId.get(event.features[0].properties.id));
  });
  open("tracks-touch", (event) => {
    if (!isTaken(event, "sources", "detections", "refused", "reports", "plumes")) tellOrbit(event.features[0].properties.n);
  });
  open("cells", (event) => {
    if (!isTaken(event, "sources", "detections", "refused", "reports", "plumes", "tracks-touch")) tellCell(event.features[0].properties.n);
  });
  map.on("moveend", () => { if (page.filter.in_view) fillList(); });
  map.on("zoom", () => page.showNames());
}

function fillLegend(sourceNames, areaNames) {
  const { content, map } = page, body = element("legend-body");
  body.replaceChildren();
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
  if (page.feed.tiles) layer("background", "", true, show("tiles"));
  if (content.plumes.features.length) layer("plume outlines", "", true, show("plumes", "plume-edges"));
  if (content.detections.some((d) => d.wind_to !== null)) layer("wind", windBeside(), true, show("wind"));
  if (content.lines.features.length) layer("to the most probable source", "", true, show("lines"));
  const drawn = new Set((content.tracks ?? empty).features.map(({ properties }) => properties.state)), orbitLines = new Set(drawn);
  for (const [state, text] of (content.track_states ?? [])) if (drawn.has(state)) {
    const line = make("span", { className: "line" + (state === "not_searched" ? " dashed" : "") });
    line.style.borderColor = colour(state);
    layer(text, line, true, (isOn) => { if (isOn) orbitLines.add(state); else orbitLines.delete(state); filterTracks(orbitLines); });
  }
  filterTracks(orbitLines);
  if (content.tracks_text) key(make("span", { className: "line" }), content.tracks_text);
  const hide = (nodes, isOn) => nodes.forEach((node) => { node.style.visibility = isOn ? "" : "hidden"; });
  for (const [id, text, isSearched] of [["areas", "areas that were searched", true], ["areas-not-searched", "areas that were not searched", false]]) {
    const names = areaNames.filter((_, n) => content.area_boxes[n].is_searched === isSearched);
    const line = make("span", { className: "line" + (isSearched ? "" : " dashed") });
    if (names.length) layer(text, line, true, (isOn) => { show(id)(isOn); hide(names, isOn); });
  }
  if (content.sources.length) {
    layer("sources in inventories", "", true, (isOn) => { show("sources")(isOn); hide(sourceNames, isOn); });
    for (const [kind, text] of Object.entries(content.kinds)) if (SHAPES[kind]) key(sourceBeside(kind), text);
  }
  if (content.reports.length) layer("reported by others within 30 days", make("span", { className: "ring" }), true, show("reports"));
  if (page.feed.cells) body.append(page.feed.cells());
  element("legend").hidden = !body.querySelectorAll("input").length;
}

const viewOf = ({ bounds, near_zoom }) =>
  bounds ? { bounds, fitBoundsOptions: { padding: { top: 70, right: 100, bottom: 70, left: isNarrow() ? 70 : 260 }, maxZoom: near_zoom } } : { center: [10, 20], zoom: 1 };

async function showMap() {
  if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser has no WebGL 2");
  await page.feed.loadMapLibre();
  const world = await page.feed.world();
  const style = mapStyle(world.world);
  const map = new maplibregl.Map({ container: "map", style, ...viewOf(page.content), attributionControl: false, fadeDuration: 0, maxZoom: 17, dragRotate: false, pitchWithRotate: false, locale: { "Map.Title": "Map of the detections" } });
  page.map = map;
  map.on("styleimagemissing", addIcon);
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibregl.FullscreenControl(), "top-right");
  map.addControl(new MeasureControl(), "top-right");
  await new Promise((resolve, reject) => { map.once("load", resolve); map.once("error", (event) => reject(event.error)); });
  page.ground = new Ground(map, element("edge-labels"), element("country-names"), (lines) => give("graticule", lines), drawScale);
  listen();
  if (isNarrow() || map.getContainer().clientHeight < LEGEND_PX) element("legend").open = false;
  nameAll();
  fillLookedAt();
  world.names.then((names) => { page.ground.name(names); document.documentElement.dataset.world = "ready"; });
  document.documentElement.dataset.map = "ready";
}

function nameAll() {
  for (const marker of page.tags ?? []) marker.remove();
  page.tags = [];
  fillLegend(nameSources(), nameAreas());
}

/* Whose data it is that is shown. */
function showAttribution() {
  const whose = [...page.content.attribution, ...(page.cells?.attribution ?? []), page.feed.tiles?.attribution];
  element("attribution").textContent = [...new Set(whose.filter(Boolean))].join(" · ");
}

/* What stands beside the map, of the content at hand. */
function fillPage() {
  const { content } = page;
  page.byId = new Map(content.detections.map((d) => [d.id, d]));
  showAttribution();
  element("less-probable-count").textContent = content.less_probable_text;
  element("less-probable-choice").hidden = !content.less_probable_text;
  element("refused-count").textContent = content.refused_text;
  element("refused-choice").hidden = !content.refused_text;
  fillFilters();
  fillList();
  fillLookedAt();
}

/* Other content on the page that is there already. */
function showContent(content, { isMoved = false, keepsPanel = false } = {}) {
  page.content = content;
  page.nListed = 0;
  if (!keepsPanel) closePanel();
  element("summary").textContent = content.summary;
  element("sort").value = content.sort;
  fillPage();
  if (!page.map) return;
  giveAll(ofContent());
  nameAll();
  const { bounds, fitBoundsOptions } = viewOf(content);
  if (isMoved && bounds) page.map.fitBounds(bounds, { ...fitBoundsOptions, animate: false });
}

function listenToPage(licences) {
  element("show-licences").addEventListener("click", () => { element("licence-text").textContent = licences; element("licences").showModal(); });
  element("sort").addEventListener("change", fillList);
  element("less-probable").addEventListener("change", () => { page.showsLessProbable = element("less-probable").checked; refresh(); });
  element("refused").addEventListener("change", () => {
    page.showsRefused = element("refused").checked;
    if (page.map?.getLayer("refused")) page.map.setLayoutProperty("refused", "visibility", page.showsRefused ? "visible" : "none");
    fillList();
  });
  for (const kind of ["geojson", "csv"]) element("export-" + kind).addEventListener("click", () => exportShown(kind));
  element("close-told").addEventListener("click", closePanel);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && ![...document.querySelectorAll("dialog")].some((one) => one.open)) closePanel(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  listenToFilters();
  listenToScrolling();
}

async function start(feed, licences) {
  setTheme();
  page.feed = feed;
  listenToPage(licences);
  try {
    page.content = await feed.content();
  } catch (error) {
    page.content = null;
    say(error.message);
    document.documentElement.dataset.map = "nothing";
    return;
  }
  element("summary").textContent = page.content.summary;
  element("sort").value = page.content.sort;
  fillPage();
  try {
    await showMap();
  } catch (error) {
    page.map = null;
    fillLookedAt();
    document.body.classList.add("no-map");
    say("The map cannot be drawn (" + error.message + "); the list has everything that it would show.");
    document.documentElement.dataset.map = "list only";
  }
  if (feed.started) feed.started();
}

function say(text) {
  element("fallback").textContent = text;
  element("fallback").hidden = false;
}
