// @ts-check
// Similarity to the photo: a label in the header, advice under the picture, and identity change next to the sliders.
// Requested once nothing has moved for a while, and cancelled as soon as something does.

import { get } from './api.js';
import { createDifferenceMap } from './difference-map.js';
import { el } from './dom.js';
import { createIdleRequest, getWhenLearned } from './idle-request.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @typedef {ReturnType<typeof createDifferenceMap>} DifferenceMap */

/** @param {Editor} editor */
export function startSimilarity(editor) {
  const map = createDifferenceMap(editor);
  startMeter(editor, map);
  startAdvice(editor, map);
  startIdentity(editor);
}

/**
 * @param {Editor} editor
 * @param {DifferenceMap} map
 */
function startMeter({ elements: { similarity: meter }, store, events, views }, map) {
  /** @type {{address: string, answer: any} | null} */
  let known = null;
  const request = createIdleRequest(async (signal) => {
    const address = store.pictureUrl('likeness');
    const answer = await getWhenLearned(address, signal);
    if (!answer) return;
    known = { address, answer };
    show();
  });

  function show() {
    request.stop();
    if (!views.isEditing() || !store.state.ready) return;
    if (!store.state.photo) map.set([], false);
    else if (known?.address === store.pictureUrl('likeness')) showAnswer(known.answer);
    else {
      map.set([], true);
      request.soon();
    }
  }
  /** @param {any} answer */
  function showAnswer({ advice, words, psnr_db: psnr }) {
    map.set(advice, true);
    meter.replaceChildren(el('b', {}, words), ' ', el('small', {}, strings.similarity.decibels(psnr)));
    meter.title = strings.similarity.meterHint;
  }
  events.on('state', (before) => {
    if (before.revision !== store.state.revision) map.close();
    show();
  });
  events.on('view', show);
}

/**
 * Shows advice about a photo while it is being reconstructed.
 * @param {Editor} editor
 * @param {DifferenceMap} map
 */
function startAdvice({ store, events, views }, map) {
  const request = createIdleRequest(async (signal) => {
    const { advice } = await get(store.path('/advice'), signal);
    if (views.current() === 'reconstruct') map.set(advice, false);
  });
  events.on('view', (name) => {
    request.stop();
    if (name !== 'reconstruct') return;
    map.set([], false);
    request.soon();
  });
}

/**
 * Shows how much the edits changed the identity. The line has its place before anything is edited, so that the sliders
 * never move under the pointer.
 * @param {Editor} editor
 */
function startIdentity({ root, elements: { cards }, store, events }) {
  const labels = strings.similarity;
  const words = el('b');
  const meter = el('meter', { min: 0, max: 1, value: 0, 'aria-label': labels.identityMeter });
  const line = el(
    'p', { class: 'identity-change', role: 'status', hidden: true, title: labels.identityHint },
    el('span', {}, labels.identity), meter, words,
  );
  cards.before(line);
  let unmeasurable = ''; // the model without a measure of identity
  const request = createIdleRequest(async (signal) => {
    const answer = await getWhenLearned(store.path('/moved'), signal);
    if (!answer) return;
    line.hidden = answer.moved === undefined;
    if (line.hidden) unmeasurable = store.state.model;
    else show(answer.moved, answer.words);
  });
  /**
   * @param {number} change
   * @param {string} text
   */
  function show(change, text) {
    meter.value = change;
    words.textContent = text;
    line.classList.remove('stale');
  }
  events.on('state', () => {
    line.classList.add('stale');
    request.stop();
    const { ready, model } = store.state;
    line.hidden = !ready || !store.about.model.faces || (unmeasurable !== '' && unmeasurable === model);
    if (line.hidden) return;
    if (store.isEdited) request.soon();
    else show(0, '');
  });
  // While a slider moves, frames have priority.
  root.querySelector('.panel')?.addEventListener('input', () => {
    request.stop();
    line.classList.add('stale');
  });
}
