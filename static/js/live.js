// Keeps the page live: one WebSocket for the page's topic. A snapshot message says that something changed and carries
// the numbers; the regions are drawn again at most twice a second. Says "stale" when nothing came for 5 s, or when
// what came was measured more than 5 s before, for then the observer is what has stopped.
import { afterPaint } from "./after-paint.js";
import { refreshRegions } from "./regions.js";
import { setServerTime } from "./times.js";

const STALE_MS = 5000;
const REFRESH_EVERY_MS = 500;
const RETRY_MS = [250, 500, 1000, 2000, 5000];
// What the server closes with (docs/snapshots.md): the session has ended, the right was taken, the thing is gone.
const NOT_SIGNED_IN = 4401;
const FINAL = new Map([[4403, "not allowed any more"], [4404, "no longer reported"]]);

const indicator = document.getElementById("live");
const reasonElement = document.getElementById("stale-reason");
const topic = document.body.dataset.topic ?? "";

let lastMessageAt = performance.now();
let observerAgeMs = observerAge(Number(document.body.dataset.at), Number(document.body.dataset.observerAt));
let connected = false;
/** @type {string | undefined} why no more updates will come */
let ended;
let attempts = 0;
let refreshedAt = performance.now();
let refreshing = false;
/** Whether something changed while a refresh was under way. */
let isBehind = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let planned;
/** @type {number | null} */
let staleSince = null;

/**
 * @param {number} atMs
 * @param {number} observerAtMs
 * @returns {number} how old the observer's measure was when the message was made; both on the server's clock
 */
function observerAge(atMs, observerAtMs) {
  if (!observerAtMs) return Infinity;
  return Math.max(0, atMs - observerAtMs);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/live/?topic=${encodeURIComponent(topic)}&data=none`);
  socket.addEventListener("open", () => {
    connected = true;
  });
  socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  socket.addEventListener("close", (event) => {
    connected = false;
    ended = FINAL.get(event.code);
    if (event.code === NOT_SIGNED_IN) {
      location.reload(); // leads to the sign-in page and back
      return;
    }
    const delay = ended ? RETRY_MS[RETRY_MS.length - 1] : RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)];
    attempts += 1;
    // Spread the return of many tabs over time, so that a console that restarts isn't met by all at once.
    setTimeout(connect, delay * (0.75 + Math.random() / 2));
  });
}

/** @param {{type: string, at: number, observer_at?: number | null, data?: unknown}} message */
function receive(message) {
  lastMessageAt = performance.now();
  attempts = 0;
  ended = undefined;
  observerAgeMs = observerAge(message.at, message.observer_at ?? 0);
  setServerTime(message.at);
  if (message.type === "snapshot") planRefresh();
  show();
}

function planRefresh() {
  isBehind = refreshing;
  if (planned || refreshing || document.hidden) return;
  const wait = Math.max(0, REFRESH_EVERY_MS - (performance.now() - refreshedAt));
  planned = setTimeout(refresh, wait);
}

async function refresh() {
  planned = undefined;
  refreshing = true;
  // From its beginning on: however long a refresh takes, two of them are half a second apart.
  refreshedAt = performance.now();
  try {
    await refreshRegions();
  } catch (error) {
    // The next snapshot tries again; until then the indicator tells the truth about the page's age.
    console.debug("statehouse: refresh failed", error);
  } finally {
    refreshing = false;
    if (isBehind) planRefresh();
  }
}

function show() {
  if (!indicator) return;
  const silentMs = performance.now() - lastMessageAt;
  const ageMs = observerAgeMs + silentMs;
  const stale = silentMs > STALE_MS || ageMs > STALE_MS;
  document.documentElement.toggleAttribute("data-stale", stale);
  if (!stale) {
    staleSince = null;
    set(connected ? "live" : "waiting", connected ? `live ${seconds(ageMs)} ago` : "connecting");
    return;
  }
  staleSince ??= Date.now() - (Number.isFinite(ageMs) ? ageMs : 0);
  const since = new Date(staleSince).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  set("stale", `stale since ${since}`);
  if (reasonElement) {
    const words = ended ? `What this page shows is ${ended}.` : connected && silentMs <= STALE_MS
      ? "The console answers, but its observer has not measured anything for more than 5 s (manage.py observe, or Redis)."
      : "The console does not answer.";
    if (reasonElement.textContent !== words) reasonElement.textContent = words;
  }
}

/**
 * @param {string} state
 * @param {string} words
 */
function set(state, words) {
  if (!indicator) return;
  if (indicator.dataset.state !== state) indicator.dataset.state = state;
  if (indicator.textContent !== words) indicator.textContent = words;
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

if (topic) {
  afterPaint(connect);
  setInterval(show, 200);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) planRefresh();
  });
}
