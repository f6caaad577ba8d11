// Chooses the theme before the first paint: the reader's choice, else the system's. A classic script in <head>,
// because a module would run after the paint and flash.
(function () {
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  function apply() {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // Storage is denied: the system's wish is a good answer.
    }
    const dark = chosen ? chosen === "dark" : wish.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }
  wish.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  document.addEventListener("statehouse:theme", apply);
  apply();
})();
