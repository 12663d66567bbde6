"use strict";
/* MapLibre and the world behind its map, from the files that lie beside a served page. */
const add = (tag, properties) => new Promise((resolve, reject) => {
  document.head.append(make(tag, { ...properties, onload: resolve, onerror: () => reject(new Error("the map's program did not load")) }));
});

/* What the map's workers are told to make: see map_worker.js. */
const address = (part, ...given) => `plumewatch://make?${new URLSearchParams([["part", part], ...given.map((one) => ["given", one])])}`;
const asset = (name) => new URL(`assets/${name}`, location.href).href;

async function loadMapLibre() {
  await Promise.all([add("link", { rel: "stylesheet", href: "assets/maplibre-gl.css" }), add("script", { src: "assets/maplibre-gl.js" })]);
  await Promise.all(["topojson-client.min.js", "world.js", "map_worker.js"].map((name) => maplibregl.importScriptInWorkers(asset(name))));
}

function world() {
  const channel = crypto.randomUUID(), heard = new BroadcastChannel(channel);
  const names = new Promise((resolve) => { heard.onmessage = ({ data }) => { heard.close(); resolve(data); }; });
  return { world: address("world", asset("countries-50m.json"), channel), names };
}
