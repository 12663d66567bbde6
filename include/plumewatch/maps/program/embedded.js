"use strict";
/* One key whose page has everything in it: it asks nobody. */
async function unpack(id) {
  const bytes = Uint8Array.from(atob(element(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

async function runScript(id) {
  const url = URL.createObjectURL(new Blob([await unpack(id)], { type: "text/javascript" }));
  await new Promise((resolve, reject) => {
    document.head.append(make("script", { src: url, onload: resolve, onerror: () => reject(new Error(id + " did not load")) }));
  });
  URL.revokeObjectURL(url);
}

const given = JSON.parse(element("content").textContent);

start({
  content: () => given,
  told: (d) => ({
    facts: d.facts, matches: d.matches, sector: given.sectors[d.id],
    picture: given.pictures[d.id] && "data:image/png;base64," + given.pictures[d.id],
    links: [...sourcePages(d.first_sources), ...(given.scene_pages[d.id] ? [{ text: "What each method says of this scene", href: given.scene_pages[d.id] }] : [])],
  }),
  async loadMapLibre() {
    document.head.append(make("style", { textContent: await unpack("packed-maplibre-css") }));
    await runScript("packed-maplibre-js");
    await runScript("packed-topojson-js");
  },
  async world() {
    const { world, names } = worldOf(JSON.parse(await unpack("packed-countries")), topojson);
    return { world, names: Promise.resolve(names) };
  },
}, given.licences);
