// Key frames: looks of this face, one after another, each an entry of the history; null is the unedited face.

import { el, icon } from './dom.js';

const EASES = [['smooth', 'smoothly'], ['linear', 'evenly'], ['ease-in', 'slowly at first'], ['ease-out', 'slowly at last'], ['spline', 'without a halt']];
const MOST = 24;

export function createKeys(app, onChange) {
  let keys = []; // none: from the unedited face to the present one
  const list = el('ol', { class: 'keys' });
  const ease = el('select', { 'aria-label': 'How it goes from one to the next', onchange: onChange }, ...EASES.map(([value, label]) => el('option', { value }, label)));
  const add = el('button', { type: 'button', onclick: addPresent }, 'Add what is shown');
  const clear = el('button', { type: 'button', class: 'quiet', onclick: () => { keys = []; show(); onChange(); } }, 'As usual');
  const element = el('details', { class: 'fold' }, el('summary', { class: 'quiet' }, 'Key frames'),
    el('p', { class: 'small' }, 'Click a picture of the history below, then add it. They are passed in this order.'),
    list, el('div', { class: 'row' }, add, clear), el('label', { class: 'row' }, el('span', { class: 'small' }, 'It moves'), ease));

  const present = () => app.state.history[app.state.at].id;

  function addPresent() {
    if (!keys.length) keys = [null]; // the start, so that something moves
    keys.push(present());
    show();
    onChange();
  }

  function show(focus = null) {
    const known = new Set(app.state.history.map(({ id }) => id));
    keys = keys.filter((key) => key === null || known.has(key));
    const shown = keys.length ? keys : [null, present()];
    list.replaceChildren(...shown.map((key, i) => frame(key, i, keys.length > 0)));
    add.disabled = keys.length >= MOST;
    clear.hidden = keys.length === 0;
    if (focus) (list.children[focus.at]?.querySelector(`[data-do="${focus.what}"]:not(:disabled)`) ?? add).focus();
  }

  function frame(key, i, editable) {
    const label = key === null ? 'unedited' : app.state.history.find(({ id }) => id === key).label;
    const source = key === null ? app.picture('unedited.jpg') : app.picture(`moment/${key}.jpg`);
    const deed = (what, name, glyph, disabled, action) => el('button', { type: 'button', class: 'quiet icon', 'data-do': what, 'aria-label': `${name} key frame ${i + 1}`, title: name, disabled, onclick: action }, glyph);
    const swap = (to) => { [keys[i], keys[to]] = [keys[to], keys[i]]; show({ at: to, what: to < i ? 'back' : 'on' }); onChange(); };
    const deeds = !editable ? null : el('div', { class: 'row' },
      deed('back', 'Earlier', '‹', i === 0, () => swap(i - 1)),
      deed('out', 'Remove', icon('close'), false, () => { keys.splice(i, 1); show({ at: Math.max(0, i - 1), what: 'out' }); onChange(); }),
      deed('on', 'Later', '›', i === keys.length - 1, () => swap(i + 1)));
    return el('li', { title: label }, el('img', { src: source, alt: label, width: 64, height: 64 }), deeds);
  }

  return {
    element,
    open: () => show(),
    update: () => show(),
    wish: () => (keys.length ? { keys, ease: ease.value } : { ease: ease.value }),
    says: (loop) => (keys.length ? `Past ${keys.length} key frames${loop ? ', and on to the first' : ''}.` : `From the unedited face to the one shown${loop ? ', and back' : ''}.`),
  };
}
