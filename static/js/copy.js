// "copy as": puts a button's text on the clipboard and says so on the button, for a moment.

document.addEventListener("click", async (event) => {
  const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-copy]"));
  if (!button || button.dataset.copying) return;
  const name = button.textContent;
  button.dataset.copying = "1";
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    button.textContent = "copied";
  } catch {
    button.textContent = "not allowed";
  }
  setTimeout(() => {
    button.textContent = name;
    delete button.dataset.copying;
  }, 1400);
});
