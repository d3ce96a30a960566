// @ts-check
// The picture, what it is compared with, and its fidelity to the photo.

import { el, icon } from './dom.js';
import { strings } from './strings.js';
import { startWipe } from './wipe.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startStage(editor) {
  const { store, events, views, frames } = editor;
  startWipe(editor);
  startOriginal(editor);
  events.on('state', () => {
    if (store.state.ready && views.current() !== 'reconstruct') frames.refresh();
    showFidelity(editor);
  });
  events.on('view', (name) => {
    if (name !== 'edit') return;
    frames.refresh();
    showFidelity(editor);
  });
}

/**
 * Compares the picture with the photo if there is one, or else with the unedited face.
 * @param {Editor} editor
 */
function startOriginal({ elements, store, events, views }) {
  const { original, against, 'original-tag': tag } = elements;
  let wantsPhoto = true;
  let revision = -1;

  const update = () => {
    const { state } = store;
    if (!state.ready || !views.isEditing()) return;
    if (revision !== state.revision) wantsPhoto = true;
    revision = state.revision;
    const usePhoto = wantsPhoto && state.photo !== null;
    const source = store.pictureUrl(usePhoto ? 'crop.jpg' : 'unedited.jpg');
    if (original.getAttribute('src') !== source) original.src = source;
    const words = usePhoto ? strings.compare.photo : strings.compare.unedited;
    tag.textContent = words.tag;
    against.hidden = state.photo === null;
    against.replaceChildren(icon('wipe'), el('span', {}, words.button));
    against.title = words.hint;
  };
  against.addEventListener('click', () => {
    wantsPhoto = !wantsPhoto;
    update();
  });
  events.on('state', update);
  events.on('view', update);
}

/** @param {Editor} editor */
function showFidelity({ elements: { similarity: meter }, store, views }) {
  const fidelity = store.state.likeness;
  meter.hidden = !fidelity || !views.isEditing();
  if (!fidelity) return;
  meter.replaceChildren(
    el('span', { class: 'what' }, `${strings.similarity.fidelity} `),
    el('i', { 'aria-hidden': 'true' }, '●'.repeat(fidelity.dots) + '○'.repeat(5 - fidelity.dots)),
    ` ${fidelity.word} `,
    el('small', {}, strings.similarity.decibels(fidelity.psnr_db)),
  );
  meter.title = strings.similarity.fidelityHint;
}
