// @ts-check
// Runs repairs, one at a time, and passes the result on to reconstruction.

import { call, post } from './api.js';
import { RunCounter } from './run-counter.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/**
 * @param {Editor} editor
 * @param {object} view
 * @param {HTMLImageElement} view.image
 * @param {HTMLProgressElement} view.bar
 * @param {HTMLElement} view.figures
 * @param {() => void} view.onChange
 * @param {() => void} view.showPhoto
 */
export function createRepairRun({ store, events, messages }, { image, bar, figures, onChange, showPhoto }) {
  const runs = new RunCounter();

  function end() {
    runs.end();
    figures.textContent = '';
    onChange();
  }

  /** @param {object} faults The damage. */
  async function start(faults) {
    const run = runs.begin();
    messages.clear('repair');
    bar.removeAttribute('value');
    figures.textContent = strings.reconstruction.firstLook;
    onChange();
    try {
      for await (const { crop, image: drawn, fraction, seconds } of call('repair', [store.session, faults])) {
        if (!runs.isActive(run)) return;
        if (crop) {
          end();
          events.emit('reconstruct', crop);
          return;
        }
        if (drawn) image.src = drawn;
        bar.value = fraction;
        figures.textContent = strings.units.seconds(seconds);
      }
    } catch (problem) {
      if (!runs.isActive(run)) return;
      end();
      showPhoto();
      messages.problem(problem, 'repair');
    }
  }

  return {
    start,
    isActive: () => runs.active > 0,
    cancel() {
      end();
      showPhoto();
      post(store.path('/cancel?keep_photo=true')).catch((problem) => messages.problem(problem, 'repair'));
    },
  };
}
