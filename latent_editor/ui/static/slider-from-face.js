// @ts-check
// Forms that make a slider from another face: mix it in, or transfer a part of it.

import { post } from './api.js';
import { createChoices } from './choices.js';
import { createFacePicker } from './face-picker.js';
import { runJob } from './job.js';
import { focusFirstSlider } from './panel-focus.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/**
 * @param {Editor} editor
 * @param {() => void} close
 */
export function createFaceMix(editor, close) {
  const { store } = editor;
  const words = strings.faceMix;
  const layers = createChoices(words.choice, words.layers, 'all');
  return createFacePicker(editor, {
    ...words,
    choice: layers.element,
    exampleName: () => store.term(strings.start.example),
    extra: () => ({ layers: layers.value() }),
    send: (request) => post(store.path('/mix'), request),
    onDone() {
      close();
      focusFirstSlider(editor, { toTop: true });
    },
  });
}

/**
 * @param {Editor} editor
 * @param {() => void} close
 */
export function createPartTransfer(editor, close) {
  const { store } = editor;
  const words = strings.partTransfer;
  const part = createChoices(words.choice, words.parts, 'mouth');
  return createFacePicker(editor, {
    ...words,
    choice: part.element,
    exampleName: () => strings.start.example.faces,
    extra: () => ({ part: part.value() }),
    async send(request, place) {
      const label = strings.jobs.transferring(request.part);
      return (await runJob(store, place, { label, event: 'take', data: [store.session, request] }))?.session;
    },
    onDone() {
      close();
      focusFirstSlider(editor);
    },
  });
}
