// @ts-check
// The settings of a video: format, length, keyframes, sound, motion.

import { createChoices } from './choices.js';
import { el, numberOf, optionsOf, small } from './dom.js';
import { clamp } from './geometry.js';
import { createKeyframes } from './keyframes.js';
import { strings } from './strings.js';
import { createMotion } from './video-motion.js';
import { createSound } from './video-sound.js';

/** @import { Editor } from './types.js' */

const FORMATS = { mp4: 'MP4', webm: 'WebM', gif: 'GIF' };
const LENGTHS_S = [2, 4, 6, 10, 15, 20, 30, 60];
const USUAL_S = 4;
const MAX_MEDIA_S = 20; // longer tracks and clips are cut unless the visitor asks for more

/**
 * @param {Editor} editor
 * @param {() => void} onChange
 */
export function createVideoSettings(editor, onChange) {
  const words = strings.video;
  const format = createChoices(words.format, FORMATS, 'mp4', onChange);
  const lengths = optionsOf(LENGTHS_S.map((s) => /** @type {const} */ ([s, words.seconds(s)])));
  const length = el('select', { 'aria-label': words.length, onchange: onChange }, ...lengths);
  length.value = String(USUAL_S);
  const loop = el('input', { type: 'checkbox', checked: true, onchange: onChange });
  const keyframes = createKeyframes(editor, onChange);
  const sound = createSound(editor, fitMedia);
  const motion = createMotion(editor, fitMedia);
  const grid = el(
    'div', { class: 'settings' },
    small(words.format), format.element,
    small(words.length), el('div', { class: 'row' }, length, el('label', { class: 'check' }, loop, words.loop)),
  );

  /**
   * Fits length and looping to a track or clip: it plays once. The visitor can turn the loop back on.
   * @param {number} [seconds]
   */
  function fitMedia(seconds) {
    if (seconds) {
      loop.checked = false;
      length.value = String(lengthFor(seconds));
    }
    onChange();
  }
  return {
    elements: [grid, keyframes.element, sound.element, motion.element],
    moves: () => !keyframes.isEmpty() || sound.moves() || motion.moves(),
    isAudible: () => 'sound' in sound.request() || 'clip' in motion.request(),
    summary: () => keyframes.summary(loop.checked),
    open() {
      keyframes.show();
      sound.open();
    },
    update: keyframes.show,
    request: () => ({
      kind: format.value(), seconds: numberOf(length), loop: loop.checked,
      ...keyframes.request(), ...sound.request(), ...motion.request(),
    }),
  };
}

/**
 * The longest option that a track or clip fills.
 * @param {number} seconds
 */
export function lengthFor(seconds) {
  const wanted = clamp(seconds, LENGTHS_S[0], MAX_MEDIA_S);
  return LENGTHS_S.findLast((length) => length <= wanted);
}
