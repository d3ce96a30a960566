// @ts-check
// More ways to make a slider: mix in a face, transfer a part, learn from examples.

import { el } from './dom.js';
import { createFaceMix, createPartTransfer } from './slider-from-face.js';
import { createSliderFromExamples } from './slider-from-examples.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @typedef {{element: HTMLElement, open: () => void}} Form */

/** @param {Editor} editor */
export function startNewSlider(editor) {
  const { elements: { 'new-slider-buttons': row, 'new-slider': place }, events } = editor;
  const buttons = [
    createButton(strings.faceMix.label, createFaceMix(editor, close)),
    createButton(strings.partTransfer.label, createPartTransfer(editor, close)),
    createButton(strings.fromExamples.label, createSliderFromExamples(editor, close)),
  ];
  row.prepend(...buttons);

  /**
   * @param {string} label
   * @param {Form} form
   */
  function createButton(label, form) {
    const button = el('button', {
      type: 'button', class: 'quiet', 'aria-expanded': 'false',
      onclick: () => (place.contains(form.element) ? close() : open(button, form)),
    }, label);
    return button;
  }
  /**
   * @param {HTMLElement} button
   * @param {Form} form
   */
  function open(button, form) {
    close();
    button.setAttribute('aria-expanded', 'true');
    place.replaceChildren(form.element);
    form.open();
    place.scrollIntoView({ block: 'nearest' });
  }
  function close() {
    for (const button of buttons) button.setAttribute('aria-expanded', 'false');
    place.replaceChildren();
  }
  place.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !place.hasChildNodes()) return;
    const opener = buttons.find((button) => button.getAttribute('aria-expanded') === 'true');
    close();
    opener?.focus();
  });
  events.on('about', close);
}
