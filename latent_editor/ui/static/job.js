// @ts-check
// Work that takes seconds: shows its label, a bar, the time left and a cancel button where it was started.

import { call, post } from './api.js';
import { el, showFraction } from './dom.js';
import { secondsSince } from './numbers.js';
import { strings } from './strings.js';

/** @import { Store } from './store.js' */

const DRAW_MS = 500;
const LEAST_FRACTION = 0.05; // too early to estimate the time left below this

/**
 * Runs a gradio event and returns its last answer, or null if the visitor cancelled. Throws problems.
 * @param {Store} store
 * @param {HTMLElement} place
 * @param {{label: string, event: string, data: unknown[]}} job
 * @returns {Promise<any>}
 */
export async function runJob(store, place, { label, event, data }) {
  let cancelled = false;
  let leave = () => {};
  const left = new Promise((resolve) => { leave = () => resolve(null); });
  const row = createProgressRow(label, () => {
    cancelled = true;
    leave();
    post(store.path('/cancel?keep_photo=true')).catch(() => null);
  });
  const last = async () => {
    let answer = null;
    for await (const told of call(event, data)) {
      if (cancelled) return null;
      if ('fraction' in told) row.tell(told);
      else answer = told;
    }
    return answer;
  };
  place.replaceChildren(row.element);
  try {
    return await Promise.race([left, last()]);
  } finally {
    row.end();
  }
}

/**
 * @param {string} label
 * @param {() => void} onCancel
 */
function createProgressRow(label, onCancel) {
  const text = el('span', { class: 'what' }, strings.jobs.doing(label));
  const figures = el('output', { class: 'figures' });
  const bar = el('progress', { max: 1, 'aria-label': label });
  const cancel = el('button', { type: 'button', class: 'quiet', onclick: onCancel }, strings.jobs.cancel);
  const began = performance.now();
  /** @type {number | null} */
  let fraction = null;
  const draw = () => {
    const seconds = secondsSince(began);
    const isKnown = fraction !== null && fraction > LEAST_FRACTION;
    figures.textContent = isKnown ? strings.jobs.left(Number(fraction), seconds) : strings.units.seconds(seconds);
    showFraction(bar, fraction);
  };
  const timer = setInterval(draw, DRAW_MS);
  draw();
  const element = el('div', { class: 'working', role: 'status' }, text, figures, cancel, bar);
  return {
    element,
    /** @param {{fraction: number, label?: string}} answer */
    tell(answer) {
      fraction = answer.fraction;
      if (answer.label) text.textContent = strings.jobs.doing(answer.label);
      draw();
    },
    end() {
      clearInterval(timer);
      element.remove();
    },
  };
}
