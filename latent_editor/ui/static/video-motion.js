// @ts-check
// Motion transfer: a clip whose face drives this one.

import { el, numberOf, small } from './dom.js';
import { createMediaFile } from './media-file.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

const MUTE_CLIP_S = 4;

/**
 * @param {Editor} editor
 * @param {(seconds?: number) => void} onChange With the clip's length when one was chosen.
 */
export function createMotion(editor, onChange) {
  const words = strings.motion;
  const file = createMediaFile(editor, {
    label: words.choose, accept: 'video/*,image/gif',
    onChange(media) {
      options.hidden = !media;
      onChange(media ? media.sound_s || MUTE_CLIP_S : 0);
    },
  });
  const amount = el('input', {
    type: 'range', min: 0, max: 2, step: 0.1, value: 1, 'aria-label': words.amount, onchange: () => onChange(),
  });
  const options = el('label', { class: 'row', hidden: true }, small(words.amountRow), amount);
  const element = el(
    'details', { class: 'fold' }, el('summary', { class: 'quiet' }, words.head),
    el('p', { class: 'small' }, words.about), file.element, options,
  );
  return {
    element,
    moves: () => Boolean(file.media()),
    request() {
      const media = file.media();
      return media ? { clip: media.key, amount: numberOf(amount) } : {};
    },
  };
}
