// @ts-check
// Keyframes of the video. Each is an entry of the history; null is the unedited face.

import { el, icon, optionsOf, small } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @typedef {string | null} Keyframe */

const MAX_KEYFRAMES = 24;

/**
 * @param {Editor} editor
 * @param {() => void} onChange
 */
export function createKeyframes(editor, onChange) {
  const { store } = editor;
  const words = strings.keyframes;
  /** @type {Keyframe[]} */
  let keys = []; // empty: from the unedited face to the current one
  const list = el('ol', { class: 'keys' });
  const eases = optionsOf(Object.entries(words.eases));
  const ease = el('select', { 'aria-label': words.easeLabel, onchange: onChange }, ...eases);
  const add = el('button', { type: 'button', onclick: addPresent }, words.add);
  const clear = el('button', { type: 'button', class: 'quiet', onclick: () => change([]) }, words.clear);
  const element = el(
    'details', { class: 'fold' }, el('summary', { class: 'quiet' }, words.head),
    el('p', { class: 'small' }, words.about),
    list, el('div', { class: 'row' }, add, clear), el('label', { class: 'row' }, small(words.easeRow), ease),
  );
  const present = () => store.state.history[store.state.at].id;

  function addPresent() {
    change([...(keys.length ? keys : [null]), present()]); // start from the unedited face, so that something moves
  }
  /**
   * @param {Keyframe[]} now
   * @param {{at: number, action: string}} [focus]
   */
  function change(now, focus) {
    keys = now;
    show();
    if (focus) {
      const button = list.children[focus.at]?.querySelector(`[data-do="${focus.action}"]:not(:disabled)`);
      /** @type {HTMLElement} */ (button ?? add).focus();
    }
    onChange();
  }
  function show() {
    const known = new Set(store.state.history.map(({ id }) => id));
    keys = keys.filter((key) => key === null || known.has(key));
    const shown = keys.length ? keys : [null, present()];
    const actions = (/** @type {number} */ i) => (keys.length ? createActions(keys, i, change) : null);
    list.replaceChildren(...shown.map((key, i) => createFrame(editor, key, actions(i))));
    add.disabled = keys.length >= MAX_KEYFRAMES;
    clear.hidden = keys.length === 0;
  }

  return {
    element,
    show,
    isEmpty: () => keys.length === 0,
    request: () => (keys.length ? { keys, ease: ease.value } : { ease: ease.value }),
    /** @param {boolean} loop */
    summary: (loop) => words.summary(keys.length, loop),
  };
}

/**
 * @param {Editor} editor
 * @param {Keyframe} key
 * @param {HTMLElement | null} actions
 */
function createFrame({ store }, key, actions) {
  const entry = store.state.history.find(({ id }) => id === key);
  const label = entry ? entry.label : strings.keyframes.unedited;
  const source = store.pictureUrl(key === null ? 'unedited.jpg' : `moment/${key}.jpg`);
  const image = el('img', { src: source, alt: label, width: 64, height: 64 });
  return el('li', { title: label }, image, actions);
}

/**
 * The buttons of a keyframe: earlier, remove, later.
 * @param {Keyframe[]} keys
 * @param {number} i
 * @param {(keys: Keyframe[], focus: {at: number, action: string}) => void} change
 */
function createActions(keys, i, change) {
  const { earlier, remove, later, actionLabel } = strings.keyframes;
  /**
   * @param {string} action
   * @param {string} title
   * @param {string | Node} glyph
   * @param {boolean} disabled
   * @param {() => void} onclick
   */
  const button = (action, title, glyph, disabled, onclick) => el('button', {
    type: 'button', class: 'quiet icon', 'data-do': action,
    'aria-label': actionLabel(title, i + 1), title, disabled, onclick,
  }, glyph);
  const swap = (/** @type {number} */ to, /** @type {string} */ action) => (
    change(swapped(keys, i, to), { at: to, action }));
  const drop = () => change(keys.filter((_, j) => j !== i), { at: Math.max(0, i - 1), action: 'out' });
  return el(
    'div', { class: 'row' },
    button('back', earlier, '‹', i === 0, () => swap(i - 1, 'back')),
    button('out', remove, icon('close'), false, drop),
    button('on', later, '›', i === keys.length - 1, () => swap(i + 1, 'on')),
  );
}

/**
 * @template T
 * @param {T[]} list
 * @param {number} i
 * @param {number} j
 */
export function swapped(list, i, j) {
  const other = [...list];
  [other[i], other[j]] = [other[j], other[i]];
  return other;
}
