// @ts-check
// Moves focus to a new slider.

import { focusQuietly } from './dom.js';

/** @import { Editor } from './types.js' */

/**
 * The newest slider is the first.
 * @param {Editor} editor
 */
export function focusFirstSlider({ root, elements: { cards } }, { toTop = false } = {}) {
  const panel = root.querySelector('.panel');
  if (toTop && panel) panel.scrollTop = 0;
  focusQuietly(cards.querySelector('input[type=range]'));
}
