// What the first paint need not wait for: drawing on canvases, measuring, sockets.

// In a tab that nobody sees there is no frame to wait for.
const UNSEEN_MS = 1000;

/** @param {() => void} act called once, when the next frame is on its way to the screen and the one after it begins */
export function afterPaint(act) {
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    act();
  };
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(once)));
  setTimeout(once, UNSEEN_MS);
}
