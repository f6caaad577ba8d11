// Browsing a store: asks without leaving the page, keeps the last result when a query fails, and adds further pages.
import { applyRegions, fetchPage } from "./regions.js";
import { fieldFromUtc, fieldToUtc } from "./zone.js";

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("browse"));
// With these the page still shows what the last good query found.
const FAILURES = new Set(["bad", "not-ready", "failed"]);
let asking = 0;

/** Shows the fields that the chosen way needs. */
function showFields() {
  const chosen = /** @type {HTMLInputElement | null} */ (form?.querySelector('[name="by"]:checked'));
  const wanted = new Set((chosen?.dataset.fields ?? "").split(" "));
  for (const field of form?.querySelectorAll("[data-field]") ?? []) {
    const element = /** @type {HTMLElement} */ (field);
    element.hidden = !wanted.has(element.dataset.field ?? "");
    for (const input of element.querySelectorAll("input")) input.disabled = element.hidden;
  }
}

/** @returns {string} the query as a URL, without what was left empty */
function queryUrl() {
  const query = new URLSearchParams();
  if (!form) return location.href;
  for (const [name, value] of new FormData(form)) {
    if (value === "" || (name === "limit" && value === "50")) continue;
    const isTime = form.querySelector(`[name="${CSS.escape(name)}"]`)?.hasAttribute("data-time");
    query.set(name, isTime ? fieldToUtc(String(value)) : String(value));
  }
  return `${form.action}?${query}`;
}

/**
 * @param {string} url
 * @param {boolean} push whether the URL is new in the history
 */
async function ask(url, push) {
  asking += 1;
  const mine = asking;
  form?.setAttribute("aria-busy", "true");
  try {
    const page = await fetchPage(url, "query");
    if (mine !== asking) return;
    const outcome = /** @type {HTMLElement | null} */ (page.querySelector('[data-live="outcome"]'))?.dataset.outcome ?? "";
    if (FAILURES.has(outcome)) page.querySelector('[data-live="results"]')?.removeAttribute("data-live");
    applyRegions(page);
    markOld(FAILURES.has(outcome));
    if (push) history.pushState(null, "", url);
  } catch {
    location.assign(url); // the browser's own error page tells more than we know
  } finally {
    form?.removeAttribute("aria-busy");
  }
}

/** @param {boolean} old whether the result on the page answers an earlier query */
function markOld(old) {
  document.querySelector('[data-live="results"]')?.classList.toggle("old", old);
}

/** @param {HTMLAnchorElement} link */
async function more(link) {
  link.setAttribute("aria-busy", "true");
  const page = await fetchPage(link.href, "query");
  const body = document.getElementById("entries");
  const added = page.querySelectorAll("#entries > tr");
  const next = page.getElementById("more") ?? page.getElementById("end");
  // A page that failed has neither; one whose filter has found its first entry has the table that this page lacks.
  if (!next || !body) {
    await ask(link.href, false);
    return;
  }
  for (const row of added) body.append(document.importNode(row, true));
  link.replaceWith(document.importNode(next, true));
  const looked = page.getElementById("looked");
  if (looked) document.getElementById("looked")?.replaceWith(document.importNode(looked, true));
  const count = document.querySelector('[data-live="count"]');
  if (count && body) count.textContent = `${body.children.length} entries`;
}

if (form) {
  showFields();
  for (const input of form.querySelectorAll("input[data-time]")) {
    const field = /** @type {HTMLInputElement} */ (input);
    field.value = fieldFromUtc(field.value);
  }
  form.addEventListener("change", (event) => {
    showFields();
    if (/** @type {Element} */ (event.target).matches('[name="by"]')) {
      /** @type {HTMLElement | null} */ (form.querySelector("[data-field]:not([hidden]) input"))?.focus();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(queryUrl(), true);
  });
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const again = /** @type {HTMLAnchorElement | null} */ (target.closest("[data-again]"));
    const next = /** @type {HTMLAnchorElement | null} */ (target.closest("#more"));
    if (again && !again.closest("dialog")) {
      event.preventDefault();
      ask(again.href, false);
    }
    if (next) {
      event.preventDefault();
      more(next).catch(() => location.assign(next.href));
    }
  });
  window.addEventListener("popstate", () => location.reload());
}
