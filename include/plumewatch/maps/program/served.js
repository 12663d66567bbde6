"use strict";
/* Many keys, read from where the page lies: from Airflow's plugin, or from the files of a site. */
const served = JSON.parse(element("content").textContent), asked = new URLSearchParams(location.search);
const isSite = served.feed === "site", ALL = "all";
const shownNow = { gas: null, keys: [], at: 0, width: ALL };

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const { detail } = await answer.json().catch(() => ({}));
  throw new Error(typeof detail === "string" ? detail : `${answer.status} ${answer.statusText}`);
}

const read = async (path, options) => (await ask(path, options)).json();
const part = (text) => encodeURIComponent(text);
const ofKey = (d) => `data/${part(shownNow.gas)}/${part(d.key)}`;
const chosenKeys = () => (shownNow.width === ALL ? shownNow.keys : shownNow.keys.slice(Math.max(0, shownNow.at + 1 - Number(shownNow.width)), shownNow.at + 1));

function contentPath() {
  const keys = chosenKeys(), { gas } = shownNow;
  if (isSite) return `data/${part(gas)}/${shownNow.width === ALL ? ALL : part(keys[0])}.json`;
  return `data/${part(gas)}/content?first=${part(keys[0])}&last=${part(keys.at(-1))}`;
}

function cellsPath({ name, is_monthly }, key) {
  const { gas } = shownNow;
  if (isSite) return `data/${part(gas)}/${is_monthly ? part(key) + "." : ""}${part(name)}.json`;
  return `data/${part(gas)}/cells?kind=${part(name)}&key=${is_monthly ? part(key) : ""}`;
}

async function readContent() {
  if (!shownNow.keys.length) throw new Error("Nothing is stored yet: no day or month has been looked at.");
  const blob = await (await ask(contentPath())).blob(), content = JSON.parse(await blob.text());
  if (page.content?.address) URL.revokeObjectURL(page.content.address);
  if (Array.isArray(content.detections)) return content; // of a site whose key was written before there were columns
  return { ...content, detections: rowsOf(content.detections), address: URL.createObjectURL(blob) };
}

/* --- which keys */

function setGas(name) {
  const gas = served.gases.find((one) => one.name === name) ?? served.gases.find((one) => one.keys.length) ?? served.gases[0];
  Object.assign(shownNow, { gas: gas.name, keys: gas.keys, at: gas.keys.length - 1 });
  shownNow.width = gas.keys.length <= served.max_keys || isSite ? ALL : String(served.widths.at(-1));
  element("gas").value = gas.name;
  showPeriod();
}

function showPeriod() {
  const { keys, at, width } = shownNow, slider = element("key"), chosen = chosenKeys();
  Object.assign(slider, { min: 0, max: Math.max(0, keys.length - 1), value: at, disabled: width === ALL || keys.length < 2 });
  element("width").value = width;
  const text = chosen.length < 2 ? chosen.join("") : `${chosen[0]} to ${chosen.at(-1)}`;
  slider.setAttribute("aria-valuetext", text);
  element("period-text").textContent = text;
  for (const [id, end] of [["earlier", 0], ["later", keys.length - 1]]) element(id).disabled = width === ALL || at === end;
}

let nAsked = 0;

async function load(options) {
  const n = ++nAsked;
  document.documentElement.dataset.content = "reading";
  showPeriod();
  try {
    const content = await readContent();
    if (n !== nAsked) return;
    element("fallback").hidden = true;
    showContent(content, options);
  } catch (error) {
    if (n === nAsked) say(error.message);
  }
  if (n === nAsked) document.documentElement.dataset.content = "ready";
}

function fillPeriod() {
  element("period").hidden = false;
  element("gas").replaceChildren(...served.gases.map(({ name, title }) => make("option", { value: name, textContent: title })));
  const widths = [...served.widths.map((n) => [String(n), n === 1 ? "one at a time" : `${n} at a time`]), [ALL, "all"]];
  element("width").replaceChildren(...widths.map(([value, textContent]) => make("option", { value, textContent })));
  element("gas").addEventListener("change", () => { setGas(element("gas").value); load({ isMoved: true }); });
  element("width").addEventListener("change", () => { shownNow.width = element("width").value; load(); });
  element("key").addEventListener("input", () => { shownNow.at = Number(element("key").value); showPeriod(); });
  element("key").addEventListener("change", () => load());
  for (const [id, step] of [["earlier", -1], ["later", 1]]) element(id).addEventListener("click", () => { shownNow.at += step; load(); });
}

/* --- what the page starts with: all, or the key of a run, or one detection that a link names */

async function begin() {
  if (!isSite) Object.assign(served, await read("data/start"));
  fillPeriod();
  let { gas, key } = Object.fromEntries(["gas", "key"].map((name) => [name, asked.get(name)]));
  if (asked.get("run")) {
    const run = await read(`data/run?dag_id=${part(asked.get("dag"))}&run_id=${part(asked.get("run"))}`);
    ({ gas, key } = run);
    if (run.problem) say(run.problem);
  }
  setGas(gas);
  if (shownNow.keys.includes(key)) Object.assign(shownNow, { at: shownNow.keys.indexOf(key), width: "1" });
  showPeriod();
  return readContent();
}

function linked() {
  const d = page.byId.get(asked.get("id"));
  if (d) choose(d);
}

/* --- details, history, verdicts */

async function told(d) {
  if (!isSite) return read(`${ofKey(d)}/detection?id=${part(d.id)}`);
  const details = await read(`${ofKey(d)}.details.json`);
  return details[d.id];
}

async function review(d, verdict, comment) {
  const body = JSON.stringify({ key: d.key, id: d.id, verdict, comment });
  const { reviews } = await read(`data/${part(shownNow.gas)}/review`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  load({ keepsPanel: true });
  return reviews;
}

start({
  content: begin,
  started: linked,
  told,
  history: isSite ? null : (s) => read(`data/${part(shownNow.gas)}/history?source_id=${part(s.id)}`),
  review: isSite ? null : review,
  cells: () => cellChoice(served.gases.find(({ name }) => name === shownNow.gas).cells, chosenKeys(), cellsPath),
  rasters: rasterChoice, withoutRaster: () => layRaster(null),
  tiles: served.tiles,
  loadMapLibre, world,
  points: (content, ...places) => address("points", content, ...places),
}, served.licences);
