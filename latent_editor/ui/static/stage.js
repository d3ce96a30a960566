// The picture: compares with the original by wiping or holding, says how like the photo it is.

import { el, icon } from './dom.js';
import { startFrames } from './frames.js';

const HOLD_MS = 280;

export function startStage(app) {
  startFrames(app);
  startWipe(app);
  startOriginal(app);
  app.on('state', () => {
    if (app.state.ready && app.root.dataset.view !== 'reconstruct') app.refresh();
    showLikeness(app);
  });
  app.on('view', (name) => { if (name === 'edit') { app.refresh(); showLikeness(app); } });
}

function startOriginal(app) {
  const { original, against, 'original-tag': tag } = app.elements;
  let photo = true; // compare with the photo where there is one, else with the unedited face
  let revision = null;

  const update = () => {
    if (!app.state?.ready || app.root.dataset.view !== 'edit') return;
    if (revision !== app.state.revision) photo = true;
    revision = app.state.revision;
    const usePhoto = photo && app.state.photo !== null;
    const source = app.picture(usePhoto ? 'crop.jpg' : 'unedited.jpg');
    if (original.getAttribute('src') !== source) original.src = source;
    tag.textContent = usePhoto ? 'photo' : 'unedited';
    against.hidden = app.state.photo === null;
    against.replaceChildren(icon('wipe'), el('span', {}, usePhoto ? 'with photo' : 'with unedited'));
    against.title = `The picture is compared with the ${usePhoto ? 'photo' : 'unedited picture'}. Click to compare with the ${usePhoto ? 'unedited picture' : 'photo'}.`;
  };
  against.addEventListener('click', () => { photo = !photo; update(); });
  app.on('state', update);
  app.on('view', update);
}

function startWipe(app) {
  const { picture, wipe } = app.elements;
  const set = (percent) => {
    const value = Math.min(Math.max(percent, 0), 100);
    picture.style.setProperty('--wipe', `${value}%`);
    picture.classList.toggle('wiped', value < 99.5);
    wipe.setAttribute('aria-valuenow', Math.round(value));
    wipe.setAttribute('aria-valuetext', value > 99 ? 'result only' : `${Math.round(value)} % result`);
  };
  app.on('wipe', set);
  set(100);
  const hold = (on) => picture.classList.toggle('held', on && app.root.dataset.view === 'edit');

  let start = null;
  let timer = 0;
  picture.addEventListener('pointerdown', (event) => {
    if (app.root.dataset.view !== 'edit' || event.button) return;
    start = { x: event.clientX, y: event.clientY, wiping: wipe.contains(event.target) };
    picture.setPointerCapture(event.pointerId);
    timer = setTimeout(() => hold(!start?.wiping), HOLD_MS);
  });
  picture.addEventListener('pointermove', (event) => {
    if (!start) return;
    const [dx, dy] = [Math.abs(event.clientX - start.x), Math.abs(event.clientY - start.y)];
    if (!start.wiping && dx > 5 && dx > dy) start.wiping = true;
    if (!start.wiping) return;
    clearTimeout(timer);
    hold(false);
    const area = picture.getBoundingClientRect();
    set(((event.clientX - area.left) / area.width) * 100);
  });
  const end = () => { start = null; clearTimeout(timer); hold(false); };
  picture.addEventListener('pointerup', end);
  picture.addEventListener('pointercancel', end);
  picture.addEventListener('dblclick', () => set(100));
  picture.addEventListener('contextmenu', (event) => { if (picture.classList.contains('held')) event.preventDefault(); });
  wipe.addEventListener('keydown', (event) => {
    const now = Number(wipe.getAttribute('aria-valuenow'));
    const to = { ArrowLeft: now - 5, ArrowDown: now - 5, ArrowRight: now + 5, ArrowUp: now + 5, Home: 0, End: 100 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    set(to);
  });

  const typing = (target) => target.closest('input:not([type=range]), textarea, button, summary, a');
  document.addEventListener('keydown', (event) => {
    if (event.key !== ' ' || typing(event.target) || app.root.dataset.view !== 'edit') return;
    event.preventDefault();
    hold(true);
  });
  document.addEventListener('keyup', (event) => { if (event.key === ' ') hold(false); });
  window.addEventListener('blur', () => hold(false));
}

function showLikeness(app) {
  const { likeness } = app.elements;
  const like = app.state?.likeness;
  likeness.hidden = !like || app.root.dataset.view !== 'edit';
  if (!like) return;
  const dots = '●'.repeat(like.dots) + '○'.repeat(5 - like.dots);
  likeness.replaceChildren(el('span', { class: 'what' }, 'likeness '), el('i', { 'aria-hidden': 'true' }, dots), ` ${like.word} `, el('small', {}, `${like.psnr_db.toFixed(1)} dB`));
  likeness.title = 'How close the unedited picture is to your photo (PSNR)';
}
