// A face from nothing but words, on the start page; and other ways to make a text slider, in its menu.

import { call } from './api.js';
import { el } from './dom.js';

const WAYS = [
  ['fast', 'Usual', 'the same for every face, from how faces and words go together'],
  ['global', 'Few channels', 'moves only what does what the words say; the first time takes half a minute'],
  ['optimize', 'This face', 'fitted to this face, in some seconds'],
];

export function startImagine(app) {
  const { imagine, 'imagine-text': text, 'imagined': picture } = app.elements;
  const button = imagine.querySelector('button');
  app.on('about', () => { imagine.hidden = app.about.text_problem !== null || app.about.model.faces === false; });
  let runs = 0;
  app.on('view', (name) => { if (name !== 'start') { runs += 1; picture.hidden = true; } });
  imagine.addEventListener('submit', async (event) => {
    event.preventDefault();
    const wanted = text.value.trim();
    if (!wanted || button.disabled) return;
    const mine = (runs += 1);
    app.clear('start');
    button.disabled = true;
    imagine.setAttribute('aria-busy', 'true');
    try {
      for await (const { session, image } of call('imagine', [app.session, wanted])) {
        if (mine !== runs) return;
        if (image) {
          picture.src = image;
          picture.hidden = false;
        }
        if (session) {
          app.set(session);
          app.view('edit');
        }
      }
    } catch (problem) {
      if (mine === runs) app.problem(problem, 'start');
    } finally {
      picture.hidden = true;
      button.disabled = false;
      imagine.removeAttribute('aria-busy');
    }
  });
}

/** The row of a text slider's menu that says how it is made. */
export function createWays(app, key) {
  const radios = WAYS.map(([value, label, hint]) => {
    const radio = el('input', { type: 'radio', name: `way-${key}`, value, onchange: () => reread(value) });
    return [radio, el('label', { title: hint }, radio, el('span', {}, label))];
  });
  const choice = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': 'How these words are read' }, ...radios.map(([, label]) => label));
  const element = el('div', { class: 'ways-of', hidden: true }, el('span', { class: 'small' }, 'Reading'), choice);
  let now = null;

  async function reread(value) {
    app.busy(1);
    choice.setAttribute('aria-busy', 'true');
    try {
      for await (const { session } of call('reread', [app.session, key, value])) app.set(session);
    } catch (problem) {
      app.problem(problem, 'panel');
      update(now);
    } finally {
      choice.removeAttribute('aria-busy');
      app.busy(-1);
    }
  }
  function update(slider) {
    now = slider;
    const reading = slider.source === 'text' ? /, (fast|global|optimize)$/.exec(slider.detail)?.[1] : undefined;
    element.hidden = !reading;
    for (const [radio] of radios) radio.checked = radio.value === reading;
  }
  return { element, update };
}
