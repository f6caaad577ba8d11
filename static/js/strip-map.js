// The partition strip above 200 partitions: the same meanings on a canvas. The server sends each kind of cell once, with
// its hue, look, fill and words, and then one to three characters a cell that choose among them: 10,000 partitions are
// 10 kB in one attribute, and what a cell says here is what it would say as an element of its own.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
// Sizes of a cell and from one to the next: the smallest ones have no room for a gap.
const SIZES = [[10, 11], [8, 9], [6, 7], [5, 6], [4, 5], [4, 4], [3, 3], [2, 2]];
// From this size on a cell has room for an outline; below, trouble fills the whole cell and a little more.
const OUTLINED = 6;
const HEIGHT_USUAL = 240;

/**
 * @typedef {{hue: number, look: string, fill: number, words: string}} Kind
 * @typedef {{size: number, step: number, columns: number, height: number}} Grid
 * @typedef {{element: HTMLElement, canvas: HTMLCanvasElement, data: string, kinds: Kind[], cells: Uint32Array, numbers: number[] | null,
 *   grid: Grid, chosen: number, isFocused: boolean}} StripMap
 */

/** @type {WeakMap<HTMLElement, StripMap>} */
const maps = new WeakMap();

/** @param {boolean} [again] draw even when the data is the same (the size or the theme changed) */
export function drawMaps(again = false) {
  for (const element of document.querySelectorAll(".strip-map")) {
    if (element instanceof HTMLElement) show(element, again);
  }
}

/**
 * @param {HTMLElement} element
 * @param {boolean} again
 */
function show(element, again) {
  const canvas = element.querySelector("canvas");
  if (!canvas) return;
  const { cells = "", kinds = "[]", digits = "1", numbers = "" } = element.dataset;
  const data = `${cells} ${kinds} ${numbers}`;
  let map = maps.get(element);
  if (map && map.data === data && !again) return;
  if (!map || map.data !== data) {
    map = {
      element, canvas, data,
      kinds: JSON.parse(kinds).map((/** @type {[number, string, number, string]} */ [hue, look, fill, words]) => ({ hue, look, fill, words })),
      cells: unpack(cells, Number(digits)),
      numbers: numbers ? JSON.parse(numbers) : null,
      grid: map?.grid ?? { size: 2, step: 2, columns: 1, height: 0 },
      chosen: map?.chosen ?? 0,
      isFocused: map?.isFocused ?? false,
    };
    if (!maps.has(element)) listen(element);
    maps.set(element, map);
  }
  draw(map);
  say(map);
}

/**
 * @param {string} text
 * @param {number} digits
 */
function unpack(text, digits) {
  const found = new Uint32Array(Math.floor(text.length / digits));
  for (let cell = 0; cell < found.length; cell += 1) {
    let kind = 0;
    for (let digit = 0; digit < digits; digit += 1) kind = kind * 64 + DIGITS.indexOf(text[cell * digits + digit]);
    found[cell] = kind;
  }
  return found;
}

/**
 * The largest cells that fit; at the smallest the map grows downwards.
 * @param {number} count
 * @param {number} width
 * @param {number} tallest
 * @returns {Grid}
 */
function gridOf(count, width, tallest) {
  let best = { size: 2, step: 2, columns: 1, height: 0 };
  for (const [size, step] of SIZES) {
    const columns = Math.max(1, Math.floor(width / step));
    best = { size, step, columns, height: Math.ceil(count / columns) * step };
    if (best.height <= tallest) break;
  }
  return best;
}

/** @param {StripMap} map */
function draw(map) {
  const { canvas, cells, kinds } = map;
  const style = getComputedStyle(map.element);
  const tallest = Number.parseInt(style.getPropertyValue("--map-height"), 10) || HEIGHT_USUAL;
  map.grid = gridOf(cells.length, map.element.clientWidth || 640, tallest);
  const { size, step, columns, height } = map.grid;
  const width = Math.min(cells.length, columns) * step;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  // One path a kind: ten thousand cells are a few fills.
  /** @type {number[][]} */
  const places = kinds.map(() => []);
  cells.forEach((kind, index) => places[kind]?.push(index));
  const fillAt = (/** @type {number[]} */ which, /** @type {number} */ inset, /** @type {number} */ tall) => {
    context.beginPath();
    for (const index of which) {
      const x = (index % columns) * step + inset;
      const y = Math.floor(index / columns) * step + size - inset - tall;
      context.rect(x, y, size - 2 * inset, tall);
    }
    context.fill();
  };
  // Trouble comes last and, in small cells, with room around it: it must be seen among ten thousand.
  const order = kinds.map((_, number) => number).sort((a, b) => Number(isTrouble(kinds[a])) - Number(isTrouble(kinds[b])));
  for (const number of order) {
    const kind = kinds[number];
    const hue = kind.hue < 0 ? colour("--ink-3") : colour(`--hue-${kind.hue}`);
    paint(context, kind, size, hue, colour, (inset, tall) => fillAt(places[number], inset, tall));
  }
  if (map.isFocused) drawCursor(context, map, colour("--ink"), colour("--surface"));
}

/** @param {Kind} kind */
function isTrouble(kind) {
  return kind.look === "x" || kind.look === "r";
}

/**
 * Draws all cells of one kind, as strip.css draws one.
 * @param {CanvasRenderingContext2D} context
 * @param {Kind} kind
 * @param {number} size
 * @param {string} hue
 * @param {(name: string) => string} colour
 * @param {(inset: number, tall: number) => void} fill
 */
function paint(context, kind, size, hue, colour, fill) {
  const bad = colour("--bad");
  if (kind.look === "u") {
    // Not known is no colour at all, so that it is neither empty nor full: an outline, or a dot where there is no room.
    context.fillStyle = colour("--line-strong");
    fill(0, size);
    context.fillStyle = colour("--surface");
    if (size >= 3) fill(1, size - 2);
    return;
  }
  context.fillStyle = kind.look === "r" ? colour("--surface") : colour("--cell-empty");
  fill(0, size);
  if (kind.look === "x" || kind.look === "r") {
    context.fillStyle = bad;
    if (size < OUTLINED) {
      context.fillStyle = colour("--page");
      fill(-2, size + 4);
      context.fillStyle = kind.look === "r" ? hatch(context, bad) : bad;
      fill(-1, size + 2);
      return;
    }
    fill(0, size);
    context.fillStyle = kind.look === "r" ? colour("--surface") : colour("--cell-empty");
    fill(2, size - 4);
    context.globalAlpha = kind.look === "r" ? 0.18 : 0.45;
    context.fillStyle = hue;
    fill(2, ((size - 4) * kind.fill) / 100);
    context.globalAlpha = 1;
    return;
  }
  context.fillStyle = kind.look === "m" || kind.look === "s" ? hatch(context, hue) : hue;
  fill(0, (size * kind.fill) / 100);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @returns {CanvasPattern | string} diagonal stripes that run on from cell to cell, so that they show in the smallest too
 */
function hatch(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  if (!pen) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const from of [-6, 0, 6]) {
    pen.moveTo(from - 1, 7);
    pen.lineTo(from + 7, -1);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat") ?? colour;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {StripMap} map
 * @param {string} ink
 * @param {string} around
 */
function drawCursor(context, map, ink, around) {
  const { size, step, columns } = map.grid;
  const x = (map.chosen % columns) * step;
  const y = Math.floor(map.chosen / columns) * step;
  const reach = size < OUTLINED ? 4 : 1;
  context.lineWidth = 4;
  context.strokeStyle = around;
  context.strokeRect(x - reach, y - reach, size + 2 * reach, size + 2 * reach);
  context.lineWidth = 2;
  context.strokeStyle = ink;
  context.strokeRect(x - reach, y - reach, size + 2 * reach, size + 2 * reach);
}

/**
 * @param {StripMap} map
 * @param {number} index
 */
function wordsOf(map, index) {
  const number = map.numbers ? map.numbers[index] : index;
  const kind = map.kinds[map.cells[index]];
  return `Partition ${number.toLocaleString("en")}${kind ? ` · ${kind.words}` : ""}`;
}

/**
 * Puts the chosen cell into the slider's value and, while it is being chosen, into the line below the map.
 * @param {StripMap} map
 * @param {number} [under] the cell under the pointer
 */
function say(map, under) {
  const { canvas, cells } = map;
  map.chosen = Math.min(map.chosen, Math.max(cells.length - 1, 0));
  const number = map.numbers ? map.numbers[map.chosen] : map.chosen;
  canvas.setAttribute("aria-valuemin", String(map.numbers ? map.numbers[0] : 0));
  canvas.setAttribute("aria-valuemax", String(map.numbers ? map.numbers[map.numbers.length - 1] : cells.length - 1));
  canvas.setAttribute("aria-valuenow", String(number));
  canvas.setAttribute("aria-valuetext", wordsOf(map, map.chosen));
  const line = map.element.querySelector(".map-at");
  const shown = under ?? (map.isFocused ? map.chosen : undefined);
  if (line) line.textContent = shown === undefined ? "" : wordsOf(map, shown);
}

/**
 * @param {StripMap} map
 * @param {MouseEvent} event
 * @returns {number | undefined} the cell under the pointer
 */
function cellAt(map, event) {
  if (event.target !== map.canvas) return undefined;
  const { step, columns } = map.grid;
  const column = Math.floor(event.offsetX / step);
  const index = Math.floor(event.offsetY / step) * columns + column;
  return column >= 0 && column < columns && index >= 0 && index < map.cells.length ? index : undefined;
}

/**
 * @param {StripMap} map
 * @param {number} index
 */
function open(map, index) {
  const number = map.numbers ? map.numbers[index] : index;
  if (map.element.dataset.href) location.assign(`${map.element.dataset.href}?at=${number}#partition-${number}`);
}

/** @param {HTMLElement} element */
function listen(element) {
  const map = () => /** @type {StripMap} */ (maps.get(element));
  element.addEventListener("mousemove", (event) => {
    const under = cellAt(map(), event);
    map().canvas.title = under === undefined ? "" : wordsOf(map(), under);
    say(map(), under);
  });
  element.addEventListener("mouseleave", () => say(map()));
  element.addEventListener("click", (event) => {
    const under = cellAt(map(), event);
    if (under !== undefined) open(map(), under);
  });
  element.addEventListener("keydown", (event) => {
    if (event.target !== map().canvas) return;
    if (event.key === "Enter") {
      open(map(), map().chosen);
      return;
    }
    const to = target(map(), event.key);
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    map().chosen = Math.min(Math.max(to, 0), map().cells.length - 1);
    draw(map());
    say(map());
  });
  for (const [name, isFocused] of /** @type {[string, boolean][]} */ ([["focusin", true], ["focusout", false]])) {
    element.addEventListener(name, (event) => {
      if (event.target !== map().canvas) return;
      map().isFocused = isFocused;
      draw(map());
      say(map());
    });
  }
}

/**
 * @param {StripMap} map
 * @param {string} key
 * @returns {number | undefined} where a key leads
 */
function target(map, key) {
  const { columns } = map.grid;
  switch (key) {
    case "ArrowRight": return map.chosen + 1;
    case "ArrowLeft": return map.chosen - 1;
    case "ArrowDown": return map.chosen + columns;
    case "ArrowUp": return map.chosen - columns;
    case "PageDown": return map.chosen + 10 * columns;
    case "PageUp": return map.chosen - 10 * columns;
    case "Home": return 0;
    case "End": return map.cells.length - 1;
    default: return undefined;
  }
}
