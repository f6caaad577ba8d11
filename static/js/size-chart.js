// The growth of a store: its size and about how many keys, drawn by uPlot from samples of once a minute. A gap stays a gap.

import { exact, isLocal, zoneName } from "./zone.js";

const HEIGHT = 200;
const REFRESH_MS = 60000;
const SIZES = ["B", "kB", "MB", "GB", "TB"];

/** @param {number} value */
function bytes(value) {
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < SIZES.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toLocaleString("en-GB", { maximumFractionDigits: unit ? 1 : 0 })} ${SIZES[unit]}`;
}

/** @param {any} _plot @param {number[]} splits @param {number} _axis @param {number} _space @param {number} step */
function clock(_plot, splits, _axis, _space, step) {
  return splits.map((at) => {
    const words = exact(at * 1000);
    return step >= 86400 ? words.slice(5, 10) : words.slice(11, 16);
  });
}

/** @param {HTMLElement} figure */
function chartOf(figure) {
  const body = /** @type {HTMLElement} */ (figure.querySelector(".chart-body"));
  const note = /** @type {HTMLElement} */ (figure.querySelector(".chart-note"));
  /** @type {any} */
  let plot = null;

  async function load() {
    const answer = await fetch(figure.dataset.url ?? "", { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    /** @type {{at: number[], bytes: number[], keys: (number | null)[]}} */
    const samples = await answer.json();
    if (samples.at.length < 2) {
      note.textContent = "Not enough samples yet: one is taken each minute while every partition is known, and the line begins with the second.";
      return;
    }
    plot?.destroy();
    plot = make(body, [samples.at.map((at) => at / 1000), samples.bytes, samples.keys]);
    const change = samples.bytes[samples.bytes.length - 1] - samples.bytes[0];
    note.textContent = `${change < 0 ? "Shrank" : "Grew"} by ${bytes(Math.abs(change))} in the time shown. Keys are the backend's estimate.`;
  }

  const again = () => load().catch(() => {
    note.textContent = "The samples could not be read; trying again.";
  });
  again();
  setInterval(() => !document.hidden && again(), REFRESH_MS);
  document.addEventListener("statehouse:theme", () => setTimeout(again));
  new ResizeObserver(() => plot?.setSize({ width: body.clientWidth, height: HEIGHT })).observe(body);
}

/**
 * @param {HTMLElement} body
 * @param {any[]} data
 */
function make(body, data) {
  const style = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { stroke: token("--ink-3"), font: `11px ${token("--font")}`, grid: { stroke: token("--line"), width: 1 }, ticks: { show: false } };
  const words = (/** @type {(value: number) => string} */ write) => (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map(write);
  const count = (/** @type {number} */ value) => value.toLocaleString("en-GB", { notation: "compact" });
  const from0 = { range: (/** @type {any} */ _plot, /** @type {number} */ _low, /** @type {number} */ high) => [0, Math.max(1, (high || 0) * 1.1)] };
  const line = (/** @type {string} */ label, /** @type {string} */ hue, /** @type {string} */ scale, /** @type {(value: number) => string} */ write) => ({
    label, scale, stroke: token(hue), width: 1.5, points: { show: false },
    value: (/** @type {any} */ _plot, /** @type {number | null} */ value) => (value === null || value === undefined ? "–" : write(value)),
  });
  const options = {
    width: body.clientWidth,
    height: HEIGHT,
    // Where uPlot puts its marks: at full hours and days of the zone that is shown.
    // @ts-ignore uPlot is a classic script
    tzDate: (/** @type {number} */ at) => (isLocal() ? new Date(at * 1000) : window.uPlot.tzDate(new Date(at * 1000), "Etc/UTC")),
    scales: { bytes: from0, keys: from0 },
    axes: [{ ...axis, space: 90, values: clock }, { ...axis, size: 64, scale: "bytes", values: words(bytes) }, { ...axis, size: 56, side: 1, scale: "keys", grid: { show: false }, values: words(count) }],
    series: [
      { label: `time (${zoneName()})`, value: (/** @type {any} */ _plot, /** @type {number | null} */ at) => (at ? exact(at * 1000).slice(0, 16) : "–") },
      line("size", "--hue-6", "bytes", bytes),
      line("keys, about", "--hue-4", "keys", (value) => value.toLocaleString("en-GB")),
    ],
  };
  // @ts-ignore uPlot is a classic script
  return new window.uPlot(options, data, body);
}

for (const figure of document.querySelectorAll("[data-size-chart]")) chartOf(/** @type {HTMLElement} */ (figure));
