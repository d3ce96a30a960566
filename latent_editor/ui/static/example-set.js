// @ts-check
// A set of example photos: thumbnails of the faces found, each removable.

import { Problem, upload } from './api.js';
import { PHOTO_TYPES, createFileButton } from './choices.js';
import { el, icon, small } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

export const MIN_EXAMPLES = 3;

/**
 * @param {Editor} editor
 * @param {string} label
 * @param {() => void} onChange
 */
export function createExampleSet(editor, label, onChange) {
  const words = strings.exampleSet;
  const thumbs = el('div', { class: 'thumbs' });
  const count = small(words.least(MIN_EXAMPLES));
  const add = createFileButton(words.add, { accept: PHOTO_TYPES, multiple: true, onFiles: take });
  const head = el('div', { class: 'row' }, el('b', {}, label), count, add);
  const element = el('div', { class: 'example-set', role: 'group', 'aria-label': label }, head, thumbs);
  const keys = () => [...thumbs.children].map((thumb) => String(/** @type {HTMLElement} */ (thumb).dataset.key));
  const update = () => {
    const { length } = keys();
    count.textContent = length < MIN_EXAMPLES ? words.countOf(length, MIN_EXAMPLES) : words.count(length);
    onChange();
  };

  /** @param {File[]} files */
  async function take(files) {
    /** @type {any[]} */
    const problems = [];
    element.classList.add('waiting');
    for (const [i, file] of files.entries()) {
      count.textContent = words.reading(i + 1, files.length);
      try {
        thumbs.append(createThumb(await upload(editor.store.path('/example'), file), file.name, update));
      } catch (problem) {
        problems.push(problem);
      }
    }
    element.classList.remove('waiting');
    update();
    if (problems.length) editor.messages.problem(summary(problems, files.length), 'panel');
  }

  element.addEventListener('dragover', (event) => event.preventDefault());
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer?.files ?? []]);
  });
  return { element, keys };
}

/**
 * @param {{key: string, image: string}} example
 * @param {string} name
 * @param {() => void} onRemoved
 */
function createThumb({ key, image }, name, onRemoved) {
  const { remove, removeHint } = strings.exampleSet;
  const thumb = el('button', {
    type: 'button', 'data-key': key, 'aria-label': remove(name), title: removeHint(name),
    onclick() {
      thumb.remove();
      onRemoved();
    },
  }, el('img', { src: image, alt: '', width: 44, height: 44 }), icon('close'));
  return thumb;
}

/**
 * A single problem as it is; several as their number and the first.
 * @param {any[]} problems
 * @param {number} count Number of all files.
 */
function summary(problems, count) {
  if (problems.length === 1) return problems[0];
  return new Problem(strings.problems.examplesFailed(problems.length, count, problems[0].what));
}
