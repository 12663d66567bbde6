"use strict";
/* The list beside the map, its filters, and what was looked at. */
const LISTED = 20; // entries at once: more come when the last of them are reached, or if asked for

let collator = null; // made when a text is first compared: it takes longer than the rest of this page's beginning
const byText = (a, b) => (collator ??= new Intl.Collator("en")).compare(a, b), byCode = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const ORDERS = {
  rate: { of: (d) => d.rate ?? -1, compare: (a, b) => b - a, first: (d) => d.rate ?? -1 },
  probability: { of: (d) => [d.probability ?? -1, d.rarity ?? -1], compare: (a, b) => b[0] - a[0] || b[1] - a[1], first: (d) => d.probability ?? -1 },
  time: { of: (d) => d.time, compare: byCode },
  source: { of: (d) => d.source_text, compare: byText },
};

const isShown = (d) => (d.state === "refused" ? page.showsRefused : page.showsLessProbable || !d.is_less_probable);

/* Whether the filters let a detection through. */
function isWanted(d) {
  const { where, state, rate, probability } = page.filter;
  return (!where || d.where === where) && (!state || d.state === state) && (rate === null || (d.rate ?? -1) >= rate) && (probability === null || (d.probability ?? -1) >= probability);
}

const isFiltered = () => Object.values(page.filter).some((value) => value !== "" && value !== null && value !== false);

function isInView(d) {
  if (!page.filter.in_view || !page.map) return true;
  const bounds = page.map.getBounds(), west = bounds.getWest();
  return d.lat >= bounds.getSouth() && d.lat <= bounds.getNorth() && (((d.lon - west) % 360) + 360) % 360 <= bounds.getEast() - west;
}

const shown = () => page.content.detections.filter((d) => isShown(d) && isWanted(d) && isInView(d));

/* The first so many in an order; refused ones come last. What is compared is read once of each, and where a number
   comes first, only those are put in order that are among the largest. */
function inOrder(all, n, { of, compare, first }) {
  let detections = all;
  if (first && all.length > 2 * n) {
    const numbers = Float64Array.from(all, (d) => (d.state === "refused" ? first(d) - 1e12 : first(d)));
    const least = numbers.slice().sort()[all.length - n];
    detections = all.filter((_, at) => numbers[at] >= least);
  }
  const keyed = detections.map((d) => ({ d, id: d.id, isRefused: d.state === "refused", of: of(d) }));
  return keyed.sort((a, b) => a.isRefused - b.isRefused || compare(a.of, b.of) || byCode(a.id, b.id)).slice(0, n).map(({ d }) => d);
}

function fillList() {
  const { content } = page, shownText = content.shown_texts[Number(page.showsLessProbable)], order = ORDERS[element("sort").value];
  element("shown-text").textContent = shownText;
  element("shown-text").hidden = !shownText;
  const all = shown();
  page.nListed = Math.max(page.nListed, LISTED);
  const items = inOrder(all, page.nListed, order).map((d) => make("li", {}, entryOf(d)));
  page.nLeft = all.length - items.length;
  if (page.nLeft) items.push(make("li", {}, button(`Show more (${page.nLeft} below)`, listMore, { className: "more-entries" })));
  if (!all.length) items.push(make("li", { className: "nothing", textContent: isFiltered() ? "The filters let none through." : content.summary }));
  element("list").replaceChildren(...items);
  element("n-shown").textContent = all.length === content.detections.length ? "" : `${all.length} of ${content.detections.length}`;
}

function listMore() {
  page.nListed += LISTED;
  fillList();
}

/* Whoever scrolls to the last entries has the next ones before they are reached. */
function listenToScrolling() {
  const listed = () => { if (page.nLeft && element("list").getBoundingClientRect().bottom < 2 * window.innerHeight) listMore(); };
  for (const node of [element("lists"), document]) node.addEventListener("scroll", listed); // on a phone the page scrolls
}

function entryOf(d) {
  const dot = make("span", { className: "dot" });
  dot.style.background = `var(--${d.state})`;
  const reason = d.state === "refused" ? d.state_text : "";
  const node = make("button", { type: "button", className: "detection" }, dot,
    make("span", { className: "where", textContent: d.title }),
    make("span", { className: "rate", textContent: d.rate_text }),
    make("span", { className: "more", textContent: [d.time, d.seen_in, reason, d.source_text, d.certainty_text].filter(Boolean).join(" · ") }));
  node.dataset.id = d.id;
  node.addEventListener("click", () => choose(d));
  return node;
}

function choose(d) {
  if (page.map) page.map.flyTo({ center: [d.lon, d.lat], zoom: Math.max(page.map.getZoom(), page.content.near_zoom), speed: 2.5, maxDuration: 3000 });
  tellDetection(d);
}

/* Each area or group of orbits, and what came of looking at it; an area that is on the map is gone to. */
function fillLookedAt() {
  const { content, map } = page;
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

/* --- filters */

page.filter = { where: "", state: "", rate: null, probability: null, in_view: false };

function refresh() {
  fillList();
  if (page.map) giveAll(ofShown());
}

/* Choices that nobody sees are made when they are opened, unless one of them is in force. */
function fillFilters() {
  if (element("filters").open === false && !isFiltered()) { page.areFiltersOld = true; return; }
  page.areFiltersOld = false;
  const { detections, states, unit } = page.content;
  const options = (pairs, all) => [make("option", { value: "", textContent: all }), ...pairs.map(([value, textContent]) => make("option", { value, textContent }))];
  const present = new Set(detections.map((d) => d.state)), places = [...new Set(detections.map((d) => d.where))].sort(byText);
  const keep = (id, nodes) => { const { value } = element(id); element(id).replaceChildren(...nodes); element(id).value = nodes.some((o) => o.value === value) ? value : ""; page.filter[id.replace("filter-", "")] = element(id).value; };
  keep("filter-where", options(places.slice(0, 1000).map((place) => [place, place]), "everywhere"));
  keep("filter-state", options(states.filter(([s]) => present.has(s)), "any status"));
  element("rate-unit").textContent = unit;
}

function listenToFilters() {
  element("filters").addEventListener("toggle", () => { if (page.areFiltersOld) fillFilters(); });
  const number = (text) => (text === "" || !Number.isFinite(Number(text)) ? null : Number(text));
  const act = (id, value) => element(id).addEventListener("change", () => { page.filter[id.replace("filter-", "").replace("-", "_")] = value(element(id)); page.nListed = 0; refresh(); });
  for (const id of ["filter-where", "filter-state"]) act(id, (node) => node.value);
  for (const id of ["filter-rate", "filter-probability"]) act(id, (node) => number(node.value));
  act("filter-in-view", (node) => node.checked);
}

/* --- export of what is shown */

const COLUMNS = ["id", "gas", "key", "longitude", "latitude", "observed_at_utc", "seen_in", "status", "rate", "rate_low", "rate_high", "unit", "probability", "most_probable_source"];

const valuesOf = (d) => ({
  id: d.id, gas: page.content.gas, key: d.key, longitude: d.lon, latitude: d.lat, observed_at_utc: d.observed_at_utc, seen_in: d.seen_in,
  status: d.state_text, rate: d.rate, rate_low: d.rate_low, rate_high: d.rate_high, unit: page.content.unit, probability: d.probability, most_probable_source: d.source_text,
});

/* A text that a spreadsheet would take for a formula is marked as a text. */
function csvCell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
  return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function exported(kind) {
  const rows = shown().map(valuesOf);
  if (kind === "csv") return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))].map((cells) => cells.map(csvCell).join(",") + "\r\n").join("");
  return JSON.stringify({ ...collection(rows.map((row) => feature({ type: "Point", coordinates: [row.longitude, row.latitude] }, row))), attribution: page.content.attribution });
}

function exportShown(kind) {
  const url = URL.createObjectURL(new Blob([exported(kind)], { type: kind === "csv" ? "text/csv" : "application/geo+json" }));
  const node = make("a", { href: url, download: `plumewatch_${page.content.gas}_${page.content.key.replaceAll(" ", "_")}.${kind}` });
  node.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
