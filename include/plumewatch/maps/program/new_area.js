"use strict";
/* Another area: drawn on a map or uploaded, its cost first, then kept. What it may be the server says. */
const COST_DAYS = 30;
/* `changes` counts what was changed: the cost of another area is none of this. `unread`: typed lines that are no corner. */
const drawn = { map: null, corners: [], unread: [], changes: 0 };

function allowAreas(isAllowed) {
  element("new-area").hidden = !isAllowed;
  element("area-refused").hidden = isAllowed;
  element("area-refused").textContent = "Your role may add no areas.";
}

const cornersText = () => drawn.corners.map(([lon, lat]) => `${lon} ${lat}`).join("\n");
const cornerOf = (line) => line.split(/[\s,;]+/).map(Number);
const isCorner = (line) => cornerOf(line).length === 2 && cornerOf(line).every(Number.isFinite);
const chosenFile = () => element("area-file").files[0] ?? null;

/* The corners as they are drawn: points, the line, and from three on the area. */
function drawnShapes() {
  const { corners } = drawn, shapes = corners.map((coordinates) => feature({ type: "Point", coordinates }, {}));
  if (corners.length > 1) shapes.push(feature({ type: "LineString", coordinates: [...corners, corners[0]] }, {}));
  if (corners.length > 2) shapes.push(feature({ type: "Polygon", coordinates: [[...corners, corners[0]]] }, {}));
  return collection(shapes);
}

/* After every change what was priced is another area. */
function showDrawn() {
  drawn.changes += 1;
  const hasFile = chosenFile() !== null, n = drawn.corners.length, unread = hasFile ? [] : drawn.unread;
  for (const id of ["corner-undo", "corner-none"]) element(id).disabled = !n || hasFile;
  element("corners").disabled = element("area-name").disabled = hasFile;
  element("area-cost").disabled = !hasFile && (n < 3 || unread.length > 0 || !element("area-name").value.trim());
  element("area-keep").disabled = true;
  element("area-told").textContent = unread.map((line) => `Not a corner: "${line}"; allowed: longitude latitude, in degrees with a point`).join("\n");
  drawn.map?.getSource?.("drawn")?.setData(hasFile ? empty : drawnShapes());
}

function setCorners(corners) {
  drawn.corners = corners;
  if (!corners.length) drawn.unread = [];
  element("corners").value = [cornersText(), ...drawn.unread].filter(Boolean).join("\n");
  showDrawn();
}

function readCorners() {
  const lines = element("corners").value.split("\n").map((line) => line.trim()).filter(Boolean);
  drawn.corners = lines.filter(isCorner).map(cornerOf);
  drawn.unread = lines.filter((line) => !isCorner(line));
  showDrawn();
}

function areaStyle(world) {
  const paint = (type, name, more = {}) => ({ [`${type}-color`]: colour(name), ...more });
  const ofWorld = (part, type, name) => ({ id: part, type, source: "world", filter: ["==", ["get", "part"], part], paint: paint(type, name) });
  const of = (kind) => ["==", ["geometry-type"], kind];
  return {
    version: 8,
    sources: { world: { type: "geojson", data: world }, areas: { type: "geojson", data: empty }, drawn: { type: "geojson", data: empty }, graticule: { type: "geojson", data: empty } },
    layers: [
      { id: "water", type: "background", paint: paint("background", "sea") },
      ofWorld("land", "fill", "land"), ofWorld("coast", "line", "coast"), ofWorld("borders", "line", "border"),
      { id: "graticule", type: "line", source: "graticule", paint: paint("line", "graticule", { "line-width": 0.6, "line-opacity": 0.5 }) },
      { id: "areas-inside", type: "fill", source: "areas", paint: paint("fill", "area", { "fill-opacity": 0.06 }) },
      { id: "areas", type: "line", source: "areas", paint: paint("line", "area", { "line-width": 1.6 }) },
      { id: "drawn", type: "fill", source: "drawn", paint: paint("fill", "drawn", { "fill-opacity": 0.2 }) },
      { id: "drawn-edge", type: "line", source: "drawn", paint: paint("line", "drawn", { "line-width": 2 }) },
      { id: "drawn-corners", type: "circle", source: "drawn", filter: of("Point"), paint: paint("circle", "drawn", { "circle-radius": 4.5 }) },
    ],
  };
}

const boundsOf = ({ features }) => {
  const places = features.flatMap(({ geometry }) => geometry.coordinates.flat(geometry.type === "MultiPolygon" ? 2 : 1));
  const [lon, lat] = [0, 1].map((n) => places.map((place) => place[n]));
  return places.length ? [[Math.min(...lon), Math.min(...lat)], [Math.max(...lon), Math.max(...lat)]] : null;
};

const fit = (shapes) => { const bounds = boundsOf(shapes); if (bounds) drawn.map.fitBounds(bounds, { padding: 40, maxZoom: 12, animate: false }); };

/* The map is made when somebody first looks at it. */
async function showAreaMap() {
  if (drawn.map || !element("new-area").open) return;
  drawn.map = "on its way";
  try {
    await loadMapLibre();
    const { world: ground, names } = world();
    const style = areaStyle(ground);
    drawn.map = new maplibregl.Map({ container: "area-map", style, center: [10, 20], zoom: 1, attributionControl: false, dragRotate: false, pitchWithRotate: false, doubleClickZoom: false, maxZoom: 17 });
    drawn.map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    drawn.map.addControl(new maplibregl.ScaleControl(), "bottom-left");
    await new Promise((resolve) => drawn.map.once("load", resolve));
    const over = new Ground(drawn.map, element("area-degrees"), element("area-countries"), (lines) => drawn.map.getSource("graticule").setData(lines));
    names.then((known) => over.name(known));
    drawn.map.on("mousemove", tellUnder);
    drawn.map.on("mouseout", () => { element("area-under").textContent = ""; });
    drawn.map.on("click", ({ lngLat }) => {
      const { lng, lat } = lngLat.wrap();
      if (!chosenFile()) setCorners([...drawn.corners, [Number(lng.toFixed(5)), Number(lat.toFixed(5))]]);
    });
    showDrawn();
    await showAreas();
    element("area-map").dataset.map = "ready";
  } catch (error) {
    element("area-map").textContent = `The map cannot be drawn (${error.message}); corners can be typed.`;
    drawn.map = null;
  }
}

/* Where the pointer is, and the names of the areas that lie there. */
function tellUnder({ point, lngLat }) {
  const { lng, lat } = lngLat.wrap(), names = drawn.map.queryRenderedFeatures(point, { layers: ["areas-inside"] }).map(({ properties }) => properties.name);
  element("area-under").textContent = [`${lng.toFixed(4)} ${lat.toFixed(4)}`, ...new Set(names)].join(" · ");
}

async function showAreas() {
  const areas = await read("data/ch4/areas");
  drawn.map.getSource("areas").setData(areas);
  fit(areas);
}

/* The file as the server takes it: the chosen one, or what is drawn as a GeoJSON. */
async function areaFile() {
  const file = chosenFile();
  const name = element("area-name").value.trim(), polygon = { type: "Polygon", coordinates: [[...drawn.corners, drawn.corners[0]]] };
  const blob = file ?? new Blob([JSON.stringify(collection([feature(polygon, { name })]))]);
  const address = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    Object.assign(reader, { onload: () => resolve(reader.result), onerror: () => reject(reader.error) });
    reader.readAsDataURL(blob);
  });
  return { file: file ? file.name : "drawn.geojson", content: address.slice(address.indexOf(",") + 1) };
}

async function sendArea(path, more = {}) {
  const body = JSON.stringify({ ...(await areaFile()), ...more });
  return read(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

async function showCost() {
  const told = element("area-told"), asked = drawn.changes, isAnother = () => drawn.changes !== asked;
  element("area-cost").disabled = true;
  told.textContent = "Asking the catalogues ...";
  try {
    const { lines, outlines } = await sendArea("data/operations/area/cost", { first: element("cost-first").value, last: element("cost-last").value });
    if (isAnother()) return;
    told.textContent = lines.join("\n");
    element("area-keep").disabled = false;
    if (drawn.map?.getSource) { drawn.map.getSource("drawn").setData(outlines); fit(outlines); }
  } catch (error) {
    if (isAnother()) return;
    told.textContent = "Not possible: " + error.message;
  }
  element("area-cost").disabled = false;
}

async function keepArea() {
  element("area-keep").disabled = true;
  try {
    const { names, path } = await sendArea("data/operations/area");
    element("area-file").value = element("area-name").value = "";
    setCorners([]);
    element("area-told").textContent = `Kept in ${path}: ${names.join(", ")}. The next search looks for scenes of it; earlier days are fetched by a backfill.`;
    part("calendar", readCalendar);
    if (drawn.map?.getSource) await showAreas();
  } catch (error) {
    element("area-told").textContent = "Not kept: " + error.message;
  }
}

function listenToNewArea() {
  const now = new Date();
  element("cost-last").value = dayText(now);
  element("cost-first").value = dayText(new Date(now - (COST_DAYS - 1) * 86400000));
  element("new-area").addEventListener("toggle", showAreaMap);
  element("corner-undo").addEventListener("click", () => setCorners(drawn.corners.slice(0, -1)));
  element("corner-none").addEventListener("click", () => setCorners([]));
  element("corners").addEventListener("input", readCorners);
  for (const id of ["area-name", "area-file", "cost-first", "cost-last"]) element(id).addEventListener("input", showDrawn);
  element("area-cost").addEventListener("click", showCost);
  element("area-keep").addEventListener("click", keepArea);
}
