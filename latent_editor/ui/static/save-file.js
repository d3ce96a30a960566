// @ts-check
// Saves a file from the server.

import { fetchFile } from './api.js';
import { el } from './dom.js';

/** @import { Editor } from './types.js' */

const KEEP_MS = 60000; // the browser may ask first where to save the file

/**
 * Downloads a file; problems are shown in the panel.
 * @param {Editor} editor
 * @param {string} name
 */
export async function saveFile({ store, changes, messages }, name) {
  try {
    await changes.settled();
    const file = await fetchFile(store.path(`/save/${name}`));
    const address = URL.createObjectURL(file.blob);
    el('a', { href: address, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), KEEP_MS);
    messages.clear('panel');
  } catch (problem) {
    messages.problem(problem, 'panel');
  }
}
