// Fetches this page's regions again and morphs them in. A region is an element with data-live="name": Django renders it
// the first time and every other time, so there is one rendering of each fact and no second one here to disagree.
import { morph } from "./morph.js";
import { refreshTimes } from "./times.js";

/**
 * @param {string} url
 * @param {"tick" | "query" | "dialog"} purpose a tick leaves out what only the reader may ask for again
 * @returns {Promise<Document>}
 */
export async function fetchPage(url, purpose) {
  const answer = await fetch(url, { headers: { "X-Statehouse-Live": purpose }, credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname !== new URL(url, location.href).pathname) {
    location.reload(); // the session has ended: the reload leads to the sign-in page
  }
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/**
 * @param {Document} page
 * @param {Element | Document} [within]
 */
export function applyRegions(page, within = document) {
  for (const wanted of page.querySelectorAll("[data-live]")) {
    const name = /** @type {HTMLElement} */ (wanted).dataset.live;
    const region = within.querySelector(`[data-live="${CSS.escape(name ?? "")}"]`);
    if (region) morph(region, wanted);
  }
  refreshTimes();
  document.dispatchEvent(new Event("statehouse:updated"));
}

/** Refreshes all regions of this page. */
export async function refreshRegions() {
  applyRegions(await fetchPage(location.href, "tick"));
}
