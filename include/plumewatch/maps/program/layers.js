"use strict";
/* Sources and layers of the map, and their colours, which follow the theme. */
const MANY = 500; // detections: arrows of all their winds would hide them from far away

/* What the map shows of detections; refused ones are a layer of their own that is switched, as is the wind. */
function ofShown() {
  const seen = page.content.detections.filter((d) => isWanted(d) && (d.state === "refused" || isShown(d)));
  const { features } = page.content.lines, ids = features.length ? new Set(seen.map((d) => d.id)) : null;
  return { detections: points(seen), lines: collection(features.filter((line) => ids.has(line.properties.id))) };
}

/* Of many the map's worker is told where they are read from, and which of them are seen: to hand them over one by one
   takes this page longer. */
function points(seen) {
  if (!page.content.address || seen.length <= MANY) return collection(seen.map((d) => {
    const { id, state, radius, wind_to } = d;
    return point(d, wind_to === null ? { id, state, radius } : { id, state, radius, to: wind_to, size: d.wind_size });
  }));
  if (seen.length === page.content.detections.length) return page.feed.points(page.content.address);
  URL.revokeObjectURL(page.seen);
  page.seen = URL.createObjectURL(new Blob([JSON.stringify(seen.map((d) => d.at))], { type: "application/json" }));
  return page.feed.points(page.content.address, page.seen);
}

function ofContent() {
  const { areas, plumes, reports, sources, tracks = empty } = page.content;
  return {
    areas, plumes, tracks, ...ofShown(),
    reports: collection(reports.map((r, n) => point(r, { n }))),
    sources: collection(sources.map((s, n) => point(s, { n, kind: s.kind, size: s.size, rank: s.is_first ? 1 : 0 }))),
  };
}

function paints() {
  const states = [...page.content.states.map(([s]) => s), "refused"];
  const stateColour = ["match", ["get", "state"], ...states.flatMap((s) => [s, colour(s)]), colour("outline")];
  const circle = { "circle-radius": ["get", "radius"], "circle-color": stateColour, "circle-stroke-color": colour("outline") };
  return {
    water: { "background-color": colour("sea") },
    land: { "fill-color": colour("land"), "fill-antialias": false },
    tiles: {},
    cells: { "fill-color": page.cells?.stops.length ? ["interpolate", ["linear"], ["get", "value"], ...page.cells.stops.flat()] : "transparent", "fill-opacity": 0.75, "fill-antialias": false },
    graticule: { "line-color": colour("graticule"), "line-opacity": 0.35, "line-width": 0.7 },
    coast: { "line-color": colour("coast"), "line-width": 0.9 },
    borders: { "line-color": colour("border"), "line-width": 0.8, "line-opacity": 0.6 },
    areas: { "line-color": colour("area"), "line-width": 1.6 },
    tracks: { "line-color": ["match", ["get", "state"], "seen", colour("seen"), colour("nothing_seen")], "line-width": ["match", ["get", "state"], "seen", 2.4, 1.4] },
    "tracks-not-searched": { "line-color": colour("not_searched"), "line-width": 1.4, "line-dasharray": [2, 3] },
    "tracks-touch": { "line-opacity": 0, "line-width": 11 },
    "chosen-track": { "line-color": colour("focus"), "line-width": 4, "line-opacity": 0.75 },
    sector: { "fill-color": colour("wind"), "fill-opacity": 0.14 },
    "sector-edge": { "line-color": colour("wind"), "line-width": 1.2 },
    "areas-not-searched": { "line-color": colour("missed"), "line-width": 1.8, "line-dasharray": [3, 3] },
    plumes: { "fill-color": stateColour, "fill-opacity": 0.35 },
    "plume-edges": { "line-color": stateColour, "line-width": 1.6 },
    refused: { ...circle, "circle-opacity": 0.35, "circle-stroke-width": 0.8 },
    lines: { "line-color": colour("outline"), "line-width": 1.8, "line-dasharray": [0.5, 2] },
    detections: { ...circle, "circle-opacity": 0.85, "circle-stroke-width": 1.2 },
    chosen: { "circle-radius": ["+", ["get", "radius"], 5], "circle-color": "transparent", "circle-stroke-color": colour("focus"), "circle-stroke-width": 3 },
    reports: { "circle-radius": 7, "circle-opacity": 0, "circle-stroke-color": colour("focus"), "circle-stroke-width": 2.4 },
    wind: {},
    sources: {},
    measure: { "line-color": colour("outline"), "line-width": 2 },
    "measure-places": { "circle-radius": 4, "circle-color": colour("halo"), "circle-stroke-color": colour("outline"), "circle-stroke-width": 2 },
  };
}

/* All layers in the order in which they lie on each other, each with the source that it shows. */
function layers() {
  const isRefused = ["==", ["get", "state"], "refused"], isNotSearched = ["==", ["get", "state"], "not_searched"], paint = paints();
  const layer = (id, type, source = id, more = {}) => ({ id, type, source, paint: paint[id], ...more });
  const ofWorld = (id, type) => layer(id, type, "world", { filter: ["==", ["get", "part"], id] });
  const windFrom = page.content.detections.length > MANY ? page.content.near_zoom - 2 : 0;
  const icons = { "icon-allow-overlap": true, "icon-ignore-placement": true };
  return [
    { id: "water", type: "background", paint: paint.water },
    ofWorld("land", "fill"), layer("tiles", "raster"), layer("cells", "fill"), layer("graticule", "line"), ofWorld("coast", "line"), ofWorld("borders", "line"),
    layer("tracks", "line", "tracks", { filter: ["!", isNotSearched], layout: { "line-cap": "round" } }),
    layer("tracks-not-searched", "line", "tracks", { filter: isNotSearched }),
    layer("tracks-touch", "line", "tracks"), layer("chosen-track", "line"),
    layer("areas", "line", "areas", { filter: ["get", "is_searched"] }),
    layer("areas-not-searched", "line", "areas", { filter: ["!", ["get", "is_searched"]] }),
    layer("sector", "fill"), layer("sector-edge", "line", "sector"),
    layer("plumes", "fill"), layer("plume-edges", "line", "plumes"),
    layer("refused", "circle", "detections", { filter: isRefused, layout: { visibility: page.showsRefused ? "visible" : "none" } }),
    layer("lines", "line", "lines", { layout: { "line-cap": "round" } }),
    layer("detections", "circle", "detections", { filter: ["!", isRefused] }),
    layer("chosen", "circle"),
    layer("reports", "circle"),
    layer("wind", "symbol", "detections", { minzoom: windFrom, filter: ["all", ["has", "to"], ["!", isRefused]], layout: { "icon-image": "wind", "icon-rotate": ["get", "to"], "icon-anchor": "bottom", "icon-size": ["get", "size"], ...icons } }),
    layer("sources", "symbol", "sources", { layout: { "icon-image": ["concat", SOURCE, ["get", "kind"]], "icon-size": ["get", "size"], "symbol-sort-key": ["get", "rank"], ...icons } }),
    layer("measure", "line"), layer("measure-places", "circle", "measure", { filter: ["==", ["geometry-type"], "Point"] }),
  ];
}

/* A source costs in each frame, however little is in it: what is empty has none until something comes. */
function mapStyle(world) {
  const given = Object.entries({ world, ...ofContent() }).filter(([, data]) => isThere(data));
  const sources = Object.fromEntries(given.map(([id, data]) => [id, { type: "geojson", data }])), { tiles } = page.feed;
  if (tiles) sources.tiles = { type: "raster", tiles: [tiles.url], tileSize: 256 };
  return { version: 8, sources, layers: layers().filter(({ source }) => !source || sources[source]) };
}

const isThere = (data) => typeof data === "string" || data.features.length > 0;

/* Shows other data in a source of the map, which is added with its layers where it isn't there yet. */
function give(id, data) {
  const { map } = page, source = map.getSource(id);
  if (source) { source.setData(data); return; }
  if (!isThere(data)) return;
  map.addSource(id, { type: "geojson", data });
  const all = layers();
  all.forEach((layer, n) => { if (layer.source === id) map.addLayer(layer, all.slice(n + 1).find((above) => map.getLayer(above.id))?.id); });
}

const giveAll = (parts) => { for (const [id, data] of Object.entries(parts)) give(id, data); };

/* Colours anew: images that were drawn in the old ones are drawn again when they are next asked for. */
function repaint() {
  setTheme();
  if (!page.map) return;
  for (const [id, paint] of Object.entries(paints())) if (page.map.getLayer(id)) for (const [name, value] of Object.entries(paint)) page.map.setPaintProperty(id, name, value);
  for (const id of page.map.listImages()) { page.map.removeImage(id); addIcon({ id }); }
}
