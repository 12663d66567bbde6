"use strict";
/* The panel beside the map: what is known of a detection or a source. */

function openPanel(...nodes) {
  page.listScroll ??= element("lists").scrollTop;
  element("told-body").replaceChildren(...nodes);
  element("told").hidden = false;
  element("listed").hidden = true;
  if (isNarrow()) element("told").scrollIntoView({ block: "nearest" });
  element("close-told").focus({ preventScroll: true });
}

function closePanel() {
  if (element("told").hidden) return;
  element("told").hidden = true;
  element("listed").hidden = false;
  element("lists").scrollTop = page.listScroll ?? 0;
  page.listScroll = null;
  const chosen = [...document.querySelectorAll(".detection")].find((b) => b.dataset.id === page.chosen);
  mark(null);
  if (chosen) chosen.focus({ preventScroll: true });
}

/* One detection is the chosen one, in the list and on the map. */
function mark(d) {
  page.chosen = d ? d.id : page.chosen;
  for (const one of document.querySelectorAll(".detection")) {
    if (d && one.dataset.id === d.id) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
  if (page.map) give("chosen", collection(d ? [point(d, { radius: d.radius })] : []));
  showSector(null);
  showTrack(null);
  page.feed.withoutRaster?.();
}

/* The sector upwind of a peak, by the wind at the peak. */
function showSector(sector) {
  if (page.map) give("sector", collection(sector ? [feature(sector, {})] : []));
}

/* The orbit that is told of. */
function showTrack(n) {
  if (page.map) give("chosen-track", collection(n === null ? [] : [page.content.tracks.features[n]]));
}

/* What is no detection takes the panel: an answer about one that comes late doesn't. */
function unmark() {
  page.chosen = null;
  mark(null);
}

function tellOrbit(n) {
  unmark();
  openPanel(lookInfo(page.content.orbits[n]));
  showTrack(n);
}

function tellArea({ name }) {
  const { outcome, lines, is_searched } = page.content.looked_at.find((one) => one.name === name);
  unmark();
  openPanel(lookInfo({ title: name, outcome, state: is_searched ? "nothing_seen" : "not_searched", lines }));
}

/* A cell of those that lie under all else. */
function tellCell(n) {
  const { title, unit, size: [width, height], told, facts, cells } = page.cells, of = (name) => cells.columns[name].each[n];
  const text = (value, letters) => `${Math.abs(value).toLocaleString("en")}°${letters[value < 0 ? 1 : 0]}`;
  const place = `${width.toLocaleString("en")}° x ${height.toLocaleString("en")}° around ${text(of("lon"), "EW")} ${text(of("lat"), "NS")}`;
  unmark();
  openPanel(make("div", { className: "info" }, make("h3", { textContent: title }), make("p", { className: "big", textContent: `${of("value").toLocaleString("en")} ${unit}` }),
    factList([["cell", place], ...told.map(([label, name, its]) => [label, of(name).toLocaleString("en") + its]), ...facts])));
}

/* What came of looking, whether something was seen or not. */
function lookInfo({ title, time, outcome, state, facts = [], lines = [] }) {
  const badge = make("span", { className: "badge", textContent: outcome });
  badge.style.background = colour(state) + "33";
  return make("div", { className: "info" }, make("h3", { textContent: title }), time ? make("p", { textContent: time }) : null, make("p", {}, badge),
    factList(facts), ...lines.map((textContent) => make("p", { textContent })));
}

async function tellDetection(d) {
  mark(d);
  const given = page.feed.told(d);
  if (!(given instanceof Promise)) { openPanel(detectionInfo(d, given)); showSector(given.sector); return; }
  openPanel(detectionInfo(d, { facts: [], matches: [], links: [] }), make("p", { className: "waiting", textContent: "Reading the details ..." }));
  const told = await given.catch((error) => ({ facts: [], matches: [], links: [], problem: error.message }));
  if (page.chosen !== d.id || element("told").hidden) return;
  element("told-body").replaceChildren(detectionInfo(d, told));
  showSector(told.sector);
  if (told.outline && page.map && !page.content.plumes.features.length) give("plumes", collection([feature(told.outline, { id: d.id, state: d.state })]));
}

async function tellSources(sources) {
  const infos = sources.map(sourceInfo);
  openPanel(...infos);
  if (!page.feed.history) return;
  await Promise.all(sources.map(async (s, n) => {
    const history = await page.feed.history(s).catch((error) => ({ lines: [error.message], seen: [], links: [] }));
    infos[n].append(historyInfo(history));
  }));
}

function detectionInfo(d, told) {
  const badge = make("span", { className: "badge", textContent: d.state_text });
  badge.style.background = colour(d.state) + "33";
  return make("div", { className: "info" },
    make("h3", { textContent: d.title }),
    make("p", { textContent: d.time + ", " + d.seen_in }),
    make("p", { className: "big" }, d.rate_text, d.interval_text ? make("small", { textContent: " " + d.interval_text }) : null),
    make("p", {}, badge),
    told.problem ? make("p", { className: "note", textContent: told.problem }) : null,
    told.picture ? pictureButton(told.picture) : null,
    page.map && told.layers?.length ? page.feed.rasters(d, told.layers) : null,
    told.matches.length ? matchTable(told.matches) : null,
    factList(told.facts),
    ...told.links.map((one) => make("p", {}, link(one))),
    page.feed.review ? reviewForm(d, told) : null);
}

function factList(facts) {
  const list = make("dl");
  for (const [name, value] of facts) list.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
  return list;
}

function pictureButton(src) {
  const image = () => make("img", { src, alt: "What this detection was made from" });
  const node = make("button", { type: "button", className: "picture", title: "Show in full size" }, image());
  node.addEventListener("click", () => { element("large-picture").replaceChildren(image()); element("picture").showModal(); });
  return node;
}

function table(caption, head, rows) {
  const cells = (tag, texts) => texts.map((textContent) => make(tag, tag === "th" ? { scope: "col", textContent } : { textContent }));
  return make("table", {}, make("caption", { textContent: caption }),
    make("thead", {}, make("tr", {}, ...cells("th", head))),
    make("tbody", {}, ...rows.map((texts) => make("tr", {}, ...cells("td", texts)))));
}

const matchTable = (matches) =>
  table("Sources that may be behind it", ["source", "probability", "distance", "expected"], matches.map((m) => [m.name, m.probability, m.distance, m.expected]));

function sourceInfo(s) {
  return make("div", { className: "info" }, make("h3", { textContent: s.name }), make("p", { className: "big", textContent: s.rate_text }), factList(s.facts),
    ...sourcePages([s.id]).map((one) => make("p", {}, link(one))));
}

/* Where all passes over sources are told, of those that have such a page beside this one. */
const sourcePages = (ids) => page.content.sources.filter((s) => ids.includes(s.id) && page.content.source_pages[s.id])
  .map(({ id, name }) => ({ text: "All passes over " + name, href: page.content.source_pages[id] }));

/* What others saw is told as such, and apart from what was found here. */
const reportInfo = (r) => make("div", { className: "info" }, make("h3", { textContent: "Reported by others" }), make("p", { textContent: r.time }),
  make("p", { className: "big", textContent: r.rate_text }), factList(r.facts));

/* How often it was looked at, how often seen, how much, since when. */
function historyInfo({ lines, seen, links }) {
  return make("div", { className: "history" }, make("h3", { textContent: "What was seen of it" }),
    ...lines.map((textContent) => make("p", { textContent })),
    seen.length ? table("Detections of which it is the most probable source", ["when", "rate", "probability"], seen) : null,
    ...links.map((one) => make("p", {}, link(one))));
}

const VERDICTS = [["confirm", "Confirm"], ["reject", "Reject"]];

function reviewForm(d, told) {
  const said = make("ul", { className: "reviews" }, ...(told.reviews ?? []).map((textContent) => make("li", { textContent })));
  if (!told.may_review) return make("div", { className: "review" }, said);
  const comment = make("textarea", { rows: 2, maxLength: 2000, placeholder: "Why (optional)", ariaLabel: "Comment" });
  const answer = make("p", { className: "answer" });
  answer.setAttribute("role", "status");
  const send = (verdict) => async () => {
    answer.textContent = "Saving ...";
    try {
      said.replaceChildren(...(await page.feed.review(d, verdict, comment.value)).map((textContent) => make("li", { textContent })));
      answer.textContent = "Saved; matches and maps heed it.";
    } catch (error) {
      answer.textContent = "Not saved: " + error.message;
    }
  };
  return make("div", { className: "review" }, make("h3", { textContent: "Your verdict" }), said, comment,
    make("p", {}, ...VERDICTS.map(([verdict, text]) => button(text, send(verdict), { className: "verdict" }))), answer);
}
