// @ts-check
// Rows of the repair form: one for each kind of damage, with its amount.

import { el, numberOf } from './dom.js';
import { strings } from './strings.js';

/**
 * @typedef {object} Fault
 * @property {'scale' | 'grey' | 'blur_px' | 'noise' | 'jpeg'} name The server's name for it.
 * @property {{min: number, max: number, step: number, value: number}} [range] Omitted for damage without an amount.
 */

/** @type {Fault[]} */
export const FAULTS = [
  { name: 'scale', range: { min: 2, max: 16, step: 1, value: 8 } },
  { name: 'grey' },
  { name: 'blur_px', range: { min: 0.5, max: 8, step: 0.5, value: 2 } },
  { name: 'noise', range: { min: 0.05, max: 0.6, step: 0.05, value: 0.2 } },
  { name: 'jpeg', range: { min: 5, max: 60, step: 5, value: 20 } },
];

/**
 * @param {Fault} fault
 * @param {() => void} onChange
 */
export function createFaultRow({ name, range }, onChange) {
  const { label, amount } = strings.faults[name];
  const box = el('input', { type: 'checkbox', onchange: () => update() });
  const slider = range && el('input', {
    type: 'range', ...range, 'aria-label': strings.repair.amount(label),
    oninput() {
      box.checked = true;
      update();
    },
  });
  const figure = el('output', {});
  const strength = slider && el('label', { class: 'strength' }, slider, figure);
  const element = el('div', { class: 'fault' }, el('label', {}, box, label), strength);

  function show() {
    element.classList.toggle('on', box.checked);
    if (slider) figure.textContent = amount(numberOf(slider));
  }
  function update() {
    show();
    onChange();
  }
  show();
  return {
    name,
    element,
    isOn: () => box.checked,
    focus: () => box.focus({ preventScroll: true }),
    clear() {
      box.checked = false;
      show();
    },
    /** Its part of the request. */
    value: () => (box.checked ? { [name]: slider ? numberOf(slider) : true } : {}),
  };
}
