// Links with data-dialog open in a dialog instead of a page of their own. The same HTML serves both, so every dialog
// has a URL and works without this script.
import { fetchPage } from "./regions.js";
import { refreshTimes } from "./times.js";

const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("dialog"));

/**
 * @param {string} url
 * @param {string} look "drawer" slides in at the side; empty is a box in the middle
 */
async function open(url, look) {
  if (!dialog) return;
  const page = await fetchPage(url, "dialog");
  const content = page.querySelector('[data-live="dialog"]');
  if (!content) {
    location.assign(url);
    return;
  }
  dialog.className = look;
  dialog.replaceChildren(document.importNode(content, true));
  refreshTimes();
  dialog.dataset.url = url;
  if (!dialog.open) dialog.showModal();
  gate();
  document.dispatchEvent(new Event("statehouse:dialog"));
}

/** Apply stays closed until what has to be typed is typed. The server checks the same again. */
function gate() {
  const form = dialog?.querySelector("form[data-apply]") ?? document.querySelector("form[data-apply]");
  const wanted = /** @type {HTMLElement | null} */ (form)?.dataset.confirm;
  const input = /** @type {HTMLInputElement | null} */ (form?.querySelector('[name="confirm"]'));
  const button = /** @type {HTMLButtonElement | null} */ (form?.querySelector('button[type="submit"]'));
  if (!wanted || !input || !button) return;
  const check = () => {
    button.disabled = input.value !== wanted;
  };
  input.addEventListener("input", check);
  check();
}

/** A dry run is for exactly what was chosen: another choice closes Apply again. */
function invalidate() {
  const button = /** @type {HTMLButtonElement | null} */ (document.querySelector('form[data-apply] button[type="submit"]'));
  const input = /** @type {HTMLInputElement | null} */ (document.querySelector('form[data-apply] [name="confirm"]'));
  if (button) button.disabled = true;
  if (input) input.disabled = true;
}

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const link = /** @type {HTMLAnchorElement | null} */ (target.closest("a[data-dialog]"));
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    open(link.href, link.dataset.dialog ?? "").catch(() => location.assign(link.href));
  }
  if (dialog?.open && (target === dialog || target.closest("[data-close]"))) {
    event.preventDefault();
    dialog.close();
  }
});

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.matches("dialog form[data-in-dialog]")) return;
  event.preventDefault();
  const query = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  const url = `${form.action}?${query}`;
  open(url, dialog?.className ?? "").catch(() => location.assign(url));
});

document.addEventListener("change", (event) => {
  if (/** @type {Element} */ (event.target).matches('form[data-in-dialog] [name]:not([name="why"])')) invalidate();
});

gate();
