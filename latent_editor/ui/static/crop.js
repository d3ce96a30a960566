// @ts-check
// From photo to crop: pick one of several faces, or crop manually.

import { post } from './api.js';
import { createCropSquare } from './crop-square.js';
import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor, Slot, UploadedPhoto } from './types.js' */

/** @param {Editor} editor */
export function startCrop(editor) {
  const { elements, store, events, messages, views } = editor;
  const { choices, 'by-hand': byHand, 'leave-choose': leaveChoose, 'leave-crop': leaveCrop } = elements;
  const square = createCropSquare(editor, (box) => pick({ box }, 'crop'));
  /** @type {UploadedPhoto | null} */
  let photo = null;

  events.on('photo', (taken) => {
    photo = taken;
    if (taken.by_hand) openSquare();
    else if (taken.faces.length === 1) events.emit('reconstruct', taken.faces[0]);
    else if (taken.faces.length > 1) askWhich(taken.faces);
    else {
      openSquare();
      messages.problem(taken.problem, 'crop');
    }
  });

  /** @param {string[]} faces Image addresses. */
  function askWhich(faces) {
    const buttons = faces.map((src, i) => {
      const image = el('img', { src, alt: '', width: 128, height: 128 });
      const onclick = () => pick({ face: i }, 'choose');
      return el('button', { type: 'button', 'aria-label': strings.choose.face(i + 1), onclick }, image);
    });
    choices.replaceChildren(...buttons);
    views.show('choose');
    buttons[0].focus();
  }

  /**
   * @param {object} request
   * @param {Slot} slot
   */
  async function pick(request, slot) {
    try {
      const { crop } = await post(store.path('/crop'), request);
      events.emit('reconstruct', crop);
    } catch (problem) {
      messages.problem(problem, slot);
    }
  }

  function openSquare() {
    messages.clear('crop');
    views.show('crop');
    if (photo) square.open(photo);
  }
  events.on('crop-by-hand', openSquare);
  byHand.addEventListener('click', openSquare);
  for (const button of [leaveChoose, leaveCrop]) button.addEventListener('click', () => views.show('start'));
}
