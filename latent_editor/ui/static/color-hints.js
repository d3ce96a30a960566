// @ts-check
// Color hints on a grayscale photo: dots of color where the visitor knows it.

import { el, focusQuietly } from './dom.js';
import { arrowStep, moved, placeIn } from './geometry.js';
import { strings } from './strings.js';

/** @import { Point } from './types.js' */
/** @typedef {{x: number, y: number, colour: string}} ColorHint In the server's JSON. */

const MAX_HINTS = 32;
const KEY_STEPS = /** @type {const} */ ([0.005, 0.02]);
const FIRST_COLOR = '#8a4b2d';

export class ColorHints {
  /** @type {ColorHint[]} */
  list = [];
  /** The layer over the picture; takes presses while the tool is active. */
  layer = el('div', { class: 'color-hints', role: 'group', 'aria-label': strings.colorHints.layer });
  element;
  #color = el('input', { type: 'color', value: FIRST_COLOR, 'aria-label': strings.colorHints.color });
  #tool = el('button', { type: 'button', 'aria-pressed': 'false' }, strings.colorHints.place);
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    const label = el('label', {}, strings.colorHints.label, this.#color);
    this.element = el('div', { class: 'color-hint-picker' }, label, this.#tool);
    this.#color.addEventListener('change', () => this.arm(true));
    this.#tool.addEventListener('click', (event) => {
      if (event.detail === 0) this.#add([0.5, 0.5]); // from the keyboard; arrow keys move it from here
      else this.arm(this.#tool.getAttribute('aria-pressed') !== 'true');
    });
    this.layer.addEventListener('pointerdown', (event) => {
      if (event.button || event.target !== this.layer) return;
      event.preventDefault();
      this.#add(placeIn(event, this.layer));
    });
  }

  /** @param {boolean} on */
  arm(on) {
    this.#tool.setAttribute('aria-pressed', String(on));
    this.layer.classList.toggle('armed', on);
  }

  clear() {
    this.list.length = 0;
    this.arm(false);
    this.#show();
  }

  /** @param {Point} place */
  #add([x, y]) {
    if (this.list.length >= MAX_HINTS) return;
    this.list.push({ x, y, colour: this.#color.value });
    this.#show();
    this.#focus(this.list.length - 1);
  }

  /**
   * @param {ColorHint} hint
   * @param {Point} step
   */
  #move(hint, step) {
    put(hint, moved([hint.x, hint.y], step));
    this.#show();
    this.#focus(this.list.indexOf(hint));
  }

  /** @param {ColorHint} hint */
  #remove(hint) {
    const i = this.list.indexOf(hint);
    this.list.splice(i, 1);
    this.#show();
    this.#focus(Math.min(i, this.list.length - 1));
  }

  #show() {
    this.layer.replaceChildren(...this.list.map((hint, i) => this.#createButton(hint, i)));
    this.#tool.disabled = this.list.length >= MAX_HINTS;
    this.#onChange();
  }

  /** @param {number} i */
  #focus(i) {
    focusQuietly(this.layer.children[i] ?? this.#tool);
  }

  /**
   * @param {ColorHint} hint
   * @param {number} i
   */
  #createButton(hint, i) {
    const { hint: labelOf, title } = strings.colorHints;
    const label = labelOf(i + 1, hint.colour, strings.units.place(hint.x, hint.y));
    const button = el('button', { type: 'button', class: 'color-hint', 'aria-label': label, title });
    Object.assign(button.style, { ...position(hint), background: hint.colour });
    button.addEventListener('keydown', (event) => this.#press(event, hint));
    button.addEventListener('dblclick', () => this.#remove(hint));
    button.addEventListener('pointerdown', (event) => {
      event.stopPropagation();
      button.setPointerCapture(event.pointerId);
    });
    button.addEventListener('pointermove', (event) => {
      if (!button.hasPointerCapture(event.pointerId)) return;
      put(hint, placeIn(event, this.layer));
      Object.assign(button.style, position(hint));
    });
    return button;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {ColorHint} hint
   */
  #press(event, hint) {
    const step = arrowStep(event, KEY_STEPS);
    if (step) this.#move(hint, step);
    else if (event.key === 'Delete' || event.key === 'Backspace') this.#remove(hint);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/**
 * @param {ColorHint} hint
 * @param {Point} place
 */
const put = (hint, [x, y]) => Object.assign(hint, { x, y });

/** @param {ColorHint} hint */
const position = ({ x, y }) => ({ left: `${x * 100}%`, top: `${y * 100}%` });
