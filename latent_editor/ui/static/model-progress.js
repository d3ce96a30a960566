// @ts-check
// The model picker's progress line, with a cancel button.

import { showFraction } from './dom.js';
import { secondsSince } from './numbers.js';
import { strings } from './strings.js';

/** @import { Elements } from './types.js' */
/**
 * @typedef {object} ModelWait A long task under way.
 * @property {(label: string, fraction?: number | null) => void} tell
 * @property {() => void} end
 */

const DRAW_MS = 500;

/** @param {Elements} elements */
export function createModelProgress({ models, reading, 'reading-text': text, 'reading-bar': bar }) {
  /** @type {(() => void) | undefined} */
  let onCancel;
  return {
    /** Cancels the task. */
    cancel() {
      onCancel?.();
      reading.hidden = true;
    },
    /**
     * @param {string} first Label of the task.
     * @param {() => void} [stop] Cancels it.
     * @returns {ModelWait}
     */
    begin(first, stop) {
      const began = performance.now();
      let label = first;
      /** @type {number | null} */
      let fraction = null;
      const draw = () => {
        const { seconds, percent } = strings.units;
        const figure = fraction === null ? seconds(secondsSince(began)) : percent(fraction);
        text.textContent = strings.models.progress(label, figure);
        showFraction(bar, fraction);
      };
      const timer = setInterval(draw, DRAW_MS);
      onCancel = stop;
      models.classList.add('waiting');
      reading.hidden = false;
      draw();
      return {
        tell(now, part = null) {
          label = now;
          fraction = part;
          draw();
        },
        end() {
          clearInterval(timer);
          reading.hidden = true;
          models.classList.remove('waiting');
        },
      };
    },
  };
}
