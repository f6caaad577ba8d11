// A table that is wider than its place scrolls sideways; the keyboard reaches it only when it can take the focus.

/** @type {WeakMap<Element, boolean>} what was measured: a table out of sight is not laid out anew to be measured again */
const known = new WeakMap();

/** @param {string} [which] a selector */
export function markScrollables(which = ".table-scroll") {
  for (const element of document.querySelectorAll(which)) {
    const isShown = element.checkVisibility?.({ contentVisibilityAuto: true }) ?? true;
    if (isShown || !known.has(element)) known.set(element, element.scrollWidth > element.clientWidth);
    if (known.get(element)) element.setAttribute("tabindex", "0");
    else element.removeAttribute("tabindex");
  }
}

document.addEventListener("contentvisibilityautostatechange", () => markScrollables());
