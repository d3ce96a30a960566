// @ts-check
// The page's views, one at a time.

/** @import { Editor, ViewName } from './types.js' */

/** @typedef {ReturnType<typeof createViews>} Views */

/** @param {Pick<Editor, 'root' | 'elements' | 'store' | 'events'>} editor */
export function createViews({ root, elements, store, events }) {
  const current = () => /** @type {ViewName} */ (root.dataset.view);

  /** @param {ViewName} name */
  function show(name) {
    root.dataset.view = name;
    elements.back.hidden = name === 'edit' || !store.state.ready;
    elements.new.hidden = name !== 'edit';
    elements.similarity.hidden = name !== 'edit' || !store.state.likeness;
    events.emit('view', name);
  }

  elements.back.addEventListener('click', () => {
    show('edit');
    events.emit('state', store.state);
  });
  elements.new.addEventListener('click', () => show('start'));
  return { current, show, isEditing: () => current() === 'edit' };
}
