// @ts-check
// The model picker: switch to another model, or upload one.

import { get, post } from './api.js';
import { el, icon } from './dom.js';
import { createModelProgress } from './model-progress.js';
import { startModelUpload } from './model-upload.js';
import { RunCounter } from './run-counter.js';
import { adopt } from './session.js';
import { strings } from './strings.js';

/** @import { ModelWait } from './model-progress.js' */
/** @import { Editor } from './types.js' */
/**
 * @typedef {object} ModelEntry A model in the server's list.
 * @property {string} key
 * @property {string} title
 * @property {string} [source]
 * @property {number} [size_px]
 * @property {string} [licence]
 * @property {string} [credit]
 */
/** @typedef {ReturnType<typeof createPicker>} Picker */

/** @param {Editor} editor */
export function startModelPicker(editor) {
  const { elements: { models, 'models-summary': summary, model, credit }, store, events } = editor;
  const picker = createPicker(editor);
  startModelUpload(editor, picker);
  models.addEventListener('toggle', () => { if (models.open) picker.open(); });
  events.on('about', () => {
    const { title, credit: thanks } = store.about.model;
    model.textContent = title;
    summary.setAttribute('aria-label', strings.models.summary(title));
    credit.textContent = thanks ? strings.models.credit(title, thanks) : '';
  });
}

/** @param {Editor} editor */
function createPicker(editor) {
  const { elements, store, changes, messages } = editor;
  const { models, 'model-list': list, 'model-upload': uploadForm, 'models-summary': summary } = elements;
  const progress = createModelProgress(elements);
  const runs = new RunCounter();
  elements['reading-stop'].addEventListener('click', () => {
    runs.end();
    progress.cancel();
  });

  async function open() {
    try {
      show(await get(store.path('/models')));
    } catch (problem) {
      messages.problem(problem, 'models');
    }
  }

  /** @param {{models: ModelEntry[], model: string, max_upload_mb: number}} listing */
  function show({ models: entries, model: current, max_upload_mb: most }) {
    uploadForm.hidden = !most;
    uploadForm.dataset.most = String(most);
    list.replaceChildren(...entries.map((entry) => createEntry(entry, entry.key === current, () => choose(entry))));
  }

  /** @param {ModelEntry} entry */
  async function choose(entry) {
    messages.clear('models');
    if (entry.key === store.state.model) {
      runs.end();
      models.open = false;
      return;
    }
    await load(entry, progress.begin(strings.models.reading(entry.title)));
  }

  /**
   * Waits until the server has loaded a model, then shows it.
   * @param {ModelEntry} entry
   * @param {ModelWait} wait Shows its progress.
   */
  async function load(entry, wait) {
    const run = runs.begin();
    wait.tell(strings.models.reading(entry.title));
    try {
      await changes.settled();
      const answer = await untilRead(entry.key, () => runs.isActive(run));
      if (!answer) return;
      adopt(editor, answer);
      models.open = false;
      summary.focus({ preventScroll: true });
    } catch (problem) {
      if (runs.isActive(run)) messages.problem(problem, 'models');
    } finally {
      wait.end();
    }
  }

  /**
   * @param {string} model
   * @param {() => boolean} isWanted
   */
  async function untilRead(model, isWanted) {
    for (;;) {
      const answer = await post(store.path('/model'), { model });
      if (!isWanted()) return null;
      if (!answer.reading) return answer; // each call waits a while on the server
    }
  }
  return { open, load, begin: progress.begin };
}

/**
 * @param {ModelEntry} entry
 * @param {boolean} current
 * @param {() => void} onclick
 */
function createEntry({ title, source, size_px: size, licence, credit }, current, onclick) {
  /** @type {Record<string, string>} */
  const sources = strings.models.sources;
  const facts = [size && strings.units.pixels(size), source && sources[source], licence, credit].filter(Boolean);
  const words = el(
    'span', { class: 'words' },
    el('b', {}, title), facts.length > 0 && el('span', { class: 'small' }, facts.join(' · ')),
  );
  const mark = current && icon('check');
  return el('button', { type: 'button', class: 'choice', 'aria-current': current && 'true', onclick }, words, mark);
}
