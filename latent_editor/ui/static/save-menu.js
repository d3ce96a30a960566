// @ts-check
// The Save menu.

import { targetOf } from './dom.js';
import { saveFile } from './save-file.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startSaveMenu(editor) {
  const { elements: { save, saves }, store, events } = editor;
  const links = /** @type {HTMLAnchorElement[]} */ ([...saves.children]);
  const wholePhoto = /** @type {HTMLAnchorElement} */ (saves.querySelector('[data-save="photo.png"]'));
  const wholePhotoHint = /** @type {HTMLElement} */ (wholePhoto.querySelector('span'));
  events.on('state', () => {
    const { photo, sliders } = store.state;
    wholePhoto.toggleAttribute('aria-disabled', !photo);
    wholePhotoHint.textContent = photo ? strings.save.wholePhotoHint : strings.save.wholePhotoMissing;
    const unchanged = !sliders.some(({ strength }) => strength !== 0);
    for (const link of links) {
      if ('edited' in link.dataset) link.toggleAttribute('aria-disabled', unchanged);
      link.href = store.path(`/save/${link.dataset.save}`);
    }
  });
  saves.addEventListener('click', async (event) => {
    const link = targetOf(event).closest('a');
    if (!link) return;
    event.preventDefault();
    if (link.hasAttribute('aria-disabled')) return;
    link.classList.add('waiting');
    await saveFile(editor, String(link.dataset.save));
    link.classList.remove('waiting');
    save.open = false;
  });
}
