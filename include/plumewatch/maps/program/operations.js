"use strict";
/* The operations page: each part reads its own, so that one that can't be read leaves the others standing. */
const ROWS = 100; // of a table at once: more are shown if asked for
const { days_shown: DAYS_SHOWN } = JSON.parse(element("content").textContent);
const state = { failed: [], chosen: new Set(), gapFill: null, calendar: null, nFailed: ROWS, nAreas: ROWS };

async function read(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer.json();
  const { detail } = await answer.json().catch(() => ({}));
  throw new Error(typeof detail === "string" ? detail : `${answer.status} ${answer.statusText}`);
}

const cell = (content, className = "") => make("td", { className }, content ?? "");
const head = (...names) => make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col", className: name.startsWith("#") ? "number" : "", textContent: name.replace("#", "") }))));
const nothing = (columns, textContent) => make("tr", {}, make("td", { colSpan: columns, className: "nothing", textContent }));

/* One part of the page, or why it can't be shown. */
async function part(id, work) {
  try {
    await work();
  } catch (error) {
    element(id).replaceChildren(make("tbody", {}, nothing(1, "Not read: " + error.message)));
  }
}

/* --- what failed */

const identity = (f) => JSON.stringify([f.dag_id, f.key, f.area, f.scene_id, f.stage]);
const text = (f) => [f.dag_id, f.key, f.area, f.scene_id, f.asset, f.stage, f.reason, f.message].join(" ").toLowerCase();

async function readFailed() {
  const { n, failed, gap_fill } = await read(`data/operations/failures?days=${element("days").value}`);
  Object.assign(state, { failed, gapFill: gap_fill, nFailed: ROWS });
  state.chosen.clear();
  element("n-failed").textContent = n > failed.length ? `the latest ${failed.length} of ${n}` : String(n || "");
  showFailed();
}

function showFailed() {
  const wanted = element("failed-filter").value.toLowerCase(), { may_start } = state.gapFill;
  const found = state.failed.filter((f) => text(f).includes(wanted));
  const all = make("input", { type: "checkbox", ariaLabel: "All that can be tried again", disabled: !may_start });
  const open = found.filter((f) => f.is_filled);
  all.checked = open.length > 0 && open.every((f) => state.chosen.has(identity(f)));
  all.addEventListener("change", () => { for (const f of open) all.checked ? state.chosen.add(identity(f)) : state.chosen.delete(identity(f)); showFailed(); });
  const header = head("", "day", "area", "scene", "while", "reason", "#tries", "since", "last", "log");
  header.querySelector("th").append(all);
  const rows = found.slice(0, state.nFailed).map((f) => failedRow(f, may_start));
  if (found.length > state.nFailed) rows.push(make("tr", {}, make("td", { colSpan: 10 }, button(`Show more (${found.length - state.nFailed} below)`, () => { state.nFailed += ROWS; showFailed(); }, { className: "more" }))));
  if (!rows.length) rows.push(nothing(10, state.failed.length ? "None has that." : "Nothing is open."));
  element("failed").replaceChildren(header, make("tbody", {}, ...rows));
  showFill();
}

function failedRow(f, mayStart) {
  const name = identity(f), box = make("input", { type: "checkbox", checked: state.chosen.has(name), disabled: !mayStart || !f.is_filled, ariaLabel: `Try ${f.scene_id} again` });
  if (!f.is_filled) box.title = f.is_retryable ? "Run its DAG again for its day or month" : "Failed for good: mend the cause, then run its DAG again for its day or month";
  box.addEventListener("change", () => { if (box.checked) state.chosen.add(name); else state.chosen.delete(name); showFill(); });
  const message = make("td", { className: "message" }, make("b", { textContent: f.reason }), f.message);
  return make("tr", {}, cell(box), cell(f.key, "short"), cell(f.area), cell(f.asset ? `${f.scene_id} (${f.asset})` : f.scene_id), cell(f.stage, "short"), message,
    cell(String(f.attempts), "number"), cell(f.first, "short"), cell(f.last, "short"), f.href ? cell(link({ text: "log", href: f.href })) : make("td", { className: "short", textContent: "gone", title: "Airflow has forgotten its run" }));
}

/* What a run of the gap fill has to be told to try the chosen ones again: their days and areas. */
function wantedRun() {
  const chosen = state.failed.filter((f) => state.chosen.has(identity(f))), days = chosen.map((f) => f.key).sort();
  return { from: days[0], to: days.at(-1), areas: [...new Set(chosen.map((f) => f.area))].sort() };
}

function showFill() {
  const { may_start, is_paused, max_days } = state.gapFill, { from, to, areas } = wantedRun(), n = state.chosen.size;
  const nDays = n ? Math.round((Date.parse(to) - Date.parse(from)) / 86400000) + 1 : 0;
  element("fill").textContent = n ? `Try ${n} again` : "Try again";
  element("fill").disabled = !may_start || !n || nDays > max_days;
  const paused = is_paused ? ` ${state.gapFill.dag_id} is paused: the run waits until it is unpaused.` : "";
  element("fill-text").textContent = !may_start ? "Your role may start no runs."
    : !n ? "Choose what is to be tried again." : nDays > max_days ? `${nDays} days; at most ${max_days} at once.`
    : `All that is missing of ${areas.length === 1 ? areas[0] : areas.length + " areas"}, ${from === to ? from : from + " to " + to}, is fetched.${paused}`;
}

/* Airflow's own API decides who may: the login of this page goes along. */
async function fill() {
  const { dag_id } = state.gapFill;
  element("fill").disabled = true;
  try {
    const body = JSON.stringify({ logical_date: null, conf: wantedRun(), note: "Asked for on the operations page." });
    const run = await read(`../api/v2/dags/${dag_id}/dagRuns`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    state.chosen.clear();
    showFailed();
    element("fill-text").replaceChildren("Started: ", link({ text: run.dag_run_id, href: `../dags/${dag_id}/runs/${encodeURIComponent(run.dag_run_id)}` }));
  } catch (error) {
    element("fill-text").textContent = "Not started: " + error.message;
    element("fill").disabled = false;
  }
}

/* --- the calendar */

const dayText = (date) => date.toISOString().slice(0, 10);

async function readCalendar() {
  const [first, last] = ["first", "last"].map((id) => encodeURIComponent(element(id).value));
  state.calendar = await read(`data/ch4/calendar?first=${first}&last=${last}`);
  state.nAreas = ROWS;
  showCalendar();
}

const cellColour = (name) => `var(--${name || "other"})`;

function showCalendar() {
  const { days, states, areas } = state.calendar, wanted = element("area-filter").value.toLowerCase();
  const seen = new Set(areas.flatMap(({ cells }) => cells.map(([, s]) => s)));
  element("states").replaceChildren(...states.map(([name, title], n) => {
    if (!seen.has(n)) return "";
    const swatch = make("span");
    swatch.style.setProperty("--cell", cellColour(name));
    return make("span", {}, swatch, title);
  }), make("span", { textContent: "empty: nothing on record · dot: scenes of it are missing" }));
  const months = make("tr", {}, make("th", { scope: "col", textContent: "area" }));
  for (let at = 0; at < days.length;) {
    const month = days[at].slice(0, 7), n = days.slice(at).findIndex((day) => !day.startsWith(month)), colSpan = n < 0 ? days.length - at : n;
    months.append(make("th", { scope: "colgroup", colSpan, textContent: colSpan > 4 ? month : "" }));
    at += colSpan;
  }
  const found = areas.filter(({ name }) => name.toLowerCase().includes(wanted)), rows = found.slice(0, state.nAreas).map(calendarRow);
  if (found.length > state.nAreas) rows.push(make("tr", {}, make("td", { colSpan: days.length + 1 }, button(`Show more (${found.length - state.nAreas} below)`, () => { state.nAreas += ROWS; showCalendar(); }, { className: "more" }))));
  if (!rows.length) rows.push(nothing(days.length + 1, "No area."));
  element("calendar").replaceChildren(make("thead", {}, months), make("tbody", {}, ...rows));
  element("calendar").parentNode.scrollLeft = element("calendar").scrollWidth; // where it doesn't fit, to the newest days
}

function calendarRow({ name, cells }) {
  const { days, states } = state.calendar, of = new Map(cells.map((one) => [one[0], one]));
  return make("tr", {}, make("th", { scope: "row", title: name, textContent: name }), ...days.map((day, n) => {
    const node = make("td"), known = of.get(n);
    if (!known) { node.title = `${name}, ${day}: nothing on record`; return node; }
    const [, s, nOpen] = known, told = `${name}, ${day}: ${states[s][1]}${nOpen ? `; missing: ${nOpen}` : ""}`;
    node.style.setProperty("--cell", cellColour(states[s][0]));
    node.dataset.state = states[s][0];
    if (nOpen) node.dataset.open = nOpen;
    node.title = told;
    return node;
  }));
}

/* A day that is pressed is told below, where no pointer hovers; and the map of it is led to. */
function tellCell(event) {
  const node = event.target.closest("td[data-state]");
  if (!node) return;
  const day = state.calendar.days[node.cellIndex - 1];
  element("cell-text").replaceChildren(node.title + ". ", link({ text: "Its map", href: `./?gas=ch4&key=${day}` }));
}

async function readMonths() {
  const { months } = await read("data/co2/calendar?first=&last=");
  const rows = months.map(([month, searched, missed]) => make("tr", {}, cell(month, "short"), cell(searched), cell(missed)));
  element("months").replaceChildren(head("month", "searched", "not searched"), make("tbody", {}, ...(rows.length ? rows : [nothing(3, "No month was looked at.")])));
}

/* --- units, tables */

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });

async function readUnits() {
  const { units } = await read("data/operations/units");
  const rows = units.map((one) => {
    const share = Math.min(1, one.used / one.monthly), bar = make("div", { className: "bar" + (share > 0.9 ? " is-low" : "") }, make("div"));
    bar.firstChild.style.width = `${100 * share}%`;
    const left = one.left === null ? "" : one.was_refused ? `none by the service, until ${one.until}` : `${number(one.left)} until ${one.until}`;
    return make("tr", {}, cell(one.month, "short"), cell(one.account, "short"), cell(number(one.used), "number"), cell(number(one.monthly), "number"), cell(bar), cell(left), cell(number(one.n_requests), "number"));
  });
  element("units").replaceChildren(head("month", "account", "#used", "#of", "", "left", "#requests"), make("tbody", {}, ...(rows.length ? rows : [nothing(7, "None was spent.")])));
}

function ageText(at) {
  const hours = (Date.now() - Date.parse(at)) / 3600000;
  return hours < 1 ? "within the hour" : hours < 48 ? `${Math.round(hours)} hours ago` : `${Math.round(hours / 24)} days ago`;
}

async function readTables() {
  const { tables } = await read("data/operations/tables");
  const rows = tables.map((one) => make("tr", {}, cell(one.name, "short"), cell(ageText(one.written_at), "short"), cell(one.written_at.slice(0, 16).replace("T", " ") + " UTC", "short"),
    cell(one.first === one.last ? one.first : `${one.first} to ${one.last}`), cell(number(one.n_partitions), "number"), cell(number(one.n_bytes / 1e6), "number")));
  element("tables").replaceChildren(head("table", "written", "at", "holds", "#partitions", "#MB"), make("tbody", {}, ...(rows.length ? rows : [nothing(6, "Nothing is stored.")])));
}

/* --- the page */

/* It begins where the days on record end: of a world of last year the last days of today have nothing. */
async function setDays() {
  const { last, is_stored, may_add } = await read("data/operations/start").catch(() => ({ last: dayText(new Date()), is_stored: null, may_add: true }));
  allowAreas(may_add);
  element("last").value = last;
  element("first").value = dayText(new Date(Date.parse(last) - (DAYS_SHOWN - 1) * 86400000));
  element("begins").textContent = is_stored === null ? `Which days are on record could not be read: this ends today, ${last}.`
    : is_stored ? `What follows ends with ${last}: later days have no scene, or aren't on record.` : `Nothing is on record yet: this ends today, ${last}.`;
}

async function start() {
  setTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", setTheme);
  element("fill").addEventListener("click", fill);
  element("failed-filter").addEventListener("input", () => { if (state.gapFill) showFailed(); });
  element("days").addEventListener("change", () => part("failed", readFailed));
  for (const id of ["first", "last"]) element(id).addEventListener("change", () => part("calendar", readCalendar));
  element("area-filter").addEventListener("input", () => { if (state.calendar) showCalendar(); });
  element("calendar").addEventListener("click", tellCell);
  listenToNewArea();
  await Promise.all([part("failed", readFailed), part("calendar", () => setDays().then(readCalendar)), part("months", readMonths), part("units", readUnits), part("tables", readTables)]);
  document.documentElement.dataset.content = "ready";
}

start();
