// Brings one element to look like another while keeping the nodes that are there: focus, hover, selection, scroll
// and open menus survive. Both sides are our own server's HTML, parsed by the browser; nothing is built from strings.

/**
 * @param {Element} from the element on the page
 * @param {Element} to what it shall look like
 */
export function morph(from, to) {
  // data-keep: a script owns what is inside (a chart); forms that someone may be filling in keep their state.
  if (from.hasAttribute("data-keep")) return;
  syncAttributes(from, to);
  if (from instanceof HTMLInputElement || from instanceof HTMLTextAreaElement || from instanceof HTMLSelectElement) return;
  syncChildren(from, to);
}

/**
 * @param {Element} from
 * @param {Element} to
 */
function syncAttributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    // The reader opened it; the server does not know.
    if (name === "open" && from.localName === "details") continue;
    if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute("data-key") || node.id || null : null;
}

/**
 * @param {Element} from
 * @param {Element} to
 */
function syncChildren(from, to) {
  /** @type {Map<string, Element>} */
  const keyed = new Map();
  for (const child of from.children) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let current = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    const match = key ? keyed.get(key) : null;
    if (match && match !== current) {
      from.insertBefore(match, current);
      current = match;
    }
    if (current && alike(current, wanted)) {
      if (current instanceof Element) morph(current, /** @type {Element} */ (wanted));
      else if (current.nodeValue !== wanted.nodeValue) current.nodeValue = wanted.nodeValue;
      current = current.nextSibling;
    } else {
      from.insertBefore(document.importNode(wanted, true), current);
    }
  }
  while (current) {
    const next = current.nextSibling;
    current.remove();
    current = next;
  }
}

/**
 * @param {Node} a
 * @param {Node} b
 */
function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}
