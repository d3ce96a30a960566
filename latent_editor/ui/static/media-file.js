// A track that a slider follows, and a clip whose face moves this one.

import { upload } from './api.js';
import { el } from './dom.js';
import { fileButton } from './choices.js';

const BANDS = [['all', 'all of it'], ['low', 'drums and basses'], ['mid', 'voices'], ['high', 'cymbals']];

/** A file that was brought: its name, a way to take it away again. `onChange(seconds)` where its length is known. */
function createFile(app, label, accept, onChange) {
  let brought = null;
  const name = el('span', { class: 'small file' });
  const drop = el('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => put(null) }, 'Remove');
  const choose = fileButton(label, { accept, onFiles: ([file]) => take(file) });
  const put = (now, file = null) => {
    brought = now;
    drop.hidden = !now;
    choose.hidden = Boolean(now);
    name.textContent = file?.name ?? '';
    onChange(now);
  };
  async function take(file) {
    name.textContent = 'reading …';
    choose.disabled = true;
    app.clear('film');
    try {
      put(await upload(app.path('/footage'), file), file);
    } catch (problem) {
      name.textContent = '';
      app.problem(problem, 'film');
    } finally {
      choose.disabled = false;
    }
  }
  return { element: el('div', { class: 'row' }, choose, name, drop), brought: () => brought };
}

export function createSound(app, onChange) {
  const file = createFile(app, 'Choose a track', 'audio/*,video/*', (now) => { options.hidden = !now; onChange(now?.sound_s); });
  const change = () => onChange();
  const follow = el('select', { 'aria-label': 'The slider that follows it', onchange: change });
  const band = el('select', { 'aria-label': 'Which part of the sound', onchange: change }, ...BANDS.map(([value, label]) => el('option', { value }, label)));
  const number = (label, value) => el('input', { type: 'number', 'aria-label': label, min: -3, max: 3, step: 0.5, value, onchange: change });
  const [low, high] = [number('Strength in silence', 0), number('Strength where it is loudest', 2)];
  const options = el('div', { class: 'settings', hidden: true },
    el('span', { class: 'small' }, 'Slider'), follow,
    el('span', { class: 'small' }, 'follows'), band,
    el('span', { class: 'small' }, 'from … to'), el('div', { class: 'row' }, low, high));
  const element = el('details', { class: 'fold' }, el('summary', { class: 'quiet' }, 'Sound'),
    el('p', { class: 'small' }, 'The track is heard, and a slider follows how loud it is.'), file.element, options);
  return {
    element,
    open() {
      const before = follow.value;
      follow.replaceChildren(...app.state.sliders.map(({ key, name }) => el('option', { value: key, selected: key === before }, name)), el('option', { value: '', selected: before === '' && follow.options.length > 0 }, 'none, only heard'));
    },
    moves: () => Boolean(file.brought() && follow.value),
    wish: () => (file.brought() ? { sound: file.brought().key, follow: follow.value, band: band.value, low: Number(low.value), high: Number(high.value) } : {}),
  };
}

export function createMotion(app, onChange) {
  const file = createFile(app, 'Choose a clip', 'video/*,image/gif', (now) => { options.hidden = !now; onChange(now ? now.sound_s || 4 : 0); });
  const amount = el('input', { type: 'range', min: 0, max: 2, step: 0.1, value: 1, 'aria-label': 'How much of the motion', onchange: () => onChange() });
  const options = el('label', { class: 'row', hidden: true }, el('span', { class: 'small' }, 'How much'), amount);
  const element = el('details', { class: 'fold' }, el('summary', { class: 'quiet' }, 'Motion of a clip'),
    el('p', { class: 'small' }, 'This face does what the face in a clip does: it turns, talks, laughs.'), file.element, options);
  return {
    element,
    moves: () => Boolean(file.brought()),
    wish: () => (file.brought() ? { clip: file.brought().key, amount: Number(amount.value) } : {}),
  };
}
