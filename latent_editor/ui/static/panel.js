// The panel: a text becomes a slider, cards of sliders in use, and directions to add as pairs of pictures.

import { call } from './api.js';
import { createCard } from './slider-card.js';
import { el } from './dom.js';

export function startPanel(app) {
  startDescribe(app);
  const pairs = pairLoader(app);
  const cards = new Map();
  const tiles = new Map();
  let revision = null;

  app.on('about', () => {
    tiles.clear();
    for (const direction of app.about.directions) tiles.set(direction.key, createTile(app, direction));
    const none = app.about.finding ? 'Sliders are being found for this model and appear here. ' : 'No sliders were found for this model. ';
    const texts = app.about.text_problem ? '' : 'Describe a change above.';
    app.elements.add.replaceChildren(...(tiles.size ? tiles.values() : [el('p', { class: 'small' }, none, texts)]));
    if (app.state) show();
  });
  app.on('state', show);
  function show() {
    if (!app.state.ready) return;
    if (revision !== app.state.revision) {
      revision = app.state.revision;
      for (const card of cards.values()) card.element.remove();
      cards.clear();
      pairs.forget();
      for (const tile of tiles.values()) tile.querySelector('img').removeAttribute('src');
    }
    showCards(app, cards);
    showHeld(app);
    const used = new Set(app.state.sliders.map((slider) => slider.key));
    for (const [key, tile] of tiles) tile.hidden = used.has(key);
    app.root.querySelector('.add-head h2').hidden = [...tiles.keys()].every((key) => used.has(key));
    const moved = Object.values(app.state.position).some((value) => value !== 0);
    app.elements.reset.disabled = !moved && !app.state.sliders.some((slider) => slider.strength !== 0);
    for (const [key, card] of cards) pairs.want(key, card.showPair);
    for (const [key, tile] of tiles) if (!tile.hidden) pairs.want(key, (source) => { tile.querySelector('img').src = source; });
  }
  app.on('flush', () => { for (const card of cards.values()) card.commit(); });
  app.elements.reset.addEventListener('click', () => app.change({ do: 'reset' }));
}

/** Where the edits go too far together, the server draws all of them weaker; that is said, not hidden. */
function showHeld(app) {
  const { held } = app.elements;
  held.hidden = app.state.kept > 0.995;
  held.textContent = `Together these go further than the model can draw: all are held back to ${Math.round(app.state.kept * 100)} %.`;
}

function showCards(app, cards) {
  const keys = app.state.sliders.map((slider) => slider.key);
  for (const [key, card] of cards) {
    if (keys.includes(key)) continue;
    card.element.remove();
    cards.delete(key);
  }
  let before = null;
  for (const slider of app.state.sliders) {
    if (!cards.has(slider.key)) cards.set(slider.key, createCard(app, slider));
    const { element, update } = cards.get(slider.key);
    update(slider);
    const wanted = before ? before.nextSibling : app.elements.cards.firstChild;
    if (wanted !== element) app.elements.cards.insertBefore(element, wanted); // never moved without need: it would lose the focus
    before = element;
  }
}

function createTile(app, direction) {
  const image = el('img', { alt: '', width: 96, height: 48 });
  const name = el('span', {}, direction.name, direction.unsure ? el('small', { title: 'This name is a guess.' }, ' ?') : null);
  const tile = el('button', { type: 'button', class: 'tile', 'aria-label': `Add ${direction.name}`, title: `Add a slider for ${direction.name}` }, el('span', { class: 'pair' }, image), name);
  tile.addEventListener('click', async () => {
    await app.change({ do: 'add', key: direction.key });
    app.elements.cards.querySelector(`[data-key="${direction.key}"] input[type=range]`)?.focus();
  });
  const play = (on) => {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    tile.classList.toggle('playing', on && !still);
    tile.style.setProperty('--play', on && !still ? `url("${new URL(app.picture(`play/${direction.key}.jpg`), document.baseURI)}")` : 'none'); // whole: the style sheet lies elsewhere
  };
  tile.addEventListener('pointerenter', () => play(true));
  tile.addEventListener('pointerleave', () => play(false));
  tile.addEventListener('focus', () => play(tile.matches(':focus-visible')));
  tile.addEventListener('blur', () => play(false));
  return tile;
}

/** Loads the pairs one after another, so that they fill in from the top and leave the connection to the picture. */
function pairLoader(app) {
  let queue = [];
  let known = new Map(); // key → address once loaded, null while waiting
  let age = 0;
  let running = false;

  async function run() {
    running = true;
    while (queue.length) {
      const mine = age;
      const { key, show } = queue.shift();
      const source = app.picture(`pair/${key}.jpg`);
      const image = new Image();
      image.src = source;
      const loaded = await image.decode().then(() => true, () => false);
      if (mine !== age) continue;
      if (loaded) {
        known.set(key, source);
        show(source);
      } else known.delete(key);
    }
    running = false;
  }
  return {
    forget() { age += 1; queue = []; known = new Map(); },
    want(key, show) {
      if (known.get(key)) { show(known.get(key)); return; }
      const waiting = queue.findIndex((wish) => wish.key === key);
      if (waiting >= 0) { queue[waiting] = { key, show }; return; }
      known.set(key, null);
      queue.push({ key, show });
      if (!running) run();
    },
  };
}

function startDescribe(app) {
  const { describe, prompt } = app.elements;
  const button = describe.querySelector('button');
  app.on('about', () => {
    const problem = app.about.text_problem;
    describe.hidden = problem !== null;
    app.elements['no-texts'].hidden = problem === null || app.about.finding; // until then nobody knows for sure
    app.elements['no-texts'].textContent = problem ? `${problem.what} ${problem.todo}` : '';
  });
  describe.addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (!text || button.disabled) return;
    app.clear('panel');
    const pending = showPending(app, text);
    button.disabled = true;
    try {
      for await (const { session } of call('describe', [app.session, text])) {
        app.set(session);
        prompt.value = '';
        app.elements.cards.querySelector('input[type=range]')?.focus({ preventScroll: true });
        app.root.querySelector('.panel').scrollTop = 0;
      }
    } catch (problem) {
      app.problem(problem, 'panel');
    } finally {
      pending();
      button.disabled = false;
    }
  });
}

function showPending(app, text) {
  const seconds = el('output', {}, '0 s');
  const card = el('div', { class: 'card pending', role: 'status' }, el('span', { class: 'name' }, text), seconds, el('progress', { 'aria-label': 'Making a slider' }));
  const begun = performance.now();
  const timer = setInterval(() => { seconds.textContent = `${Math.round((performance.now() - begun) / 1000)} s`; }, 500);
  app.root.querySelector('[data-slot="panel"]').replaceChildren(card);
  return () => { clearInterval(timer); card.remove(); };
}
