// The command palette: Ctrl-K, some letters, Enter. Items come from the server once a page; text is set as text, never parsed.

const SHOWN_MAX = 12;
const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("palette"));
const input = /** @type {HTMLInputElement | null} */ (document.getElementById("palette-input"));
const list = document.getElementById("palette-list");

/** @typedef {{label: string, hint: string, href: string, key?: string}} Item */
/** @type {Item[] | undefined} */
let items;
/** @type {Item[]} */
let shown = [];
let chosen = 0;

export async function openPalette() {
  if (!dialog || !input || dialog.open) return;
  dialog.showModal();
  input.value = "";
  input.focus();
  try {
    items ??= (await (await fetch(dialog.dataset.url ?? "", { credentials: "same-origin" })).json()).items;
  } catch {
    items = undefined;
  }
  draw();
}

/**
 * @param {Item[]} all
 * @param {string} text
 * @returns {Item[]}
 */
function matching(all, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all
    .map((item, order) => ({ item, order, name: item.label.toLowerCase(), whole: `${item.label} ${item.hint}`.toLowerCase() }))
    .filter((each) => words.every((word) => each.whole.includes(word)))
    .map((each) => ({ ...each, rank: words.length && each.name.startsWith(words[0]) ? 0 : words.length && each.name.includes(words[0]) ? 1 : 2 }));
  found.sort((a, b) => a.rank - b.rank || a.order - b.order);
  return found.slice(0, SHOWN_MAX).map((each) => each.item);
}

/** @returns {Item[]} a key of a store: "store key", or the text as a key of the store on this page */
function keys(text) {
  const stores = (items ?? []).filter((item) => item.key);
  const [name, ...rest] = text.trim().split(/\s+/);
  const here = stores.filter((item) => location.pathname.startsWith(item.href));
  const named = rest.length ? stores.filter((item) => item.label === name) : [];
  return [
    ...named.map((item) => ({ label: `Key ${rest.join(" ")}`, hint: `in ${item.label}`, href: `${item.key}${encodeURIComponent(rest.join(" "))}` })),
    ...(text.trim() ? here.map((item) => ({ label: `Key ${text.trim()}`, hint: `in ${item.label}`, href: `${item.key}${encodeURIComponent(text.trim())}` })) : []),
  ];
}

function draw() {
  if (!list || !input) return;
  shown = [...matching(items ?? [], input.value), ...keys(input.value)].slice(0, SHOWN_MAX);
  chosen = 0;
  list.replaceChildren(
    ...shown.map((item, index) => {
      const row = document.createElement("li");
      row.id = `palette-${index}`;
      row.setAttribute("role", "option");
      const label = document.createElement("span");
      label.textContent = item.label;
      const hint = document.createElement("span");
      hint.className = "quiet small";
      hint.textContent = item.hint;
      row.append(label, hint);
      row.addEventListener("click", () => go(index));
      return row;
    }),
  );
  const empty = /** @type {HTMLElement | null} */ (document.getElementById("palette-empty"));
  if (empty) {
    empty.hidden = shown.length > 0;
    empty.textContent = items ? "Nothing is called so. On a store’s page any text is also a key to look for." : "The list could not be read; the pages still can.";
  }
  choose(0);
}

/** @param {number} index */
function choose(index) {
  if (!list || !input) return;
  chosen = Math.max(0, Math.min(index, shown.length - 1));
  [...list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === chosen)));
  if (shown.length) input.setAttribute("aria-activedescendant", `palette-${chosen}`);
  else input.removeAttribute("aria-activedescendant");
  list.children[chosen]?.scrollIntoView({ block: "nearest" });
}

/** @param {number} index */
function go(index) {
  const item = shown[index];
  if (item) location.assign(item.href);
}

input?.addEventListener("input", draw);
input?.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
  }
  if (event.key === "Enter") {
    event.preventDefault();
    go(chosen);
  }
});
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
