"use strict";
/* Sources and layers of the map, and their colours, which follow the theme. */
const MANY = 500; // detections: arrows of all their winds would hide them from far away

/* What the map shows of detections; refused ones are a layer of their own that is switched. */
function ofShown() {
  const seen = page.content.detections.filter((d) => isWanted(d) && (d.state === "refused" || isShown(d))), ids = new Set(seen.map((d) => d.id));
  const winds = seen.filter((d) => d.wind_to !== null && d.state !== "refused");
  return {
    detections: collection(seen.map((d) => point(d, { id: d.id, state: d.state, radius: d.radius }))),
    lines: collection(page.content.lines.features.filter((line) => ids.has(line.properties.id))),
    wind: collection(winds.map((d) => point(d, { to: d.wind_to, size: d.wind_size }))),
  };
}

function ofContent() {
  const { areas, plumes, reports, sources } = page.content;
  return {
    areas, plumes, ...ofShown(),
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
    graticule: { "line-color": colour("graticule"), "line-opacity": 0.35, "line-width": 0.7 },
    coast: { "line-color": colour("coast"), "line-width": 0.9 },
    borders: { "line-color": colour("border"), "line-width": 0.9, "line-dasharray": [3, 2] },
    countries: {},
    areas: { "line-color": colour("area"), "line-width": 1.6 },
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
  };
}

function mapStyle(world) {
  const geojson = (data) => ({ type: "geojson", data });
  const isRefused = ["==", ["get", "state"], "refused"], paint = paints();
  const layer = (id, type, source = id, more = {}) => ({ id, type, source, paint: paint[id], ...more });
  const windFrom = page.content.detections.length > MANY ? page.content.near_zoom - 2 : 0;
  return {
    version: 8,
    sources: {
      ...Object.fromEntries(Object.entries({ ...world, graticule: empty, chosen: empty, ...ofContent() }).map(([id, data]) => [id, geojson(data)])),
    },
    layers: [
      { id: "water", type: "background", paint: paint.water },
      layer("land", "fill"), layer("graticule", "line"), layer("coast", "line"), layer("borders", "line"),
      layer("countries", "symbol", "countries", { filter: ["<=", ["get", "zoom"], ["zoom"]], layout: { "icon-image": ["concat", COUNTRY, ["get", "name"]] } }),
      layer("areas", "line", "areas", { filter: ["get", "is_searched"] }),
      layer("areas-not-searched", "line", "areas", { filter: ["!", ["get", "is_searched"]] }),
      layer("plumes", "fill"), layer("plume-edges", "line", "plumes"),
      layer("refused", "circle", "detections", { filter: isRefused, layout: { visibility: "none" } }),
      layer("lines", "line", "lines", { layout: { "line-cap": "round" } }),
      layer("detections", "circle", "detections", { filter: ["!", isRefused] }),
      layer("chosen", "circle"),
      layer("reports", "circle"),
      layer("wind", "symbol", "wind", { minzoom: windFrom, layout: { "icon-image": "wind", "icon-rotate": ["get", "to"], "icon-anchor": "bottom", "icon-size": ["get", "size"], "icon-allow-overlap": true, "icon-ignore-placement": true } }),
      layer("sources", "symbol", "sources", { layout: { "icon-image": ["concat", SOURCE, ["get", "kind"]], "icon-size": ["get", "size"], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "rank"] } }),
    ],
  };
}

/* Colours anew: images that were drawn in the old ones are drawn again when they are next asked for. */
function repaint() {
  setTheme();
  if (!page.map) return;
  for (const [id, paint] of Object.entries(paints())) for (const [name, value] of Object.entries(paint)) page.map.setPaintProperty(id, name, value);
  for (const id of page.map.listImages()) { page.map.removeImage(id); addIcon({ id }); }
}
