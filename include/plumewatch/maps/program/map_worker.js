"use strict";
/* Runs in the workers of the map, beside topojson and world.js: makes there what is drawn, so that the page doesn't have to. */
{
  /* The map's worker hands back to the page what it has read from an address, piece by piece, unless it can't see it. */
  const unseen = (features) => Object.defineProperty({ type: "FeatureCollection" }, "features", { value: features });

  const makers = {
    async world(atlas, channel) {
      const { world, names } = worldOf(await (await fetch(atlas)).json(), topojson);
      new BroadcastChannel(channel).postMessage(names);
      return world.features;
    },
    /* Of the rows of a content (columns.py), or some of them by their places. */
    async points(content, places) {
      const { n, columns } = (await (await fetch(content)).json()).detections;
      const read = ({ each, of, at }) => (each ? (row) => each[row] : (row) => of[at[row]]);
      const [lon, lat, id, state, radius, to, size] = ["lon", "lat", "id", "state", "radius", "wind_to", "wind_size"].map((name) => read(columns[name]));
      const rows = places ? await (await fetch(places)).json() : Array.from({ length: n }, (_, row) => row);
      return rows.map((row) => ({
        type: "Feature", geometry: { type: "Point", coordinates: [lon(row), lat(row)] },
        properties: { id: id(row), state: state(row), radius: radius(row), ...(to(row) === null ? {} : { to: to(row), size: size(row) }) },
      }));
    },
  };

  self.addProtocol("plumewatch", async ({ url }) => {
    const { searchParams } = new URL(url);
    return { data: unseen(await makers[searchParams.get("part")](...searchParams.getAll("given"))) };
  });
}
