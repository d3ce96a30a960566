// @ts-check
// A media file for the video: a button to choose it, its name, a button to remove it.

import { upload } from './api.js';
import { createFileButton } from './choices.js';
import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @typedef {{key: string, sound_s: number}} Media The server's name for it. */

/**
 * @param {Editor} editor
 * @param {{label: string, accept: string, onChange: (media: Media | null) => void}} options
 */
export function createMediaFile({ store, messages }, { label, accept, onChange }) {
  /** @type {Media | null} */
  let media = null;
  const name = el('span', { class: 'small file' });
  const onclick = () => put(null, '');
  const remove = el('button', { type: 'button', class: 'quiet', hidden: true, onclick }, strings.video.removeFile);
  const choose = createFileButton(label, { accept, onFiles: ([file]) => { take(file); } });

  /**
   * @param {Media | null} now
   * @param {string} title
   */
  function put(now, title) {
    media = now;
    remove.hidden = !now;
    choose.hidden = Boolean(now);
    name.textContent = title;
    onChange(now);
  }
  /** @param {File} file */
  async function take(file) {
    name.textContent = strings.video.readingFile;
    choose.disabled = true;
    messages.clear('video');
    try {
      put(await upload(store.path('/footage'), file), file.name);
    } catch (problem) {
      name.textContent = '';
      messages.problem(problem, 'video');
    } finally {
      choose.disabled = false;
    }
  }
  return { element: el('div', { class: 'row' }, choose, name, remove), media: () => media };
}
