// The form that asks for another face: a photo, a saved latent or an example.

import { upload } from './api.js';
import { PHOTOS, fileButton } from './choices.js';
import { el } from './dom.js';

/**
 * Sends the face that was chosen, with what `wish()` adds, and takes the state that comes back, or nothing where the visitor
 * cancelled; `send` may show in `place` how far it is.
 * `choice` is what else there is to choose; an example is called `one()` and its number.
 */
export function createOtherFace(app, { label, about, or, choice, one, send, wish, onDone }) {
  const faces = el('div', { class: 'faces' });
  const photo = fileButton('Choose a photo', { accept: PHOTOS, onFiles: ([file]) => take(async () => ({ key: (await upload(app.path('/example'), file)).key })) });
  const place = el('div', { class: 'place' });
  const element = el('section', { class: 'maker', 'aria-label': label },
    el('p', { class: 'small' }, about),
    choice, el('div', { class: 'row' }, photo, el('span', { class: 'small' }, or)), faces, place);

  async function take(chosen) {
    element.classList.add('waiting');
    app.clear('panel');
    try {
      await app.settled();
      const state = await send({ ...await chosen(), ...wish() }, place);
      if (state) {
        app.set(state);
        onDone();
      }
    } catch (problem) {
      app.problem(problem, 'panel');
    } finally {
      element.classList.remove('waiting');
    }
  }
  return {
    element,
    open() {
      faces.replaceChildren(...app.about.examples.map((seed, i) => el(
        'button', { type: 'button', 'aria-label': `${one()} ${i + 1}`, onclick: () => take(async () => ({ seed })) },
        el('img', { src: app.path(`/face/${seed}.jpg?m=${app.about.model.fingerprint}`), alt: '', width: 44, height: 44 }),
      )));
      photo.focus({ preventScroll: true });
    },
  };
}
