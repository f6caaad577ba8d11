// Keys that work on every page; "?" shows them. None of them is taken while somebody writes.
import { openPalette } from "./palette.js";

const AFTER_G_MS = 1200;
const help = /** @type {HTMLDialogElement | null} */ (document.getElementById("help"));
let goUntil = 0;

/** @param {EventTarget | null} target */
function isWriting(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || document.querySelector("dialog[open]")) return;
  if (performance.now() < goUntil) {
    goUntil = 0;
    const link = /** @type {HTMLAnchorElement | null} */ (document.querySelector(`[data-go="${CSS.escape(event.key.toLowerCase())}"]`));
    if (link) location.assign(link.href);
    return;
  }
  if (event.key === "g") goUntil = performance.now() + AFTER_G_MS;
  if (event.key === "?") help?.showModal();
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("jump")?.focus();
  }
});

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("[data-help]")) help?.showModal();
  if (target.closest("[data-palette]")) openPalette();
  if (help?.open && (target === help || target.closest("#help [data-close]"))) help.close();
});
