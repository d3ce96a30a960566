// @ts-check
// An audio track for the video, and the slider that follows its loudness.

import { el, numberOf, optionsOf, small } from './dom.js';
import { createMediaFile } from './media-file.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/**
 * @param {Editor} editor
 * @param {(seconds?: number) => void} onChange With the track's length when one was chosen.
 */
export function createSound(editor, onChange) {
  const words = strings.sound;
  const onchange = () => onChange();
  const file = createMediaFile(editor, {
    label: words.choose, accept: 'audio/*,video/*',
    onChange(media) {
      options.hidden = !media;
      onChange(media?.sound_s);
    },
  });
  const follow = el('select', { 'aria-label': words.follow, onchange });
  const bands = optionsOf(Object.entries(words.bands));
  const band = el('select', { 'aria-label': words.band, onchange }, ...bands);
  const number = (/** @type {string} */ label, /** @type {number} */ value) => (
    el('input', { type: 'number', 'aria-label': label, min: -3, max: 3, step: 0.5, value, onchange }));
  const [low, high] = [number(words.low, 0), number(words.high, 2)];
  const options = el(
    'div', { class: 'settings', hidden: true },
    small(words.sliderRow), follow,
    small(words.bandRow), band,
    small(words.rangeRow), el('div', { class: 'row' }, low, high),
  );
  const element = el(
    'details', { class: 'fold' }, el('summary', { class: 'quiet' }, words.head),
    el('p', { class: 'small' }, words.about), file.element, options,
  );

  return {
    element,
    /** Lists the panel's sliders as those that can follow. */
    open() {
      const hadNone = follow.value === '' && follow.options.length > 0;
      const before = follow.value;
      const sliders = editor.store.state.sliders.map(({ key, name }) => /** @type {const} */ ([key, name]));
      follow.replaceChildren(...optionsOf([...sliders, ['', words.followNone]]));
      if (hadNone || sliders.some(([key]) => key === before)) follow.value = before;
    },
    moves: () => Boolean(file.media() && follow.value),
    request() {
      const media = file.media();
      if (!media) return {};
      return { sound: media.key, follow: follow.value, band: band.value, low: numberOf(low), high: numberOf(high) };
    },
  };
}
