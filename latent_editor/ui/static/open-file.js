// @ts-check
// Opens any file that was chosen, dropped, pasted or taken with the camera.

import { Problem, upload } from './api.js';
import { fileKind, megabytes } from './file-kinds.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @import { FileKind } from './file-kinds.js' */

const MAX_MB = 32;

/**
 * Shows a problem with the file in place; the last good picture stays.
 * @param {Editor} editor
 * @param {File} file
 */
export async function openFile(editor, file) {
  const { events, messages, views } = editor;
  const kind = fileKind(file);
  if (kind === 'model') {
    events.emit('model-file', file);
    return;
  }
  const slot = views.isEditing() ? 'panel' : 'start';
  for (const place of /** @type {const} */ ([slot, 'choose', 'crop'])) messages.clear(place);
  try {
    if (file.size > MAX_MB * 2 ** 20) throw new Problem(strings.problems.fileTooLarge(megabytes(file.size), MAX_MB));
    showBusy(editor, true);
    await send(editor, kind, file);
  } catch (problem) {
    await messages.problem(problem, problem.kind === 'SessionExpired' ? 'start' : slot);
  } finally {
    showBusy(editor, false);
  }
}

/**
 * @param {Editor} editor
 * @param {FileKind} kind
 * @param {File} file
 */
async function send({ store, events, changes, views }, kind, file) {
  if (kind === 'photo') {
    events.emit('photo', await upload(store.path('/photo'), file));
  } else if (kind === 'latent') {
    store.setState(await upload(store.path('/latent'), file));
    views.show('edit');
  } else {
    await changes.settled();
    store.setState(await upload(store.path(kind === 'recipe' ? '/recipe' : '/pack'), file));
  }
}

/**
 * @param {Editor} editor
 * @param {boolean} on
 */
export function showBusy({ root, elements: { lead }, store }, on) {
  root.classList.toggle('busy', on);
  lead.textContent = store.term(on ? strings.start.opening : strings.start.drop);
}
