"use strict";
/* Runs the program of a page on a stand-in for the DOM that knows what the pages use. Whatever would make markup of a
   text, or a program of one, throws; so does everything that would reach the network, as it isn't there. */
const fs = require("node:fs");
const vm = require("node:vm");

const task = JSON.parse(fs.readFileSync(0, "utf8"));
const READY_MS = 20000, CANVAS = { width: 900, height: 600 };
const pens = [], blobs = new Map(), resizes = [];

class Text {
  constructor(text) { this.textContent = String(text); this.parentNode = null; }
  remove() { this.parentNode?.take(this); }
}

function recordingPen() {
  const calls = [];
  return new Proxy({ calls, getImageData: (x, y, width, height) => ({ width, height }) }, {
    get(pen, name) {
      if (name in pen) return pen[name];
      return (...args) => {
        if (name === "clearRect") calls.length = 0;
        calls.push({ name, args, fillStyle: pen.fillStyle, strokeStyle: pen.strokeStyle });
      };
    },
  });
}

class Element {
  constructor(tag) {
    Object.assign(this, { localName: tag, childNodes: [], parentNode: null, style: {}, dataset: {}, className: "", id: "", listeners: [], seen: 0 });
    Object.assign(this, { attributes: {}, offsetWidth: 0, offsetHeight: 0, hidden: false });
    if (tag === "canvas") Object.assign(this, { clientWidth: CANVAS.width, clientHeight: CANVAS.height });
    if (tag === "div") this.clientHeight = CANVAS.height;
    this.classList = { add: (name) => { this.className = [...this.classes, name].join(" "); }, remove: (name) => { this.className = this.classes.filter((c) => c !== name).join(" "); } };
  }
  get classes() { return this.className.split(" ").filter(Boolean); }
  get children() { return this.childNodes.filter((node) => node instanceof Element); }
  get textContent() { return this.childNodes.map((node) => node.textContent).join(""); }
  set textContent(text) { this.replaceChildren(new Text(text)); }
  get nextElementSibling() { const all = this.parentNode?.children ?? []; return all[all.indexOf(this) + 1] ?? null; }
  set innerHTML(_) { throw new Error("markup of a text: innerHTML"); }
  set outerHTML(_) { throw new Error("markup of a text: outerHTML"); }
  insertAdjacentHTML() { throw new Error("markup of a text: insertAdjacentHTML"); }
  setHTMLUnsafe() { throw new Error("markup of a text: setHTMLUnsafe"); }
  take(node) { this.childNodes = this.childNodes.filter((other) => other !== node); node.parentNode = null; }
  insert(at, nodes) {
    const own = nodes.map((node) => (node instanceof Element || node instanceof Text ? node : new Text(node)));
    own.forEach((node) => node.remove());
    this.childNodes.splice(at, 0, ...own);
    for (const node of own) { node.parentNode = this; if (node.localName === "script" && node.src) load(node); }
  }
  append(...nodes) { this.insert(this.childNodes.length, nodes); }
  replaceChildren(...nodes) { [...this.childNodes].forEach((node) => this.take(node)); this.append(...nodes); }
  get options() { return this.querySelectorAll("option"); }
  after(...nodes) { this.parentNode.insert(this.parentNode.childNodes.indexOf(this) + 1, nodes); }
  remove() { this.parentNode?.take(this); }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  getAttribute(name) { return this.attributes[name] ?? null; }
  removeAttribute(name) { delete this.attributes[name]; }
  addEventListener(type, listener) { this.listeners.push({ type, listener }); }
  closest(selector) { return this.matches(selector) ? this : this.parentNode?.closest?.(selector) ?? null; }
  matches(selector) { return selector.split(",").some((one) => matchesAll(this, one.trim().replace(/\s*>\s*/g, " >").split(/\s+/))); }
  querySelectorAll(selector) { return this.children.flatMap((child) => [...(child.matches(selector) ? [child] : []), ...child.querySelectorAll(selector)]); }
  getContext(kind) {
    if (kind !== "2d") return task.maplibre ? {} : null;
    if (!this.pen) pens.push((this.pen = recordingPen()));
    return this.pen;
  }
  getBoundingClientRect() { return { left: 0, top: 0 }; }
  setPointerCapture() {}
  scrollIntoView() { this.seen += 1; }
  focus() { document.activeElement = this; }
  showModal() { this.open = true; }
}

/* Tags, #ids and .classes, below or right below (" >") each other. */
function matchesAll(element, parts) {
  const own = parts.at(-1), before = parts.slice(0, -1), simple = own.replace(">", "");
  const [, tag, rest] = /^([\w-]*)(.*)$/.exec(simple);
  const isIt = (!tag || element.localName === tag) && (rest.match(/[#.][\w-]+/g) ?? []).every((p) => (p[0] === "#" ? element.id === p.slice(1) : element.classes.includes(p.slice(1))));
  if (!isIt || !before.length) return isIt;
  for (let above = element.parentNode; above instanceof Element; above = above.parentNode) {
    if (matchesAll(above, before)) return true;
    if (own.startsWith(">")) return false;
  }
  return false;
}

function build({ tag, attributes, children }) {
  const element = new Element(tag);
  const { id = "", class: className = "", ...others } = attributes;
  Object.assign(element, { id, className, attributes: others });
  for (const name of ["hidden", "checked", "open"]) if (name in others) element[name] = true;
  for (const name of ["value", "type"]) if (name in others) element[name] = others[name];
  element.append(...children.map((child) => (typeof child === "string" ? child : build(child))));
  if (tag === "select") element.value = element.querySelectorAll("option")[0]?.value ?? "";
  return element;
}

async function load(script) {
  const text = await blobs.get(script.src).text();
  vm.runInContext(/\bmaplibregl\b/.test(text) ? task.maplibre : text, context);
  script.onload();
}

function fire(target, type, more = {}) {
  const event = { type, prevented: false, preventDefault() { this.prevented = true; }, ...more };
  for (const one of target.listeners) if (one.type === type) one.listener(event);
  return event;
}

const page = build(task.tree);
const document = {
  documentElement: page.querySelectorAll("html")[0],
  head: page.querySelectorAll("head")[0],
  body: page.querySelectorAll("body")[0],
  createElement: (tag) => new Element(tag),
  getElementById: (id) => page.querySelectorAll("#" + id)[0] ?? null,
  querySelectorAll: (selector) => page.querySelectorAll(selector),
  listeners: [],
  addEventListener(type, listener) { this.listeners.push({ type, listener }); },
  write() { throw new Error("markup of a text: document.write"); },
};
const globals = {
  document, innerWidth: 1200, devicePixelRatio: 1, atob, Blob, DecompressionStream, Response, setTimeout,
  getComputedStyle: () => ({ getPropertyValue: (name) => " " + name }),
  matchMedia: () => ({ matches: false, addEventListener() {} }),
  requestAnimationFrame: (paint) => queueMicrotask(paint),
  ResizeObserver: class { constructor(listener) { resizes.push(listener); } observe() {} },
  URL: { createObjectURL: (blob) => { const url = "blob:" + blobs.size; blobs.set(url, blob); return url; }, revokeObjectURL() {} },
  /* What steps may call besides: */
  element: (id) => document.getElementById(id),
  all: (selector, within = page) => within.querySelectorAll(selector),
  texts: (selector, within = page) => within.querySelectorAll(selector).map((element) => element.textContent),
  fire,
  click: (target) => fire(target, "click"),
  change: (target, now) => fire(Object.assign(target, now), "change"),
  painted: () => new Promise((resolve) => setTimeout(() => resolve(pens[0].calls))),
  resize(element, width, height) { Object.assign(element, { clientWidth: width, clientHeight: height }); resizes.forEach((listener) => listener()); },
};
globals.window = globals.parent = globals;
const context = vm.createContext(globals, { codeGeneration: { strings: false, wasm: false } });

async function main() {
  const program = page.querySelectorAll("script").find((script) => !script.id && !script.src);
  vm.runInContext(program.textContent, context);
  const { dataset } = document.documentElement;
  for (const end = Date.now() + READY_MS; !dataset.map && !dataset.scene; ) {
    if (Date.now() > end) throw new Error("the page never got ready");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const result = await vm.runInContext(`(async () => {${task.steps}})()`, context);
  process.stdout.write(JSON.stringify(result ?? null));
}

main().catch((error) => { console.error(error); process.exit(1); });
