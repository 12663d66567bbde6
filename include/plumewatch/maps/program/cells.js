"use strict";
/* Cells under all else: XCO2 of a month, or a gridded inventory. One kind at a time, chosen in the legend; the choice
   stays when another day or month is shown, and what is shown follows. */
const cellsNow = { name: null, path: null };

function squares({ cells, size: [width, height] }) {
  return rowsOf(cells).map(({ lon, lat, value }, n) => {
    const west = lon - width / 2, east = lon + width / 2, south = Math.max(-90, lat - height / 2), north = Math.min(90, lat + height / 2);
    return feature({ type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] }, { n, value });
  });
}

function layCells(answer, path = null) {
  const { map } = page;
  page.cells = answer;
  cellsNow.path = path;
  showAttribution();
  if (map.getLayer("cells")) {
    map.removeLayer("cells");
    map.removeSource("cells");
  }
  if (answer) give("cells", collection(squares(answer)));
}

function cellLegend({ legend, text }, isLastOfMany) {
  const said = make("span", { textContent: (isLastOfMany ? "The last of the months chosen. " : "") + text });
  return legend ? [rasterLegend(legend), make("br"), said] : [said];
}

/* Whoever is answered last, only what was chosen last is shown. */
function cellChoice(offered, keys, pathOf) {
  const legend = make("p", { className: "cell-legend" });
  legend.setAttribute("role", "status");
  const choose = async (one) => {
    const path = one ? pathOf(one, keys.at(-1)) : null, isAsked = () => cellsNow.name === (one?.name ?? null) && legend.isConnected;
    cellsNow.name = one?.name ?? null;
    if (cellsNow.path !== path) layCells(null);
    legend.textContent = one ? "Reading ..." : "";
    if (!one) return;
    try {
      const answer = page.cells ?? await read(path);
      if (!isAsked()) return;
      if (cellsNow.path !== path) layCells(answer, path);
      legend.replaceChildren(...cellLegend(answer, one.is_monthly && keys.length > 1));
    } catch (error) {
      if (isAsked()) legend.textContent = "Not read: " + error.message;
    }
  };
  const chosen = offered.find(({ name }) => name === cellsNow.name);
  const radio = (one, textContent) => {
    const box = make("input", { type: "radio", name: "cells", checked: one === chosen });
    box.addEventListener("change", () => choose(one));
    return make("label", {}, box, " ", textContent);
  };
  const node = make("fieldset", { className: "cells" }, make("legend", { textContent: "Cells" }), radio(undefined, "none"), ...offered.map((one) => radio(one, one.label)), legend);
  queueMicrotask(() => choose(chosen)); // when it stands in the page
  return node;
}
