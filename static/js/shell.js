// What every page has: the theme switch, menus that close, keys, times that move, strips that are maps.
import { afterPaint } from "./after-paint.js";
import { markScrollables } from "./scrollables.js";
import { keepTimesMoving } from "./times.js";
import "./copy.js";
import "./dialog.js";
import "./keyboard.js";
import { drawMaps } from "./strip-map.js";
import { chooseZone, isLocal } from "./zone.js";

/** @param {"light" | "dark" | ""} choice empty = as the system */
function chooseTheme(choice) {
  try {
    if (choice) localStorage.setItem("theme", choice);
    else localStorage.removeItem("theme");
  } catch {
    // Storage is denied: the choice then holds for no longer than this page, so make it directly.
    if (choice) document.documentElement.dataset.theme = choice;
    return;
  }
  document.dispatchEvent(new Event("statehouse:theme"));
  markTheme();
  drawMaps(true);
}

/** Say in the menu which theme was chosen: the one in sight may be the system's. */
function markTheme() {
  let chosen = "";
  try {
    chosen = localStorage.getItem("theme") ?? "";
  } catch {
    // Storage is denied: nothing is remembered, so the system's holds.
  }
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.themeChoice === chosen));
  }
}

document.getElementById("theme")?.addEventListener("click", () => {
  chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
});
for (const button of document.querySelectorAll("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    chooseTheme(/** @type {any} */ (/** @type {HTMLElement} */ (button).dataset.themeChoice));
    button.closest("details")?.removeAttribute("open");
  });
}

markTheme();

for (const button of document.querySelectorAll("[data-zone-choice]")) {
  const local = /** @type {HTMLElement} */ (button).dataset.zoneChoice === "local";
  button.setAttribute("aria-pressed", String(local === isLocal()));
  button.addEventListener("click", () => chooseZone(local));
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute("open");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    menu?.removeAttribute("open");
    menu?.querySelector("summary")?.focus();
  }
});

keepTimesMoving();
// Long tables may be out of sight, and are not laid out for this before the others have been painted.
markScrollables(".table-scroll:not(.long)");
afterPaint(() => {
  drawMaps();
  markScrollables();
});
document.addEventListener("statehouse:updated", () => {
  drawMaps();
  markScrollables();
});
window.addEventListener("resize", () => {
  drawMaps(true);
  markScrollables();
});
