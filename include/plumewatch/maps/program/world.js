"use strict";
/* The world behind the map, from the TopoJSON of world-atlas: land, borders, coasts, and where countries are named. */

/* Lines that step over the antimeridian go on beyond 180 degrees instead of running back across the whole map. */
function unwrap(line) {
  let shift = 0;
  return line.map(([lon, lat], n) => {
    const step = n ? lon - line[n - 1][0] : 0;
    shift -= Math.abs(step) > 180 ? 360 * Math.sign(step) : 0;
    return [lon + shift, lat];
  });
}

/* A name stands in the middle of the widest part, from the zoom on at which there is room for its letters. */
function countryName({ geometry, properties }) {
  const boxes = geometry.coordinates.map(([ring]) => {
    const x = ring.map((c) => c[0]), y = ring.map((c) => c[1]);
    return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
  });
  const [west, south, east, north] = boxes.reduce((a, b) => ((b[2] - b[0]) * (b[3] - b[1]) > (a[2] - a[0]) * (a[3] - a[1]) ? b : a));
  const zoom = Math.log2((properties.name.length * 9 * 360) / (512 * (east - west)));
  return { name: properties.name, lon: (west + east) / 2, lat: (south + north) / 2, zoom };
}

function worldOf(atlas, topojson) {
  const land = topojson.feature(atlas, atlas.objects.countries).features;
  for (const { geometry } of land) {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    Object.assign(geometry, { type: "MultiPolygon", coordinates: polygons.map((rings) => rings.map(unwrap)) });
  }
  const mesh = (part, keep) => {
    const lines = topojson.mesh(atlas, atlas.objects.countries, keep);
    return { type: "Feature", properties: { part }, geometry: { ...lines, coordinates: lines.coordinates.map(unwrap) } };
  };
  const names = land.map(countryName).sort((a, b) => a.zoom - b.zoom);
  const parts = land.map(({ geometry }) => ({ type: "Feature", properties: { part: "land" }, geometry }));
  parts.push(mesh("borders", (a, b) => a !== b), mesh("coast", (a, b) => a === b));
  return { world: { type: "FeatureCollection", features: parts }, names };
}
