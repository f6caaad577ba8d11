// The partition strip above 200 partitions: the same meanings on a canvas. The server sends one token a cell,
// "hue:look:fill", so that 10,000 partitions are 90 kB and one attribute.

const SIZES = [8, 6, 4, 3, 2];

/** @type {WeakMap<HTMLCanvasElement, string>} */
const drawn = new WeakMap();

/** @param {boolean} [again] draw even when the data is the same (the size or the theme changed) */
export function drawMaps(again = false) {
  for (const canvas of document.querySelectorAll("canvas.strip-map")) {
    draw(/** @type {HTMLCanvasElement} */ (canvas), again);
  }
}

/**
 * The largest cells that fit; at the smallest the map grows downwards.
 * @param {number} count
 * @param {number} width
 * @param {number} tallest
 */
function grid(count, width, tallest) {
  let best = { size: 2, step: 2, columns: 1, height: 0 };
  for (const size of SIZES) {
    const step = size > 3 ? size + 1 : size;
    const columns = Math.max(1, Math.floor(width / step));
    best = { size, step, columns, height: Math.ceil(count / columns) * step };
    if (best.height <= tallest) break;
  }
  return best;
}

/**
 * @param {MouseEvent} event
 * @returns {{canvas: HTMLCanvasElement, partition: number} | null} the cell under the pointer
 */
function cellAt(event) {
  const canvas = /** @type {Element} */ (event.target).closest?.("canvas.strip-map");
  if (!(canvas instanceof HTMLCanvasElement)) return null;
  const count = (canvas.dataset.cells ?? "").split(" ").length;
  const tallest = Number.parseInt(getComputedStyle(canvas).getPropertyValue("--map-height"), 10) || 240;
  const { step, columns } = grid(count, canvas.clientWidth, tallest);
  const partition = Math.floor(event.offsetY / step) * columns + Math.floor(event.offsetX / step);
  return partition < count ? { canvas, partition } : null;
}

document.addEventListener("mousemove", (event) => {
  const cell = cellAt(event);
  if (cell) cell.canvas.title = `Partition ${cell.partition}`;
});

document.addEventListener("click", (event) => {
  const cell = cellAt(event);
  if (cell?.canvas.dataset.href) location.assign(`${cell.canvas.dataset.href}?from=${cell.partition}#partition-${cell.partition}`);
});

/**
 * @param {HTMLCanvasElement} canvas
 * @param {boolean} again
 */
function draw(canvas, again) {
  const data = canvas.dataset.cells ?? "";
  const cells = data.split(" ");
  const width = canvas.clientWidth || 640;
  const { size, step, columns, height } = grid(cells.length, width, Number.parseInt(getComputedStyle(canvas).getPropertyValue("--map-height"), 10) || 240);
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
    const x = (index % columns) * step;
    const y = Math.floor(index / columns) * step;
    context.fillStyle = empty;
    context.fillRect(x, y, size, size);
    if (look === "u" || hue === "-") return;
    context.fillStyle = hues[Number(hue)];
    const tall = (size * Number(fill)) / 100;
    context.globalAlpha = look === "m" || look === "s" ? 0.5 : 1;
    context.fillRect(x, y + size - tall, size, tall);
    context.globalAlpha = 1;
    if (look === "x" || look === "r") {
      // Trouble must be seen among ten thousand: where an outline would be too thin the whole cell takes its colour.
      context.fillStyle = bad;
      if (size < 6) context.fillRect(x, y, size, size);
      context.strokeStyle = bad;
      context.lineWidth = 2;
      if (size >= 6) context.strokeRect(x + 1, y + 1, size - 2, size - 2);
    }
  });
}
