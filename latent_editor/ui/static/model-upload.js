// @ts-check
// Uploads a model file and switches to it.

import { Problem, uploadWithProgress } from './api.js';
import { createFileInput } from './choices.js';
import { megabytes } from './file-kinds.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @import { Picker } from './model-picker.js' */

/**
 * @param {Editor} editor
 * @param {Picker} picker
 */
export function startModelUpload({ elements, store, events, messages }, picker) {
  const { models, 'model-upload': form, 'model-upload-button': button } = elements;
  const accept = '.pkl,.pt,.pth,.safetensors,.bin,.ckpt';
  const input = createFileInput({ accept, onFiles: ([file]) => { send(file); } });
  button.addEventListener('click', () => input.click());
  events.on('model-file', async (file) => {
    models.open = true;
    await picker.open();
    send(file);
  });

  /** @param {File} file */
  async function send(file) {
    const mostMb = Number(form.dataset.most);
    const aborted = new AbortController();
    messages.clear('models');
    const sending = strings.models.sending(file.name);
    const progress = picker.begin(sending, () => aborted.abort());
    try {
      if (mostMb && file.size > mostMb * 2 ** 20) {
        throw new Problem(strings.problems.modelTooLarge(megabytes(file.size), mostMb));
      }
      const { model } = await uploadWithProgress(store.path('/models'), file, {
        onFraction: (fraction) => progress.tell(sending, fraction),
        signal: aborted.signal,
      });
      await picker.load({ key: model, title: file.name }, progress);
    } catch (problem) {
      if (problem.name !== 'AbortError') messages.problem(problem, 'models');
    } finally {
      progress.end();
    }
  }
}
