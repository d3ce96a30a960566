// @ts-check
// The live reconstruction: picture, progress, fidelity. Stopping keeps the best result so far.

import { call, post } from './api.js';
import { focusQuietly } from './dom.js';
import { RunCounter } from './run-counter.js';
import { strings } from './strings.js';

/** @import { Editor, ViewName } from './types.js' */

const MAX_SECONDS = 20;
const WAITING_MS = 4000;
/** The views that give the photo up. @type {ViewName[]} */
const DROPS_PHOTO = ['start', 'edit'];

/** @param {Editor} editor */
export function startReconstruction(editor) {
  const { elements: { figures, stop, result, recrop }, store, events, messages, views } = editor;
  const runs = new RunCounter();

  /** @param {string} crop */
  async function reconstruct(crop) {
    const run = runs.begin();
    const tellWaiting = () => { if (runs.isActive(run)) figures.textContent = strings.reconstruction.waiting; };
    const waiting = setTimeout(tellWaiting, WAITING_MS);
    showStart(editor, crop);
    try {
      for await (const answer of call('reconstruct', [store.session, MAX_SECONDS, 'auto'])) {
        clearTimeout(waiting);
        if (!runs.isActive(run)) return;
        if (answer.session) {
          runs.end();
          store.setState(answer.session);
          views.show('edit');
        } else showStep(editor, answer);
      }
    } catch (problem) {
      if (runs.isActive(run)) fail(problem);
    } finally {
      clearTimeout(waiting);
    }
  }
  /** @param {any} problem */
  function fail(problem) {
    runs.end();
    if (problem.kind === 'Superseded') return; // whatever replaced this run brings its own view
    views.show(store.state.ready ? 'edit' : 'start');
    messages.problem(problem, store.state.ready ? 'panel' : 'start');
  }
  /**
   * Cancels the run.
   * @param {string} query
   */
  async function leave(query) {
    runs.end();
    await post(store.path(`/cancel${query}`)).catch(() => null);
  }

  events.on('reconstruct', reconstruct);
  stop.addEventListener('click', () => {
    stop.disabled = true;
    post(store.path('/stop')).catch((problem) => messages.problem(problem, 'panel'));
  });
  recrop.addEventListener('click', async () => {
    await leave('?keep_photo=true');
    events.emit('crop-by-hand');
  });
  events.on('leave-for-repair', async () => {
    await leave('?keep_photo=true');
    events.emit('repair');
  });
  events.on('view', (name) => {
    if (name === 'reconstruct') return;
    result.classList.remove('waiting');
    if (!runs.active) return;
    if (DROPS_PHOTO.includes(name)) leave('');
    else runs.end(); // the view of a newer photo, for which the server has ended the run
  });
}

/**
 * @param {Editor} editor
 * @param {string} crop
 */
function showStart({ elements, events, views }, crop) {
  const { bar, figures, stop, result, original, 'your-crop': yourCrop } = elements;
  yourCrop.src = result.src = crop;
  original.removeAttribute('src');
  result.classList.add('waiting');
  bar.removeAttribute('value');
  figures.textContent = strings.reconstruction.firstLook;
  stop.hidden = true;
  stop.disabled = false;
  events.emit('wipe', 100);
  views.show('reconstruct');
}

/**
 * @param {Editor} editor
 * @param {any} answer
 */
function showStep({ elements: { bar, figures, stop, result } }, { fraction, seconds, likeness: fidelity, image }) {
  if (image) {
    result.src = image;
    result.classList.remove('waiting');
    if (stop.hidden) {
      stop.hidden = false;
      focusQuietly(stop);
    }
  }
  bar.value = fraction;
  figures.textContent = strings.reconstruction.progress(seconds, fidelity);
}
