// The partition strip above 200 partitions: the same meanings on a canvas. The server sends one token a cell,
// "hue:look:fill", so that 10,000 partitions are 90 kB and one attribute.

const SIZE = 8;
const GAP = 1;

/** @type {WeakMap<HTMLCanvasElement, string>} */
const drawn = new WeakMap();

/** @param {boolean} [again] draw even when the data is the same (the size or the theme changed) */
export function drawMaps(again = false) {
  for (const canvas of document.querySelectorAll("canvas.strip-map")) {
    draw(/** @type {HTMLCanvasElement} */ (canvas), again);
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {boolean} again
 */
function draw(canvas, again) {
  const data = canvas.dataset.cells ?? "";
  const cells = data.split(" ");
  const width = canvas.clientWidth || 640;
  const columns = Math.max(1, Math.floor(width / (SIZE + GAP)));
  const height = Math.ceil(cells.length / columns) * (SIZE + GAP);
  const ratio = window.devicePixelRatio || 1;
  if (!again && drawn.get(canvas) === data && canvas.height === Math.round(height * ratio)) return;
  drawn.set(canvas, data);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(canvas);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const empty = colour("--cell-empty");
  const bad = colour("--bad");
  const hues = Array.from({ length: 8 }, (_, hue) => colour(`--hue-${hue}`));
  context.scale(ratio, ratio);
  cells.forEach((cell, index) => {
    const [hue, look, fill] = cell.split(":");
    const x = (index % columns) * (SIZE + GAP);
    const y = Math.floor(index / columns) * (SIZE + GAP);
    context.fillStyle = empty;
    context.fillRect(x, y, SIZE, SIZE);
    if (look === "u" || hue === "-") return;
    context.fillStyle = hues[Number(hue)];
    const tall = (SIZE * Number(fill)) / 100;
    context.globalAlpha = look === "m" || look === "s" ? 0.5 : 1;
    context.fillRect(x, y + SIZE - tall, SIZE, tall);
    context.globalAlpha = 1;
    if (look === "x" || look === "r") {
      context.strokeStyle = bad;
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, SIZE - 2, SIZE - 2);
    }
  });
}
