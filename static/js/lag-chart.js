// Charts of lag: one a topic, one line a partition, drawn by uPlot from the recorded samples. A gap in the samples stays
// a gap, for nobody knows what was there.

import { exact, isLocal, zoneName } from "./zone.js";

const REFRESH_MS = 5000;
const HEIGHT = 200;
const LINES_MAX = 40;
// Neighbours in this order are the easiest to tell apart.
const HUES = [6, 4, 0, 2, 3, 5, 7, 1];

/** @typedef {{at: number[], series: {partition: number, lag: (number | null)[], lag_ms: (number | null)[]}[]}} Samples */

/** @param {HTMLElement} figure */
function chartOf(figure) {
  const body = /** @type {HTMLElement} */ (figure.querySelector(".chart-body"));
  const note = /** @type {HTMLElement} */ (figure.querySelector(".chart-note"));
  const inTime = figure.dataset.unit === "time";
  /** @type {any} */
  let plot = null;
  let shape = "";

  async function load() {
    const answer = await fetch(figure.dataset.url ?? "", { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    /** @type {Samples} */
    const samples = await answer.json();
    if (samples.at.length < 2) {
      note.textContent = "Not enough samples yet: one is taken every 5 s, and the line begins with the second.";
      return;
    }
    const shown = samples.series.slice(0, LINES_MAX);
    const values = shown.map((line) => (inTime ? line.lag_ms : line.lag));
    const data = [samples.at.map((at) => at / 1000), ...values];
    const wanted = `${document.documentElement.dataset.theme} ${shown.map((line) => line.partition)}`;
    if (!plot || shape !== wanted) {
      plot?.destroy();
      plot = make(body, shown, data, inTime ? duration : records);
      shape = wanted;
    } else {
      plot.setData(data);
    }
    const known = values.flat().filter((value) => value !== null);
    const calm = known.length > 0 && known.every((value) => value === 0);
    const unknown = known.length ? "" : "How long records waited was not known at any time shown.";
    const words = calm ? "Lag was 0 all the time shown." : unknown ? unknown : samples.series.length > LINES_MAX ? `The first ${LINES_MAX} of ${samples.series.length} partitions.` : "";
    if (note.textContent !== words) note.textContent = words;
  }

  const again = () => load().catch(() => {
    note.textContent = "The samples could not be read; trying again.";
  });
  again();
  setInterval(() => {
    if (!document.hidden) again();
  }, REFRESH_MS);
  document.addEventListener("statehouse:theme", () => setTimeout(again));
  new ResizeObserver(() => plot?.setSize({ width: body.clientWidth, height: HEIGHT })).observe(body);
}

/**
 * Times on the axis in the reader's zone, as everywhere on the pages; days only where a step is a day.
 * @param {any} _plot
 * @param {number[]} splits seconds
 * @param {number} _axis
 * @param {number} _space
 * @param {number} step seconds
 */
function clock(_plot, splits, _axis, _space, step) {
  return splits.map((at) => {
    const words = exact(at * 1000);
    return step >= 86400 ? words.slice(5, 10) : words.slice(11, step < 60 ? 19 : 16);
  });
}

/** @param {number} value */
function records(value) {
  return value.toLocaleString("en-GB");
}

/** @param {number} ms */
function duration(ms) {
  for (const [unit, size] of /** @type {[string, number][]} */ ([["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]])) {
    if (ms >= size) return `${(ms / size).toLocaleString("en-GB", { maximumFractionDigits: 1 })} ${unit}`;
  }
  return `${Math.round(ms)} ms`;
}

/**
 * @param {HTMLElement} body
 * @param {Samples["series"]} lines
 * @param {any[]} data
 * @param {(value: number) => string} words
 */
function make(body, lines, data, words) {
  const style = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const font = `11px ${token("--font")}`;
  const axis = { stroke: token("--ink-3"), font, grid: { stroke: token("--line"), width: 1 }, ticks: { show: false } };
  const options = {
    width: body.clientWidth,
    height: HEIGHT,
    // Where uPlot puts its marks: at full hours and days of the zone that is shown.
    // @ts-ignore uPlot is a classic script
    tzDate: (/** @type {number} */ at) => (isLocal() ? new Date(at * 1000) : window.uPlot.tzDate(new Date(at * 1000), "Etc/UTC")),
    // A calm topic is a line at the bottom, not one in the middle of -100 … 100.
    scales: { y: { range: (/** @type {any} */ _plot, /** @type {number} */ _low, /** @type {number} */ high) => [0, Math.max(10, (high || 0) * 1.1)] } },
    axes: [{ ...axis, space: 90, values: clock }, { ...axis, size: 64, values: (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map(words) }],
    series: [
      { label: `time (${zoneName()})`, value: (/** @type {any} */ _plot, /** @type {number | null} */ at) => (at ? exact(at * 1000) : "–") },
      ...lines.map((line, index) => ({
        label: `partition ${line.partition}`,
        stroke: token(`--hue-${HUES[index % HUES.length]}`),
        width: 1.5,
        dash: index < 8 ? undefined : [6, 3],
        points: { show: false },
        value: (/** @type {any} */ _plot, /** @type {number | null} */ value) => (value === null || value === undefined ? "–" : words(value)),
      })),
    ],
    legend: { show: lines.length <= 8 },
  };
  // @ts-ignore uPlot is a classic script
  return new window.uPlot(options, data, body);
}

for (const figure of document.querySelectorAll("[data-chart]")) chartOf(/** @type {HTMLElement} */ (figure));
