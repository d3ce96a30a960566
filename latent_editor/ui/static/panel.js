// @ts-check
// The panel: cards for the sliders in use, and directions to add.

import { createTile } from './direction-tile.js';
import { el } from './dom.js';
import { createPairLoader } from './pair-loader.js';
import { createCard } from './slider-card.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */
/** @typedef {Map<string, ReturnType<typeof createCard>>} Cards */
/** @typedef {Map<string, ReturnType<typeof createTile>>} Tiles */

const HELD_BACK = 0.995; // edits scaled to less than this are reported

/** @param {Editor} editor */
export function startPanel(editor) {
  const { elements: { add, reset }, store, events, changes } = editor;
  const pairs = createPairLoader((key) => store.pictureUrl(`pair/${key}.jpg`));
  /** @type {Cards} */
  const cards = new Map();
  /** @type {Tiles} */
  const tiles = new Map();
  let revision = -1;

  function showAbout() {
    tiles.clear();
    for (const direction of store.about.directions) tiles.set(direction.key, createTile(editor, direction));
    const shown = [...tiles.values()].map(({ element }) => element);
    add.replaceChildren(...(shown.length ? shown : [el('p', { class: 'small' }, noDirections(editor))]));
    showState();
  }
  function showState() {
    if (!store.state.ready) return;
    if (revision !== store.state.revision) forgetFace();
    revision = store.state.revision;
    showCards(editor, cards);
    showTiles(editor, tiles);
    showScale(editor);
    reset.disabled = !canReset(editor);
    for (const [key, card] of cards) pairs.want(key, card.showPair);
    for (const [key, { element, showPair }] of tiles) if (!element.hidden) pairs.want(key, showPair);
  }
  function forgetFace() {
    for (const card of cards.values()) card.element.remove();
    cards.clear();
    pairs.forget();
    for (const tile of tiles.values()) tile.clearPair();
  }
  events.on('about', showAbout);
  events.on('state', showState);
  events.on('flush', () => { for (const card of cards.values()) card.commit(); });
  reset.addEventListener('click', () => changes.change({ do: 'reset' }));
}

/** @param {Editor} editor */
function noDirections({ store: { about } }) {
  const { finding, directions_problem: problem, text_problem: textProblem } = about;
  const words = strings.panel;
  const failed = problem ? `${problem.what} ${problem.todo}` : words.noDirections;
  const reason = finding ? words.finding : failed;
  return textProblem ? reason : `${reason} ${words.describeInstead}`;
}

/** @param {Editor} editor */
function canReset({ store: { state } }) {
  const isMoved = Object.values(state.position).some((value) => value !== 0);
  return isMoved || state.sliders.some(({ strength }) => strength !== 0);
}

/**
 * The server scales down edits that together exceed the model's range; the page says so.
 * @param {Editor} editor
 */
function showScale({ elements: { 'scale-note': note }, store: { state } }) {
  note.hidden = state.kept > HELD_BACK;
  note.textContent = strings.panel.scaled(state.kept);
}

/**
 * @param {Editor} editor
 * @param {Tiles} tiles
 */
function showTiles({ root, store }, tiles) {
  const used = new Set(store.state.sliders.map(({ key }) => key));
  for (const [key, { element }] of tiles) element.hidden = used.has(key);
  const head = /** @type {HTMLElement} */ (root.querySelector('.add-head h2'));
  head.hidden = [...tiles.keys()].every((key) => used.has(key));
}

/**
 * @param {Editor} editor
 * @param {Cards} cards
 */
function showCards(editor, cards) {
  const { elements: { cards: list }, store: { state } } = editor;
  const keys = state.sliders.map(({ key }) => key);
  for (const [key, card] of cards) {
    if (keys.includes(key)) continue;
    card.element.remove();
    cards.delete(key);
  }
  /** @type {Element | null} */
  let before = null;
  for (const slider of state.sliders) {
    const card = cards.get(slider.key) ?? createCard(editor, slider);
    cards.set(slider.key, card);
    card.update(slider);
    /** @type {Node | null} */
    const place = before ? before.nextSibling : list.firstChild;
    // Moved only if necessary: moving it would lose the focus.
    if (place !== card.element) list.insertBefore(card.element, place);
    before = card.element;
  }
}
