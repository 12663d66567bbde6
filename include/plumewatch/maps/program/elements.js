"use strict";
/* What all parts of the program share. Names come from files of strangers: they enter the page as text nodes only. */
const page = { content: null, feed: null, map: null, byId: new Map(), showsRefused: false, showsLessProbable: false, chosen: null, nListed: 0, nLeft: 0, seen: "" };

const element = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const isNarrow = () => matchMedia("(max-width: 760px)").matches;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function button(textContent, act, properties = {}) {
  const node = make("button", { type: "button", textContent, ...properties });
  node.addEventListener("click", act);
  return node;
}

/* In a frame of Airflow's UI a link can't open a window: the page around it does. */
function link({ text, href }) {
  const node = make("a", { href, target: "_blank", rel: "noopener", textContent: text });
  node.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outside = window.parent.document, same = outside.createElement("a");
    Object.assign(same, { href: new URL(href, location.href).href, target: "_blank", rel: "noopener" });
    outside.body.append(same);
    same.click();
    same.remove();
  });
  return node;
}

/* Airflow's choice of light or dark where the page stands in its UI, else the system's. */
function setTheme() {
  let isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const outside = window.parent !== window ? window.parent.document.documentElement.className.split(" ") : [];
  if (outside.includes("dark") || outside.includes("light")) isDark = outside.includes("dark");
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

const feature = (geometry, properties) => ({ type: "Feature", geometry, properties });
const point = (thing, properties) => feature({ type: "Point", coordinates: [thing.lon, thing.lat] }, properties);
const collection = (features) => ({ type: "FeatureCollection", features });
const empty = collection([]);

/* Rows that are read from columns (columns.py) when they are asked for something. */
function rowsOf({ n, columns }) {
  class Row { constructor(n) { this.at = n; } }
  for (const [name, { each, of, at }] of Object.entries(columns)) {
    Object.defineProperty(Row.prototype, name, { get: each ? function () { return each[this.at]; } : function () { return of[at[this.at]]; } });
  }
  return Array.from({ length: n }, (_, n) => new Row(n));
}
