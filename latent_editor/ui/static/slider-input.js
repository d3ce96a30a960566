// @ts-check
// Binds a range input: preview frames while it moves, one committed change when it rests.

import { clamp } from './geometry.js';
import { stepped } from './numbers.js';
import { numberOf } from './dom.js';

/** @import { Editor } from './types.js' */

const COMMIT_MS = 350; // moves closer together than this (keys, a double click) are one entry of the history
/** @type {Record<string, number>} */
const ARROWS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

/**
 * @typedef {object} SliderOptions
 * @property {string} [verb] The change to send.
 * @property {readonly [fine: number, coarse: number]} [steps] Of the arrow keys without and with Shift.
 * @property {number} [notch] Values closer to zero than this snap to zero.
 */

/**
 * @param {Editor} editor
 * @param {string} key
 * @param {HTMLInputElement} input
 * @param {(value: number) => void} draw
 * @param {SliderOptions} options
 */
export function bindSlider({ frames, changes }, key, input, draw, { verb = 'move', steps, notch = 0.08 } = {}) {
  const [fine, coarse] = steps ?? [0.1, 0.5];
  let timer = 0;
  let active = false;

  /** @param {number} value */
  function move(value) {
    active = true;
    input.value = String(value);
    draw(numberOf(input));
    frames.drag(key, numberOf(input));
  }
  async function commit() {
    clearTimeout(timer);
    if (!active) return;
    active = false;
    await changes.change({ do: verb, key, value: numberOf(input) });
    if (!active) frames.committed(key);
  }
  function commitSoon() {
    clearTimeout(timer);
    timer = setTimeout(commit, COMMIT_MS);
  }
  /** @param {number} value */
  function moveTo(value) {
    move(value);
    commit();
  }
  /** @param {number} step */
  function moveBy(step) {
    move(clamp(stepped(numberOf(input), step, fine), Number(input.min), Number(input.max)));
    commitSoon();
  }

  input.addEventListener('input', () => move(Math.abs(numberOf(input)) < notch ? 0 : numberOf(input)));
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Delete' || event.key === 'Backspace') moveTo(0);
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    moveBy(ARROWS[event.key] * (event.shiftKey ? coarse : fine));
  });
  input.addEventListener('change', commitSoon);
  input.addEventListener('blur', commit);
  input.addEventListener('dblclick', () => moveTo(0));
  return { moveTo, moveBy, commit, coarse, isActive: () => active };
}
