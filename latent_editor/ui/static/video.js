// The video panel: from the unedited face to the present one and back, at once; key frames, sound and motion are folded away.

import { fetchFile } from './api.js';
import { el, icon } from './dom.js';
import { createMotion, createSound } from './media-file.js';
import { createKeys } from './keyframes.js';
import { choices } from './choices.js';
import { work } from './job.js';

const KINDS = [['mp4', 'MP4'], ['webm', 'WebM'], ['gif', 'GIF']];
const LENGTHS = [2, 4, 6, 10, 15, 20, 30, 60];

export function startFilm(app) {
  const { film, 'film-open': opener, picture } = app.elements;
  const kind = choices('Format', KINDS, 'mp4', stale);
  const length = el('select', { 'aria-label': 'Length', onchange: stale }, ...LENGTHS.map((s) => el('option', { value: s, selected: s === 4 }, `${s} seconds`)));
  const loop = el('input', { type: 'checkbox', checked: true, onchange: stale });
  const keys = createKeys(app, stale);
  const sound = createSound(app, changed);
  const motion = createMotion(app, changed);
  const make = el('button', { type: 'button', class: 'main', onclick: shoot }, 'Make the video');
  const keep = el('a', { class: 'button main', hidden: true }, icon('save'), 'Save the video');
  const hint = el('p', { class: 'small', role: 'status' });
  const place = el('div', { class: 'place' });
  const close = el('button', { type: 'button', class: 'quiet icon', 'aria-label': 'Close the video panel', onclick: () => leave(true) }, icon('close'));
  const head = el('div', { class: 'row head-row' }, el('h2', {}, 'Video'), close);
  const settings = el('div', { class: 'settings' },
    el('span', { class: 'small' }, 'Format'), kind.element,
    el('span', { class: 'small' }, 'Length'), el('div', { class: 'row' }, length, el('label', { class: 'check' }, loop, 'Loop without a seam')));
  film.append(head, el('div', { 'data-slot': 'film' }), place, keep, make, hint, settings, keys.element, sound.element, motion.element);

  let movie = null; // {element, address, key}: what plays in place of the picture
  let running = false;

  const wish = () => ({ kind: kind.value(), seconds: Number(length.value), loop: loop.checked, ...keys.wish(), ...sound.wish(), ...motion.wish() });
  const told = () => JSON.stringify([app.state.revision, app.state.history[app.state.at]?.id, wish()]);
  const something = () => app.state.sliders.some(({ strength, muted }) => strength !== 0 && !muted) || keys.wish().keys || sound.moves() || motion.moves();

  /** A track or a clip plays once, and as long as it is; the way back may be asked for again. */
  function changed(seconds) {
    if (seconds) {
      loop.checked = false;
      length.value = LENGTHS.findLast((s) => s <= Math.min(Math.max(seconds, LENGTHS[0]), 20));
    }
    stale();
  }

  /** What was made is not what is asked for any more. */
  function stale() {
    const fresh = movie !== null && movie.key === told();
    keep.hidden = !fresh;
    make.hidden = fresh || running;
    make.disabled = !something();
    hint.textContent = something() ? keys.says(loop.checked) : 'Nothing is changed yet: move a slider first, or take the motion of a clip.';
  }

  async function shoot() {
    running = true;
    make.hidden = true;
    app.clear('film');
    drop();
    try {
      await app.settled();
      const key = told();
      const answer = await work(app, place, 'Drawing', 'film', [app.session, wish()]);
      if (answer?.film && !film.hidden) play(await fetchFile(app.path(`/save/film/${answer.film}`)), key);
    } catch (problem) {
      app.problem(problem, 'film');
    }
    running = false;
    stale();
    if (!film.hidden) (keep.hidden ? make : keep).focus({ preventScroll: true });
  }

  function play({ blob, name }, key) {
    const address = URL.createObjectURL(blob);
    const still = blob.type === 'image/gif';
    const audible = Boolean(sound.wish().sound || motion.wish().clip);
    const element = still ? el('img', { class: 'movie', alt: 'The video' })
      : el('video', { class: 'movie', loop: true, autoplay: true, playsinline: true, controls: audible, 'aria-label': 'The video' });
    element.muted = !audible;
    element.src = address;
    element.addEventListener('pointerdown', (event) => event.stopPropagation());
    picture.append(element);
    movie = { element, address, key };
    keep.href = address;
    keep.download = name;
    keep.lastChild.textContent = `Save the video (${blob.size < 1e6 ? `${Math.ceil(blob.size / 1e3)} kB` : `${(blob.size / 1e6).toFixed(1)} MB`})`;
  }

  function drop() {
    movie?.element.remove();
    if (movie) URL.revokeObjectURL(movie.address);
    movie = null;
  }

  function leave(focus = false) {
    if (film.hidden) return;
    place.querySelector('button')?.click(); // what is under way is not wanted any more
    drop();
    film.hidden = true;
    app.root.classList.remove('filming');
    opener.setAttribute('aria-expanded', 'false');
    if (focus) opener.focus();
  }

  opener.addEventListener('click', () => {
    if (!film.hidden) { leave(true); return; }
    film.hidden = false;
    app.root.classList.add('filming');
    opener.setAttribute('aria-expanded', 'true');
    app.emit('wipe', 100);
    app.clear('film');
    keys.open();
    sound.open();
    stale();
    make.focus({ preventScroll: true });
    if (something()) shoot();
  });
  film.addEventListener('keydown', (event) => { if (event.key === 'Escape') leave(true); });
  app.on('view', (name) => { if (name !== 'edit') leave(); });
  app.on('state', (before) => {
    if (film.hidden) return;
    if (before?.revision !== app.state.revision) { leave(); return; }
    if (movie && movie.key !== told()) drop(); // the history was clicked: the picture is seen again
    keys.update();
    stale();
  });
}
