// A part of another face: its mouth, eyes, nose, hair, as a slider from none of it to all of it.

import { post, upload } from './api.js';
import { el } from './dom.js';
import { choices, fileButton } from './making.js';

const PARTS = [['mouth', 'Mouth'], ['eyes', 'Eyes'], ['nose', 'Nose'], ['hair', 'Hair'], ['face', 'Face']];
const PHOTOS = 'image/*,.latent';

export function createTaking(app, close) {
  const part = choices('What to take', PARTS, 'mouth');
  const faces = el('div', { class: 'faces' });
  const photo = fileButton('Choose a photo', { accept: PHOTOS, onFiles: ([file]) => take(async () => ({ key: (await upload(app.path('/example'), file)).key })) });
  const element = el('section', { class: 'maker', 'aria-label': 'Take from another photo' },
    el('p', { class: 'small' }, 'Taken from another face and drawn into this one. The slider says how much.'),
    part.element, el('div', { class: 'row' }, photo, el('span', { class: 'small' }, 'or from one of these')), faces);

  async function take(chosen) {
    element.classList.add('waiting');
    app.clear('panel');
    try {
      await app.settled();
      app.set(await post(app.path('/take'), { ...await chosen(), part: part.value() }));
      close();
      app.elements.cards.querySelector('input[type=range]')?.focus({ preventScroll: true });
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
        'button', { type: 'button', 'aria-label': `Face ${i + 1}`, onclick: () => take(async () => ({ seed })) },
        el('img', { src: app.path(`/face/${seed}.jpg?m=${app.about.model.fingerprint}`), alt: '', width: 44, height: 44 }),
      )));
      photo.focus({ preventScroll: true });
    },
  };
}
