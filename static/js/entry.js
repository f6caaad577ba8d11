// Keeps one open entry live: a WebSocket for its topic tells a digest, and when that differs from what is shown the entry
// is drawn again. Says "stale" when nothing came for 5 s, when the observer has stopped, or when no engine can answer.
import { applyRegions, fetchPage } from "./regions.js";

const STALE_MS = 5000;
const RETRY_MS = 2000;
const CHANGED_MS = 1600;
const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("dialog"));

/** @type {Watch | undefined} */
let watch;

class Watch {
  /** @param {HTMLElement} indicator */
  constructor(indicator) {
    this.indicator = indicator;
    this.topic = indicator.dataset.entry ?? "";
    this.heardAt = performance.now();
    this.observerAgeMs = 0;
    /** @type {string | null} */
    this.problem = null;
    this.busy = false;
    this.closed = false;
    this.timer = setInterval(() => this.show(), 200);
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws/live/?topic=${encodeURIComponent(this.topic)}`);
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => {
      if (!this.closed) setTimeout(() => !this.closed && this.connect(), RETRY_MS);
    });
  }

  /** @param {{type: string, at: number, observer_at?: number | null, data?: {digest: string | null, problem: string | null}}} message */
  receive(message) {
    this.heardAt = performance.now();
    this.observerAgeMs = message.observer_at ? Math.max(0, message.at - message.observer_at) : Infinity;
    if (message.type === "snapshot" && message.data) {
      this.problem = message.data.problem;
      const shown = this.article()?.dataset.digest;
      if (message.data.digest && shown && message.data.digest !== shown) this.redraw();
    }
    this.show();
  }

  /** @returns {HTMLElement | null} */
  article() {
    return this.indicator.closest("[data-digest]");
  }

  async redraw() {
    if (this.busy || document.hidden) return;
    this.busy = true;
    try {
      const inDialog = dialog?.contains(this.indicator);
      const page = await fetchPage(inDialog ? (dialog?.dataset.url ?? location.href) : location.href, "dialog");
      if (this.closed) return;
      applyRegions(page, inDialog && dialog ? dialog : document);
      const article = this.article();
      article?.setAttribute("data-changed", "");
      setTimeout(() => article?.removeAttribute("data-changed"), CHANGED_MS);
    } catch (error) {
      // The next message tries again; until then the indicator tells how old this is.
      console.debug("statehouse: entry not drawn again", error);
    } finally {
      this.busy = false;
    }
  }

  show() {
    const ageMs = this.observerAgeMs + (performance.now() - this.heardAt);
    const stale = ageMs > STALE_MS || this.problem !== null;
    const words = this.problem !== null ? "stale: no answer" : stale ? "stale: no updates" : `live ${(ageMs / 1000).toFixed(1)} s ago`;
    this.indicator.dataset.state = stale ? "stale" : "live";
    this.indicator.title = this.problem ?? "";
    if (this.indicator.textContent !== words) this.indicator.textContent = words;
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.socket?.close();
  }
}

function start() {
  watch?.close();
  const indicator = /** @type {HTMLElement | null} */ ((dialog?.open ? dialog : document).querySelector("[data-entry]"));
  watch = indicator ? new Watch(indicator) : undefined;
}

document.addEventListener("statehouse:dialog", start);
dialog?.addEventListener("close", () => {
  watch?.close();
  watch = undefined;
});
start();
