"use strict";
/* How far it is along places that are pressed one after the other. While it is measured, a press opens nothing. */
const EARTH_KM = 6371.0088; // mean radius, IUGG
const measure = { isOn: false, places: [] };

function distanceKm([lon1, lat1], [lon2, lat2]) {
  const rad = Math.PI / 180, h = Math.sin(((lat2 - lat1) * rad) / 2) ** 2 + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}

const lengthKm = (places) => places.slice(1).reduce((sum, place, n) => sum + distanceKm(places[n], place), 0);
const lengthText = (km) => (km < 1 ? `${Math.round(km * 1000)} m` : km < 100 ? `${km.toFixed(2)} km` : `${Math.round(km).toLocaleString("en")} km`);

function showMeasured() {
  const { places, isOn } = measure, told = element("measured");
  told.hidden = !isOn;
  told.textContent = places.length > 1 ? lengthText(lengthKm(places)) : "Press where the line begins, then where it goes.";
  const shapes = places.map((coordinates) => feature({ type: "Point", coordinates }, {}));
  if (places.length > 1) shapes.push(feature({ type: "LineString", coordinates: places }, {}));
  give("measure", collection(shapes));
}

function switchMeasure(node) {
  Object.assign(measure, { isOn: !measure.isOn, places: [] });
  node.setAttribute("aria-pressed", measure.isOn);
  page.map.getCanvas().style.cursor = measure.isOn ? "crosshair" : "";
  showMeasured();
}

/* A button among those of the map. */
class MeasureControl {
  onAdd(map) {
    const node = button("", () => switchMeasure(node), { title: "Measure a distance", ariaLabel: "Measure a distance", className: "measure" });
    node.setAttribute("aria-pressed", false);
    map.on("click", ({ lngLat }) => {
      if (!measure.isOn) return;
      measure.places.push([lngLat.lng, lngLat.lat]);
      showMeasured();
    });
    this.box = make("div", { className: "maplibregl-ctrl maplibregl-ctrl-group" }, node);
    return this.box;
  }
  onRemove() { this.box.remove(); }
}
