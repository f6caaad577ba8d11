// The first visit: an offer of a tour of four stops on the overview. Nothing opens by itself, and the answer is remembered.

const STOPS = [
  [".strip, canvas.strip-map", "One cell is one partition", "Its colour is the instance that owns it, its height how far it is restored. Hatched means standby or moving, outlined means trouble. Click one to see that partition."],
  ["[data-live=overview] .note, .page-head", "What is wrong is said first", "Problems stand on top, in words, with the page that explains them. Nothing here is a guess: what was not measured is a dash, and a page whose updates stop says that it is stale."],
  [".store-table th a", "A store is one click away", "Browse it by key, range, window or time, filter it, follow one key live, see what its changelog still knows, compare it with a copy, or rebuild it after a dry run."],
  ["nav.rail", "The rest is here, and under Ctrl-K", "Restores, lag, jobs, audit and a self-check that says what to do. Ctrl-K jumps to anything by name; ? shows all keys."],
];
const offer = document.getElementById("tour-offer");
const MOVES = ["scroll", "resize"];
const GAP = 6;
const EDGE = 16;
let end = () => {};

function isDone() {
  try {
    return localStorage.getItem("tour") === "done";
  } catch {
    return true; // it could not be remembered that it was declined, so do not ask every time
  }
}

function finish() {
  try {
    localStorage.setItem("tour", "done");
  } catch {
    // Then it is offered no more on this page only.
  }
  if (offer) offer.hidden = true;
}

/** @param {number} index */
function stop(index) {
  end();
  if (offer) offer.hidden = true;
  if (index >= STOPS.length) {
    finish();
    return;
  }
  const [where, title, words] = STOPS[index];
  const ring = document.createElement("div");
  ring.className = "tour-ring";
  const card = document.createElement("section");
  card.id = "tour";
  card.className = "tour card";
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-label", `Tour, stop ${index + 1} of ${STOPS.length}`);
  const heading = document.createElement("h2");
  heading.textContent = title;
  const text = document.createElement("p");
  text.textContent = words;
  const row = document.createElement("p");
  row.className = "row";
  const count = document.createElement("span");
  count.className = "small quiet";
  count.textContent = `${index + 1} of ${STOPS.length}`;
  row.append(count, button("End", () => stop(STOPS.length)), button(index + 1 < STOPS.length ? "Next" : "Done", () => stop(index + 1), true));
  card.append(heading, text, row);
  card.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop(STOPS.length);
  });
  document.body.append(ring, card);
  target(where)?.scrollIntoView({ block: "center" });
  const follow = () => place(where, ring, card);
  follow();
  for (const event of MOVES) addEventListener(event, follow, { passive: true });
  // A live update may replace what is shown, or push it down.
  document.addEventListener("statehouse:updated", follow);
  end = () => {
    for (const event of MOVES) removeEventListener(event, follow);
    document.removeEventListener("statehouse:updated", follow);
    ring.remove();
    card.remove();
    end = () => {};
  };
  /** @type {HTMLElement | null} */ (card.querySelector(".button-main"))?.focus({ preventScroll: true });
}

/** @param {string} where selectors in the order of preference, and not of the page */
function target(where) {
  for (const selector of where.split(", ")) {
    const found = document.querySelector(selector);
    if (found) return found;
  }
  return null;
}

/**
 * Draws the ring around what is explained and puts the card beside it: below, above, or to the right of what is as high as
 * the window. On a phone the card lies at the end of the window that the ring leaves free.
 * @param {string} where
 * @param {HTMLElement} ring
 * @param {HTMLElement} card
 */
function place(where, ring, card) {
  const box = target(where)?.getBoundingClientRect();
  ring.hidden = !box;
  if (!box) return;
  const put = (/** @type {HTMLElement} */ element, /** @type {Record<string, number>} */ at) => {
    for (const [name, value] of Object.entries(at)) element.style.setProperty(name, `${Math.round(value)}px`);
  };
  put(ring, { left: box.left - GAP, top: box.top - GAP, width: box.width + 2 * GAP, height: box.height + 2 * GAP });
  const { width, height } = card.getBoundingClientRect();
  const within = (/** @type {number} */ at, /** @type {number} */ size, /** @type {number} */ whole) => Math.max(EDGE, Math.min(at, whole - size - EDGE));
  const below = box.bottom + 2 * GAP;
  const above = box.top - 2 * GAP - height;
  if (below + height + EDGE <= innerHeight) put(card, { left: within(box.left, width, innerWidth), top: below });
  else if (above >= EDGE) put(card, { left: within(box.left, width, innerWidth), top: above });
  else put(card, { left: within(box.right + 2 * GAP, width, innerWidth), top: within(box.top + EDGE, height, innerHeight) });
}

/**
 * @param {string} words
 * @param {() => void} act
 * @param {boolean} [main]
 */
function button(words, act, main = false) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = main ? "button button-main button-s" : "button button-s";
  made.textContent = words;
  made.addEventListener("click", act);
  return made;
}

if (offer) {
  offer.hidden = isDone();
  offer.querySelector("[data-tour-start]")?.addEventListener("click", () => stop(0));
  offer.querySelector("[data-tour-decline]")?.addEventListener("click", finish);
  if (location.hash === "#tour") stop(0);
}
