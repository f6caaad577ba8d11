// The self-check: the page is there at once, the checks are made behind it and drawn when they are done.
import { applyRegions, fetchPage } from "./regions.js";

const button = /** @type {HTMLAnchorElement | null} */ (document.getElementById("check-again"));

async function check() {
  const region = document.getElementById("checks");
  if (!button || !region || region.hasAttribute("aria-busy")) return;
  region.setAttribute("aria-busy", "true");
  button.textContent = "Checking…";
  try {
    applyRegions(await fetchPage(button.href, "query"));
  } catch {
    location.assign(button.href); // the browser's own error page tells more than we know
  } finally {
    region.removeAttribute("aria-busy");
    button.textContent = "Check again";
  }
}

button?.addEventListener("click", (event) => {
  event.preventDefault();
  check();
});
if (document.querySelector("#checks[data-pending]")) check();
