// @ts-check
// A direction to add, shown as the face at both ends; hover or focus plays the range between.

import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Direction, Editor } from './types.js' */

/**
 * @param {Editor} editor
 * @param {Direction} direction
 */
export function createTile(editor, { key, name, unsure }) {
  const { elements: { cards }, changes } = editor;
  const words = strings.tile;
  const image = el('img', { alt: '', width: 96, height: 48 });
  const mark = unsure && el('small', { title: strings.slider.guessHint }, ` ${words.unsure}`);
  const element = el(
    'button', { type: 'button', class: 'tile', 'aria-label': words.add(name), title: words.addHint(name) },
    el('span', { class: 'pair' }, image), el('span', {}, name, mark),
  );
  element.addEventListener('click', async () => {
    await changes.change({ do: 'add', key });
    /** @type {HTMLElement | null} */ (cards.querySelector(`[data-key="${key}"] input[type=range]`))?.focus();
  });
  bindPlay(editor, element, key);
  return {
    element,
    /** @param {string} source */
    showPair(source) { image.src = source; },
    clearPair() { image.removeAttribute('src'); },
  };
}

/**
 * @param {Editor} editor
 * @param {HTMLElement} tile
 * @param {string} key
 */
function bindPlay({ store }, tile, key) {
  /** @param {boolean} wanted */
  const play = (wanted) => {
    const on = wanted && !matchMedia('(prefers-reduced-motion: reduce)').matches;
    // Absolute, because the style sheet that uses it has another base address.
    const source = () => new URL(store.pictureUrl(`play/${key}.jpg`), document.baseURI);
    tile.classList.toggle('playing', on);
    tile.style.setProperty('--play', on ? `url("${source()}")` : 'none');
  };
  tile.addEventListener('pointerenter', () => play(true));
  tile.addEventListener('pointerleave', () => play(false));
  tile.addEventListener('focus', () => play(tile.matches(':focus-visible')));
  tile.addEventListener('blur', () => play(false));
}
