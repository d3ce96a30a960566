// @ts-check
// The line under the picture: advice about the photo, and a button for the difference map.

import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

function createParts() {
  const words = strings.similarity;
  return {
    heat: el('img', { class: 'heat', alt: words.mapAlt, draggable: 'false' }),
    said: el('p', { class: 'said', role: 'status' }),
    scale: el(
      'div', { class: 'scale', hidden: true },
      el('i', { 'aria-hidden': 'true' }), ...words.mapScale.map((label) => el('span', {}, label)),
    ),
    button: el('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false', title: words.mapHint }, words.map),
  };
}

/** @param {Editor} editor */
export function createDifferenceMap({ root, elements, store }) {
  const { heat, said, scale, button } = createParts();
  const stage = /** @type {HTMLElement} */ (root.querySelector('.stage'));
  const element = el('div', { class: 'under', hidden: true }, said, scale, button);
  elements.original.after(heat);
  stage.append(element);

  /** Makes room for the line under the picture. */
  const fit = () => stage.style.setProperty('--under', `${element.offsetHeight}px`);
  /** @param {boolean} on */
  const show = (on) => {
    button.setAttribute('aria-pressed', String(on));
    heat.classList.toggle('on', on);
    scale.hidden = !on;
    said.hidden = on;
    fit();
  };
  const close = () => show(false);
  new ResizeObserver(fit).observe(element);
  button.addEventListener('click', () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    const source = store.pictureUrl('differs.jpg');
    if (on && heat.getAttribute('src') !== source) heat.src = source;
    show(on);
  });
  heat.addEventListener('error', close);
  elements.picture.addEventListener('pointerdown', close);
  return {
    close,
    /**
     * Hides the line if there is neither.
     * @param {string[]} sentences
     * @param {boolean} hasMap
     */
    set(sentences, hasMap) {
      said.textContent = sentences.join(' ');
      button.hidden = !hasMap;
      if (!hasMap) close();
      element.hidden = !hasMap && !sentences.length;
      fit();
    },
  };
}
