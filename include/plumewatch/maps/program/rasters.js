"use strict";
/* A raster of the detection that is told of, laid under its outline: one at a time, chosen in the panel. */
const UNDER = ["sector", "sector-edge", "plumes", "plume-edges", "refused", "lines", "detections"];
const VEILS = [["plumes", "fill-opacity", 0], ["detections", "circle-opacity", 0.1]]; // what would hide it, while it is there

function layRaster(drawn) {
  const { map } = page;
  if (!map) return;
  if (map.getLayer("raster")) {
    map.removeLayer("raster");
    map.removeSource("raster");
  }
  for (const [id, name, value] of VEILS) if (map.getLayer(id)) map.setPaintProperty(id, name, drawn ? value : paints()[id][name]);
  if (!drawn) return;
  map.addSource("raster", { type: "image", url: drawn.picture, coordinates: drawn.corners });
  const paint = { "raster-resampling": "nearest", "raster-fade-duration": 0 };
  map.addLayer({ id: "raster", type: "raster", source: "raster", paint }, UNDER.find((id) => map.getLayer(id)));
}

function rasterLegend({ title, low, high, colours }) {
  const bar = make("span", { className: "ramp" });
  bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
  return make("span", {}, make("span", { textContent: title }), make("br"), `${low} `, bar, ` ${high}`);
}

/* Which of them is seen on the map; of the first answer that is wanted no more nothing comes. */
function rasterChoice(d, layers) {
  const legend = make("p", { className: "raster-legend" });
  legend.setAttribute("role", "status");
  let asked = null;
  const choose = async (one) => {
    asked = one;
    layRaster(null);
    legend.textContent = one ? "Reading ..." : "";
    if (!one) return;
    try {
      const drawn = await read(one.href);
      if (asked !== one || page.chosen !== d.id || element("told").hidden) return;
      layRaster(drawn);
      legend.replaceChildren(rasterLegend(drawn.legend));
    } catch (error) {
      if (asked === one) legend.textContent = "Not read: " + error.message;
    }
  };
  const radio = (one, textContent) => {
    const box = make("input", { type: "radio", name: "raster", checked: !one });
    box.addEventListener("change", () => choose(one));
    return make("label", {}, box, " ", textContent);
  };
  return make("fieldset", { className: "rasters" }, make("legend", { textContent: "On the map" }), radio(null, "no raster"), ...layers.map((one) => radio(one, one.label)), legend);
}
