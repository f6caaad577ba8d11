// Relative times: the server writes them once, this keeps them true. Same words as console/templatetags/statehouse.py.

import { writeExactTimes } from "./zone.js";

// The server's clock minus ours, so that a laptop with a wrong clock still reads "2 s ago".
let skewMs = 0;

/** @param {number} serverNowMs */
export function setServerTime(serverNowMs) {
  if (serverNowMs > 0) skewMs = serverNowMs - Date.now();
}

/** @returns {number} now, in ms, on the server's clock */
export function serverNow() {
  return Date.now() + skewMs;
}

/**
 * @param {number} atMs
 * @returns {string}
 */
export function ago(atMs) {
  const seconds = (serverNow() - atMs) / 1000;
  if (seconds < 1) return seconds > -5 ? "now" : "later";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86400);
  return days < 730 ? `${days} d ago` : `${Math.floor(days / 365)} y ago`;
}

export function refreshTimes() {
  for (const element of document.querySelectorAll("time[datetime]:not(.exact)")) {
    const words = ago(Date.parse(/** @type {HTMLTimeElement} */ (element).dateTime));
    if (element.textContent !== words) element.textContent = words;
  }
  writeExactTimes();
}

export function keepTimesMoving() {
  setServerTime(Number(document.body.dataset.at));
  refreshTimes();
  setInterval(refreshTimes, 1000);
}
