"use strict";
/* Makes the world beside the page that shows it, and tells where its parts are. */
importScripts("topojson-client.min.js", "world.js");
(async () => {
  const atlas = await (await fetch("countries-50m.json")).json();
  const parts = Object.entries(worldOf(atlas, topojson));
  postMessage(Object.fromEntries(parts.map(([id, part]) => [id, URL.createObjectURL(new Blob([JSON.stringify(part)]))])));
})();
