"use strict";
/* Icons are drawn here: one shape a kind of source, so that colour isn't all that tells them apart; names too. */
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
const SOURCE = "source-", COUNTRY = "country-";
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

/* A name as a picture: letters on the map would need a font of their own. */
function write(name, scale = 2) {
  const height = 16, width = Math.ceil(name.length * 8.5) + 6, canvas = make("canvas", { width: width * scale, height: height * scale });
  const pen = canvas.getContext("2d", READ);
  pen.scale(scale, scale);
  Object.assign(pen, { font: "12px system-ui, sans-serif", letterSpacing: "0.06em", textAlign: "center", textBaseline: "middle", fillStyle: colour("country"), strokeStyle: colour("halo"), lineWidth: 2.5, lineJoin: "round" });
  pen.strokeText(name, width / 2, height / 2);
  pen.fillText(name, width / 2, height / 2);
  return canvas;
}

const sourceIcon = (kind) => draw(SHAPES[kind] ? kind : "industry", 22, 22, 11, 11, colour("source"));
const windIcon = () => draw("wind", 22, 58, 11, 57, colour("wind"));

function iconOf(id) {
  if (id.startsWith(COUNTRY)) return write(id.slice(COUNTRY.length));
  return id === "wind" ? windIcon() : sourceIcon(id.replace(SOURCE, ""));
}

function addIcon({ id }) {
  const canvas = iconOf(id);
  page.map.addImage(id, canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), { pixelRatio: 2 });
}
