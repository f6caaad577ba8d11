// A table that is wider than its place scrolls sideways; the keyboard reaches it only when it can take the focus.

export function markScrollables() {
  for (const element of document.querySelectorAll(".table-scroll")) {
    const scrolls = element.scrollWidth > element.clientWidth;
    if (scrolls) element.setAttribute("tabindex", "0");
    else element.removeAttribute("tabindex");
  }
}
