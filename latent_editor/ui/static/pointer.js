// @ts-check
// Follows a pressed pointer, even over elements that are replaced meanwhile.

/**
 * Reports the pointer's moves until it is released, once they are more than a click.
 * @param {PointerEvent} down
 * @param {number} nearPx A press that moves less than this is a click.
 * @param {(event: PointerEvent) => void} onMove
 * @param {() => void} onEnd
 */
export function followPointer(down, nearPx, onMove, onEnd) {
  const isMine = (/** @type {PointerEvent} */ event) => event.pointerId === down.pointerId;
  const ended = new AbortController();
  let isDrag = false;

  window.addEventListener('pointermove', (event) => {
    if (!isMine(event)) return;
    isDrag ||= Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > nearPx;
    if (isDrag) onMove(event);
  }, ended);
  for (const kind of /** @type {const} */ (['pointerup', 'pointercancel'])) {
    window.addEventListener(kind, (event) => {
      if (!isMine(event)) return;
      ended.abort();
      onEnd();
    }, ended);
  }
}
