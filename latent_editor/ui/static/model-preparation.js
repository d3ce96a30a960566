// @ts-check
// The line below the header while a new model is being prepared.

import { get, post } from './api.js';
import { showFraction } from './dom.js';
import { RunCounter } from './run-counter.js';
import { strings } from './strings.js';

/** @import { About, Editor } from './types.js' */

const POLL_MS = 1000;

/** @param {Editor} editor */
export function startModelPreparation(editor) {
  const { elements: { 'preparing-stop': stop }, store, events, messages } = editor;
  const runs = new RunCounter();
  events.on('about', () => {
    showPreparation(editor);
    if (store.about.finding) watch();
  });
  stop.addEventListener('click', () => {
    stop.disabled = true;
    const slot = store.state.ready ? 'panel' : 'start';
    post(store.path('/preparation/stop')).catch((problem) => messages.problem(problem, slot));
  });

  async function watch() {
    const run = runs.begin();
    await new Promise((later) => { setTimeout(later, POLL_MS); });
    if (!runs.isActive(run)) return;
    const { session } = store;
    const about = await get(store.path('/about')).catch(() => null);
    if (!runs.isActive(run) || session !== store.session || !isSameModel(store.about, about)) return;
    if (isNews(store.about, about)) {
      store.setAbout(about); // its listener keeps watching
      return;
    }
    store.about = about; // only the progress has changed
    showPreparation(editor);
    watch();
  }
}

/**
 * @param {About} before
 * @param {any} about
 */
const isSameModel = ({ model }, about) => (
  about && !about.session && about.model.fingerprint === model.fingerprint);

/**
 * @param {About} before
 * @param {About} about
 */
const isNews = (before, { finding, model }) => (
  !finding || finding !== before.finding || model.faces !== before.model.faces);

/** @param {Editor} editor */
function showPreparation({ elements, store: { about: { model, preparing } } }) {
  const { preparing: line, 'preparing-text': text, 'preparing-bar': bar, 'preparing-figures': figures } = elements;
  line.hidden = !preparing;
  if (!preparing) return;
  const { fraction, seconds, label, stopping } = preparing;
  const words = strings.preparation;
  text.textContent = words.doing(model.title, label || words.queued);
  showFraction(bar, fraction);
  const progress = fraction === null ? '' : words.progress(fraction, seconds);
  figures.textContent = stopping ? words.stopping : progress;
  elements['preparing-stop'].disabled = stopping;
}
