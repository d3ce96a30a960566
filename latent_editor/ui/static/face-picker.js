// @ts-check
// A form that asks for another face: a photo, a saved latent or an example.

import { upload } from './api.js';
import { PHOTO_TYPES, createFileButton } from './choices.js';
import { el, focusQuietly, small } from './dom.js';

/** @import { Editor, SessionState } from './types.js' */

/**
 * @typedef {object} FacePickerOptions
 * @property {string} label
 * @property {string} about What happens to the chosen face, in one sentence.
 * @property {string} choose Label of the photo button.
 * @property {string} or Label before the examples.
 * @property {HTMLElement} choice Further options.
 * @property {() => (number: number) => string} exampleName
 * @property {() => object} extra Values sent along with the face.
 * @property {(request: any, place: HTMLElement) => Promise<SessionState | undefined>} send
 *   May show progress in `place`. Undefined if the visitor cancelled.
 * @property {() => void} onDone
 */

/**
 * @param {Editor} editor
 * @param {FacePickerOptions} options
 */
export function createFacePicker({ store, changes, messages }, options) {
  const { label, about, choose, or, choice, exampleName, extra, send, onDone } = options;
  const faces = el('div', { class: 'faces' });
  const photo = createFileButton(choose, { accept: PHOTO_TYPES, onFiles: ([file]) => { take(() => uploaded(file)); } });
  const place = el('div', { class: 'place' });
  const element = el(
    'section', { class: 'new-slider-form', 'aria-label': label },
    el('p', { class: 'small' }, about), choice, el('div', { class: 'row' }, photo, small(or)), faces, place,
  );

  /** @param {File} file */
  const uploaded = async (file) => ({ key: (await upload(store.path('/example'), file)).key });

  /** @param {() => object | Promise<object>} chosen */
  async function take(chosen) {
    element.classList.add('waiting');
    messages.clear('panel');
    try {
      await changes.settled();
      const state = await send({ ...await chosen(), ...extra() }, place);
      if (state) {
        store.setState(state);
        onDone();
      }
    } catch (problem) {
      messages.problem(problem, 'panel');
    } finally {
      element.classList.remove('waiting');
    }
  }

  /**
   * @param {number} seed
   * @param {number} i
   */
  function createExample(seed, i) {
    const image = el('img', { src: store.exampleUrl(seed), alt: '', width: 44, height: 44 });
    const onclick = () => take(() => ({ seed }));
    return el('button', { type: 'button', 'aria-label': exampleName()(i + 1), onclick }, image);
  }
  return {
    element,
    open() {
      faces.replaceChildren(...store.about.examples.map(createExample));
      focusQuietly(photo);
    },
  };
}
