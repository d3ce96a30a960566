// @ts-check
// A small event emitter.

/**
 * A small event emitter: `on(name, listener)`, `emit(name, detail)`.
 * Built on EventTarget, so that an error in one listener does not stop the others.
 * @template {object} Details
 * @returns {import('./types.js').Events<Details>}
 */
export function createEvents() {
  const target = new EventTarget();
  return {
    on(name, listener) {
      target.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
    },
    emit(name, ...detail) {
      target.dispatchEvent(new CustomEvent(name, { detail: detail[0] }));
    },
  };
}
