// The likeness meter: words in the head, advice and a map of differences under the picture, identity beside the sliders.
// Everything is asked for once nothing has moved for a while, and given up as soon as something does.

import { get } from './api.js';
import { el } from './dom.js';

const REST_MS = 350;
const LEARNING_MS = 5000;
const MOST_TRIES = 12;

export function startLikeness(app) {
  const under = createUnder(app);
  startMeter(app, under);
  startAdvice(app, under);
  startMoved(app);
}

/** The line under the picture: what stands in the way, a button for the map, the map's colours. */
function createUnder(app) {
  const heat = el('img', { class: 'heat', alt: 'Where the unedited picture differs from the photo', draggable: 'false' });
  app.elements.original.after(heat);
  const said = el('p', { class: 'said', role: 'status' });
  const scale = el('div', { class: 'scale', hidden: true }, el('i', { 'aria-hidden': 'true' }), el('span', {}, 'the same'), el('span', {}, 'visible'), el('span', {}, 'strong'));
  const button = el('button', { type: 'button', class: 'quiet', 'aria-pressed': 'false', title: 'Show where the unedited picture differs from your photo' }, 'where it differs');
  const element = el('div', { class: 'under', hidden: true }, said, scale, button);
  app.root.querySelector('.stage').append(element);
  const show = (on) => {
    button.setAttribute('aria-pressed', String(on));
    heat.classList.toggle('on', on);
    scale.hidden = !on;
    said.hidden = on;
    fit();
  };
  const fit = () => element.parentElement.style.setProperty('--under', `${element.offsetHeight}px`);
  new ResizeObserver(fit).observe(element);
  button.addEventListener('click', () => {
    const on = button.getAttribute('aria-pressed') !== 'true';
    const source = app.picture('differs.jpg');
    if (on && heat.getAttribute('src') !== source) heat.src = source;
    show(on);
  });
  heat.addEventListener('error', () => show(false));
  app.elements.picture.addEventListener('pointerdown', () => show(false));
  return {
    /** Sentences and whether there is a map to be seen; nothing of both hides the line. */
    set(sentences, map) {
      said.textContent = sentences.join(' ');
      button.hidden = !map;
      if (!map) show(false);
      element.hidden = !map && !sentences.length;
      fit();
    },
    close: () => show(false),
  };
}

function startMeter(app, under) {
  const known = new Map(); // address → what the server said
  const ask = asker(async (signal) => {
    const address = app.picture('likeness');
    const answer = await patiently(address, signal);
    if (!answer) return;
    known.clear();
    known.set(address, answer);
    show();
  });
  const show = () => {
    const editing = app.root.dataset.view === 'edit' && app.state?.ready;
    if (!editing) return ask.stop();
    if (!app.state.photo) { ask.stop(); under.set([], false); return; }
    const answer = known.get(app.picture('likeness'));
    if (!answer) { under.set([], true); ask.soon(); return; }
    under.set(answer.advice, true);
    const { likeness } = app.elements;
    likeness.replaceChildren(el('b', {}, answer.words), ' ', el('small', {}, `${answer.psnr_db.toFixed(1)} dB`));
    likeness.title = 'How like your photo the unedited picture is: in words by the face, in decibels by all pixels (PSNR)';
  };
  app.on('state', (before) => { if (before?.revision !== app.state.revision) under.close(); show(); });
  app.on('view', show);
}

/** Advice about a photo is told as soon as it is being reconstructed. */
function startAdvice(app, under) {
  const ask = asker(async (signal) => {
    const { advice } = await get(app.path('/advice'), signal);
    if (app.root.dataset.view === 'reconstruct') under.set(advice, false);
  });
  app.on('view', (name) => {
    if (name !== 'reconstruct') return ask.stop();
    under.set([], false);
    ask.soon();
  });
}

function startMoved(app) {
  const words = el('b', {});
  const meter = el('meter', { min: 0, max: 1, value: 0, 'aria-label': 'How much of who it is was moved' });
  const line = el('p', { class: 'moved', role: 'status', hidden: true, title: 'How much the edits changed who it is' }, el('span', {}, 'identity'), meter, words);
  app.elements.cards.before(line);
  const ask = asker(async (signal) => {
    const answer = await patiently(app.path('/moved'), signal);
    if (!answer) return;
    line.hidden = answer.moved === undefined;
    if (line.hidden) return;
    meter.value = answer.moved;
    words.textContent = answer.words;
    line.classList.remove('stale');
  });
  app.on('state', () => {
    const edited = app.state.ready && app.state.sliders.some((slider) => slider.strength !== 0 && !slider.muted);
    line.classList.add('stale');
    if (!edited || app.about?.model.faces === false) { ask.stop(); line.hidden = true; return; }
    ask.soon();
  });
  // While a slider moves, frames come first.
  app.root.querySelector('.panel').addEventListener('input', () => { ask.stop(); line.classList.add('stale'); });
}

/** A request that waits for rest, is broken off by the next, and never tells of its own problems. */
function asker(action) {
  let timer = 0;
  let running = null;
  const stop = () => { clearTimeout(timer); running?.abort(); running = null; };
  return {
    stop,
    soon() {
      stop();
      timer = setTimeout(() => {
        const mine = running = new AbortController();
        action(mine.signal).catch((problem) => { if (!mine.signal.aborted) console.info(problem.what ?? problem); });
      }, REST_MS);
    },
  };
}

/** The answer, once the model's pictures have been learned from; null where it was given up meanwhile. */
async function patiently(address, signal) {
  for (let i = 0; i < MOST_TRIES && !signal.aborted; i += 1) {
    const answer = await get(address, signal);
    if (!answer.learning) return signal.aborted ? null : answer;
    await new Promise((done) => { setTimeout(done, LEARNING_MS); });
  }
  return null;
}
