// @ts-check
// Generates a face from a description, on the start page.

import { call } from './api.js';
import { RunCounter } from './run-counter.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startTextFace(editor) {
  const { elements, store, events } = editor;
  const { 'text-face': form, 'text-face-prompt': text, 'text-face-preview': picture } = elements;
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
  const runs = new RunCounter();
  events.on('about', () => { form.hidden = store.about.text_problem !== null || !store.about.model.faces; });
  events.on('view', (name) => {
    if (name === 'start') return;
    runs.end();
    picture.hidden = true;
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const prompt = text.value.trim();
    if (!prompt || button.disabled) return;
    button.disabled = true;
    form.setAttribute('aria-busy', 'true');
    await generate(editor, prompt, runs);
    picture.hidden = true;
    button.disabled = false;
    form.removeAttribute('aria-busy');
  });
}

/**
 * @param {Editor} editor
 * @param {string} prompt
 * @param {RunCounter} runs
 */
async function generate({ elements: { 'text-face-preview': picture }, store, messages, views }, prompt, runs) {
  const run = runs.begin();
  messages.clear('start');
  try {
    for await (const { session, image } of call('imagine', [store.session, prompt])) {
      if (!runs.isActive(run)) return;
      if (image) {
        picture.src = image;
        picture.hidden = false;
      }
      if (session) {
        store.setState(session);
        views.show('edit');
      }
    }
  } catch (problem) {
    if (runs.isActive(run)) messages.problem(problem, 'start');
  }
}
