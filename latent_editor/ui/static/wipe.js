// @ts-check
// Compare with the original: wipe across the picture, or hold it or the space bar.

import { targetOf } from './dom.js';
import { clamp, fractionOf } from './geometry.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

const HOLD_MS = 280;
const DRAG_PX = 5; // a press that moves sideways by more than this is a wipe
const KEY_STEP = 5;
const TYPING = 'input:not([type=range]), textarea, button, summary, a';

/** @param {Editor} editor */
export function startWipe({ elements: { picture, wipe }, events, views }) {
  /** @param {number} percent Share of the width that shows the result. */
  const set = (percent) => {
    const value = clamp(percent, 0, 100);
    picture.style.setProperty('--wipe', `${value}%`);
    picture.classList.toggle('wiped', value < 99.5);
    wipe.setAttribute('aria-valuenow', String(Math.round(value)));
    wipe.setAttribute('aria-valuetext', value > 99 ? strings.compare.resultOnly : strings.compare.resultShare(value));
  };
  /** @param {boolean} on */
  const hold = (on) => picture.classList.toggle('held', on && views.isEditing());

  events.on('wipe', set);
  set(100);
  bindPointer(picture, wipe, { set, hold, isEditing: views.isEditing });
  bindWipeKeys(wipe, set);
  bindSpaceBar(hold, views.isEditing);
}

/**
 * @param {HTMLElement} picture
 * @param {HTMLElement} wipe
 * @param {{set: (percent: number) => void, hold: (on: boolean) => void, isEditing: () => boolean}} actions
 */
function bindPointer(picture, wipe, { set, hold, isEditing }) {
  /** @type {{x: number, y: number, wiping: boolean} | null} */
  let press = null;
  let timer = 0;
  picture.addEventListener('pointerdown', (event) => {
    if (!isEditing() || event.button) return;
    press = { x: event.clientX, y: event.clientY, wiping: wipe.contains(targetOf(event)) };
    picture.setPointerCapture(event.pointerId);
    timer = setTimeout(() => hold(!press?.wiping), HOLD_MS);
  });
  picture.addEventListener('pointermove', (event) => {
    if (!press) return;
    const [dx, dy] = [Math.abs(event.clientX - press.x), Math.abs(event.clientY - press.y)];
    if (dx > DRAG_PX && dx > dy) press.wiping = true;
    if (!press.wiping) return;
    clearTimeout(timer);
    hold(false);
    set(fractionOf(event, picture.getBoundingClientRect())[0] * 100);
  });
  const end = () => {
    press = null;
    clearTimeout(timer);
    hold(false);
  };
  picture.addEventListener('pointerup', end);
  picture.addEventListener('pointercancel', end);
  picture.addEventListener('dblclick', () => set(100));
  picture.addEventListener('contextmenu', (event) => {
    if (picture.classList.contains('held')) event.preventDefault();
  });
}

/**
 * @param {HTMLElement} wipe
 * @param {(percent: number) => void} set
 */
function bindWipeKeys(wipe, set) {
  wipe.addEventListener('keydown', (event) => {
    const now = Number(wipe.getAttribute('aria-valuenow'));
    const [less, more] = [now - KEY_STEP, now + KEY_STEP];
    /** @type {Record<string, number>} */
    const targets = { ArrowLeft: less, ArrowDown: less, ArrowRight: more, ArrowUp: more, Home: 0, End: 100 };
    if (!(event.key in targets)) return;
    event.preventDefault();
    set(targets[event.key]);
  });
}

/**
 * @param {(on: boolean) => void} hold
 * @param {() => boolean} isEditing
 */
function bindSpaceBar(hold, isEditing) {
  document.addEventListener('keydown', (event) => {
    if (event.key !== ' ' || targetOf(event).closest(TYPING) || !isEditing()) return;
    event.preventDefault();
    hold(true);
  });
  document.addEventListener('keyup', (event) => { if (event.key === ' ') hold(false); });
  window.addEventListener('blur', () => hold(false));
}
