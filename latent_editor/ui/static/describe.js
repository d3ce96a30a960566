// @ts-check
// The text prompt that becomes a slider.

import { call } from './api.js';
import { el } from './dom.js';
import { secondsSince } from './numbers.js';
import { focusFirstSlider } from './panel-focus.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

const DRAW_MS = 500;

/** @param {Editor} editor */
export function startDescribe(editor) {
  const { elements: { describe: form, prompt, 'no-texts': notice }, store, events } = editor;
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
  events.on('about', () => {
    const { text_problem: problem, finding } = store.about;
    form.hidden = problem !== null;
    notice.hidden = problem === null || finding; // not certain before the search has finished
    notice.textContent = problem ? `${problem.what} ${problem.todo}` : '';
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (!text || button.disabled) return;
    button.disabled = true;
    await describe(editor, text);
    button.disabled = false;
  });
}

/**
 * @param {Editor} editor
 * @param {string} text
 */
async function describe(editor, text) {
  const { elements: { prompt }, store, messages } = editor;
  messages.clear('panel');
  const pending = showPending(editor, text);
  try {
    for await (const { session } of call('describe', [store.session, text])) {
      store.setState(session);
      prompt.value = '';
      focusFirstSlider(editor, { toTop: true });
    }
  } catch (problem) {
    messages.problem(problem, 'panel');
  } finally {
    pending.end();
  }
}

/**
 * A placeholder card for the slider to come.
 * @param {Editor} editor
 * @param {string} text
 */
function showPending({ root }, text) {
  const began = performance.now();
  const figure = el('output');
  const draw = () => { figure.textContent = strings.units.seconds(secondsSince(began)); };
  const card = el(
    'div', { class: 'card pending', role: 'status' },
    el('span', { class: 'name' }, text), figure, el('progress', { 'aria-label': strings.jobs.describing }),
  );
  draw();
  const timer = setInterval(draw, DRAW_MS);
  root.querySelector('[data-slot="panel"]')?.replaceChildren(card);
  return {
    end() {
      clearInterval(timer);
      card.remove();
    },
  };
}
