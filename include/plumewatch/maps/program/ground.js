"use strict";
/* What stands over a map that has no other ground to hold on to: degrees at its edges, and names of countries. */

const REST_MS = 100; // without a movement: then all that stands over the map is placed anew

/* Texts over a map, each at its place. One that only moves is the same piece of the page: it isn't set anew. */
function placeTexts(node, texts) {
  const before = [...node.children];
  for (const [textContent, transform] of texts) {
    const at = before.findIndex((one) => one.textContent === textContent), span = at < 0 ? make("span", { textContent }) : before.splice(at, 1)[0];
    span.style.transform = transform;
    if (at < 0) node.append(span);
  }
  for (const one of before) one.remove();
}

class Ground {
  /* `degrees` and `countries` are the pieces of the page that hold the texts, `setLines` shows lines of longitude and
     latitude, `alsoAtRest` is called whenever the map has come to rest. */
  constructor(map, degrees, countries, setLines, alsoAtRest = () => {}) {
    Object.assign(this, { map, degrees, countries, setLines, names: [], drawn: null, isMoving: false });
    const rest = () => { this.drawGraticule(); alsoAtRest(); this.nameCountries(); this.move(false); };
    let resting = null;
    map.on("movestart", () => { clearTimeout(resting); this.move(true); });
    map.on("moveend", () => { clearTimeout(resting); resting = setTimeout(rest, REST_MS); });
    map.on("resize", rest);
    rest();
  }

  /* Show the names of countries (`worldOf`). */
  name(names) {
    this.names = names;
    this.nameCountries();
  }

  /* Names are hidden while the map moves, and placed anew when it rests. */
  move(isMoving) {
    if (this.isMoving !== isMoving) this.countries.style.opacity = isMoving ? 0 : 1;
    this.isMoving = isMoving;
  }

  /* Lines of longitude and latitude with their degrees at the edges.
     They are drawn a view farther than is seen, and anew when one comes to where there are none. */
  drawGraticule() {
    const { map, drawn } = this;
    const bounds = map.getBounds(), west = bounds.getWest(), east = bounds.getEast(), south = bounds.getSouth(), north = bounds.getNorth();
    const wanted = (east - west) / 6;
    const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30].find((s) => s >= wanted) ?? 45;
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    const text = (value, letters) => Math.abs(value).toFixed(digits) + "°" + (Number(value.toFixed(digits)) === 0 ? "" : letters[value < 0 ? 1 : 0]);
    const labels = [], label = (content, x, y) => labels.push([content, `translate(${x}px, ${y}px)`]);
    const multiples = (from, to) => Array.from({ length: Math.max(0, Math.floor(to / step) - Math.ceil(from / step) + 1) }, (_, n) => (Math.ceil(from / step) + n) * step);
    for (const lon of multiples(west, east)) label(text(((lon + 540) % 360) - 180, "EW"), map.project([lon, south]).x + 3, 4);
    for (const lat of multiples(Math.max(-85, south), Math.min(85, north))) label(text(lat, "NS"), 4, map.project([west, lat]).y + 3);
    placeTexts(this.degrees, labels);
    if (drawn && drawn.step === step && west >= drawn.west && east <= drawn.east && south >= drawn.south && north <= drawn.north) return;
    const wide = east - west, high = north - south;
    const all = { step, west: west - wide, east: east + wide, south: Math.max(-85, south - high), north: Math.min(85, north + high) };
    this.drawn = { ...all, south: all.south === -85 ? -90 : all.south, north: all.north === 85 ? 90 : all.north };
    const lines = [...multiples(all.west, all.east).map((lon) => [[lon, all.south], [lon, all.north]]), ...multiples(all.south, all.north).map((lat) => [[all.west, lat], [all.east, lat]])];
    this.setLines(collection([feature({ type: "MultiLineString", coordinates: lines }, {})]));
  }

  /* Countries have their names where there is room, the widest first. They are pieces of the page: letters on the map
     would need a font of their own. */
  nameCountries() {
    const { map, names } = this, { lng, lat } = map.getCenter(), zoom = map.getZoom(), { clientWidth: width, clientHeight: height } = map.getContainer();
    const placed = [];
    for (const { name, lon, lat: at, zoom: from } of names) {
      if (from > zoom) continue;
      const { x, y } = map.project([lon + 360 * Math.round((lng - lon) / 360), at]), half = name.length * 4.25 + 3;
      if (x < -half || x > width + half || y < 0 || y > height) continue;
      if (!placed.some((other) => Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < 16)) placed.push({ name, x, y, half });
    }
    placeTexts(this.countries, placed.map(({ name, x, y }) => [name, `translate(${x}px, ${y}px) translate(-50%, -50%)`]));
  }
}
