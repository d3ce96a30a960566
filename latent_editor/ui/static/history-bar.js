// @ts-check
// The bar below the picture: undo, redo, and the history as thumbnails.

import { el, targetOf } from './dom.js';

/** @import { Editor, HistoryEntry } from './types.js' */

/** @param {Editor} editor */
export function startHistoryBar(editor) {
  const { elements: { undo, redo, strip }, store, events, changes, views } = editor;
  undo.addEventListener('click', () => changes.change({ do: 'undo' }));
  redo.addEventListener('click', () => changes.change({ do: 'redo' }));
  document.addEventListener('keydown', (event) => {
    if (!views.isEditing() || targetOf(event).closest('input[type=text]')) return;
    const change = shortcut(event);
    if (!change) return;
    event.preventDefault();
    changes.change({ do: change });
  });

  /** @type {Map<string, HTMLElement>} */
  const buttons = new Map();
  let revision = -1;
  events.on('state', () => {
    const { ready, history, at } = store.state;
    if (!ready) return;
    undo.disabled = at === 0;
    redo.disabled = at === history.length - 1;
    if (revision !== store.state.revision) buttons.clear();
    revision = store.state.revision;
    for (const entry of history) if (!buttons.has(entry.id)) buttons.set(entry.id, createButton(editor, entry));
    const shown = history.map(({ id }) => /** @type {HTMLElement} */ (buttons.get(id)));
    shown.forEach((button, i) => {
      button.classList.toggle('later', i > at);
      if (i === at) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    });
    strip.replaceChildren(...shown);
    shown[at].scrollIntoView({ block: 'nearest', inline: 'nearest' });
  });
}

/** @param {KeyboardEvent} event */
function shortcut({ ctrlKey, metaKey, shiftKey, key }) {
  if (!(ctrlKey || metaKey)) return null;
  const letter = key.toLowerCase();
  if (letter === 'y') return 'redo';
  if (letter !== 'z') return null;
  return shiftKey ? 'redo' : 'undo';
}

/**
 * @param {Editor} editor
 * @param {HistoryEntry} entry
 */
function createButton({ store, changes }, { id, label }) {
  const source = store.pictureUrl(`moment/${id}.jpg`);
  const image = el('img', { src: source, alt: label, width: 40, height: 40, loading: 'lazy' });
  const onclick = () => changes.change({ do: 'goto', value: id });
  return el('button', { type: 'button', title: label, onclick }, image);
}
