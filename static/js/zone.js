// Exact times in UTC or in the browser's own time zone: the reader's choice, remembered. The server writes UTC.

/** @returns {boolean} whether times are shown in the browser's zone */
export function isLocal() {
  try {
    return localStorage.getItem("zone") === "local";
  } catch {
    return false; // storage is denied: the server's own writing is a good answer
  }
}

/** @param {boolean} local */
export function chooseZone(local) {
  try {
    localStorage.setItem("zone", local ? "local" : "utc");
  } catch {
    return;
  }
  location.reload();
}

/** @returns {string} the zone's name */
export function zoneName() {
  return isLocal() ? Intl.DateTimeFormat().resolvedOptions().timeZone || "local time" : "UTC";
}

/**
 * @param {number} atMs
 * @returns {string} 2013-01-31 17:00:00 in the chosen zone
 */
export function exact(atMs) {
  const moment = new Date(isLocal() ? atMs - new Date(atMs).getTimezoneOffset() * 60000 : atMs);
  return Number.isNaN(moment.getTime()) ? "" : moment.toISOString().slice(0, 19).replace("T", " ");
}

export function writeExactTimes() {
  const local = isLocal();
  for (const element of document.querySelectorAll("[data-zone]")) {
    if (element.textContent !== zoneName()) element.textContent = zoneName();
  }
  if (!local) return;
  for (const element of document.querySelectorAll("time.exact")) {
    const words = exact(Date.parse(/** @type {HTMLTimeElement} */ (element).dateTime));
    if (words && element.textContent !== words) element.textContent = words;
  }
  for (const element of document.querySelectorAll("time[title]:not(.exact)")) {
    const words = exact(Date.parse(/** @type {HTMLTimeElement} */ (element).dateTime));
    if (words) /** @type {HTMLElement} */ (element).title = `${words} ${zoneName()}`;
  }
}

/**
 * What somebody wrote in a field of a form, as the server reads it: UTC.
 * @param {string} text
 */
export function fieldToUtc(text) {
  if (!isLocal() || !/^\d{4}-\d\d-\d\dT?\s?[\d:.]*$/.test(text)) return text;
  const moment = new Date(text.length <= 10 ? `${text}T00:00` : text.replace(" ", "T"));
  return Number.isNaN(moment.getTime()) ? text : moment.toISOString().slice(0, 19);
}

/**
 * The other way round, for fields that the server has filled in.
 * @param {string} text
 */
export function fieldFromUtc(text) {
  if (!isLocal() || !/^\d{4}-\d\d-\d\d/.test(text)) return text;
  const moment = Date.parse(text.length <= 10 ? `${text}T00:00Z` : /[Z+]/.test(text) ? text : `${text}Z`);
  return Number.isNaN(moment) ? text : exact(moment).replace(" ", "T");
}
