"use strict";
/* Icons are drawn here: one shape a kind of source, so that colour isn't all that tells them apart. */
const SHAPES = {
  power_plant: [[-7, -7], [7, -7], [7, 7], [-7, 7]],
  industry: [[-4, -8], [4, -8], [8, 0], [4, 8], [-4, 8], [-8, 0]],
  oil_and_gas: [[0, -9], [8.5, 7], [-8.5, 7]],
  coal_mine: [[0, -9], [9, 0], [0, 9], [-9, 0]],
  landfill: [[-8.5, -7], [8.5, -7], [0, 9]],
  city: [[-3, -8], [3, -8], [3, -3], [8, -3], [8, 3], [3, 3], [3, 8], [-3, 8], [-3, 3], [-8, 3], [-8, -3], [-3, -3]],
  grid_cell: [[-9, -9], [9, -9], [9, 9], [-9, 9], [-9, -9], [-6, -6], [-6, 6], [6, 6], [6, -6], [-6, -6]],
  wind: [[-2, 0], [-2, -38], [-9, -38], [0, -56], [9, -38], [2, -38], [2, 0]],
};
const SOURCE = "source-";
const READ = { willReadFrequently: true }; // in memory: to read it back from a graphics card takes longer than to draw

function draw(name, width, height, originX, originY, fill, scale = 2) {
  const canvas = make("canvas", { width: width * scale, height: height * scale });
  const pen = canvas.getContext("2d", READ);
  pen.scale(scale, scale);
  pen.translate(originX, originY);
  pen.beginPath();
  SHAPES[name].forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  Object.assign(pen, { fillStyle: fill, strokeStyle: colour("halo"), lineWidth: 1.6, lineJoin: "round" });
  pen.stroke();
  pen.fill("evenodd");
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  return canvas;
}

/* The same shape beside a text: a piece of the page, as a canvas for it costs more than all the rest of a legend. */
function iconBeside(name, width, height, originX, originY, fill, scale = 1) {
  const node = make("span", { className: "icon" }), corners = SHAPES[name].map(([x, y]) => `${x * scale + originX}px ${y * scale + originY}px`);
  Object.assign(node.style, { width: width + "px", height: height + "px", background: fill, clipPath: `polygon(evenodd, ${corners.join(", ")})` });
  return node;
}

const sourceIcon = (kind) => draw(SHAPES[kind] ? kind : "industry", 22, 22, 11, 11, colour("source"));
const windIcon = () => draw("wind", 22, 58, 11, 57, colour("wind"));
const sourceBeside = (kind) => iconBeside(kind, 22, 22, 11, 11, "var(--source)");
const windBeside = () => iconBeside("wind", 10, 20, 5, 20, "var(--wind)", 0.36);

function iconOf(id) {
  return id === "wind" ? windIcon() : sourceIcon(id.replace(SOURCE, ""));
}

function addIcon({ id }) {
  const canvas = iconOf(id);
  page.map.addImage(id, canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), { pixelRatio: 2 });
}
