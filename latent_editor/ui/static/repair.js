// @ts-check
// The repair form: say what is wrong with the photo and paint over what is missing.

import { createBrush } from './brush.js';
import { ColorHints } from './color-hints.js';
import { el } from './dom.js';
import { FAULTS, createFaultRow } from './repair-faults.js';
import { createRepairRun } from './repair-run.js';
import { strings } from './strings.js';
import { CANVAS_PX } from './strokes.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startRepair(editor) {
  const { root, elements, store, events, messages, views } = editor;
  const parts = createParts();
  const { image, canvas, undo, go, back, bar } = parts;
  const hints = new ColorHints(() => show());
  const rows = FAULTS.map((fault) => createFaultRow(fault, () => show()));
  const grayscale = rows.filter(({ name }) => name === 'grey');
  const brush = createBrush(canvas, parts.size, () => show());
  const run = createRepairRun(editor, { ...parts, onChange: () => show(), showPhoto });
  elements.recrop.after(createEntry(() => events.emit('leave-for-repair')));
  const again = createEntry(() => events.emit('repair'));
  root.querySelector('.panel')?.append(again);
  root.querySelector('main')?.append(createSection(parts, rows, hints));

  function show() {
    const isActive = run.isActive();
    const needsColors = grayscale.some((row) => row.isOn()) && store.about.model.colorizer;
    undo.disabled = brush.isEmpty() || isActive;
    go.disabled = isActive || (brush.isEmpty() && !rows.some((row) => row.isOn()));
    bar.hidden = !isActive;
    back.textContent = isActive ? strings.jobs.cancel : strings.repair.back;
    canvas.hidden = isActive;
    hints.element.hidden = !needsColors;
    hints.layer.hidden = isActive || !needsColors;
    if (!needsColors) hints.arm(false);
  }
  function showPhoto() {
    image.src = `${store.path('/damaged.jpg')}?t=${Date.now()}`;
  }
  const faults = () => Object.assign(
    { strokes: brush.list, dabs: hints.layer.hidden ? [] : hints.list },
    ...rows.map((row) => row.value()),
  );

  undo.addEventListener('click', brush.undo);
  go.addEventListener('click', () => run.start(faults()));
  back.addEventListener('click', () => {
    if (run.isActive()) run.cancel();
    else if (!store.state.ready) events.emit('reconstruct', image.src);
    else {
      views.show('edit');
      events.emit('state', store.state);
    }
  });
  events.on('state', () => { again.hidden = !store.state.photo; });
  events.on('photo', () => {
    brush.clear();
    hints.clear();
    rows.forEach((row) => row.clear());
    show();
  });
  events.on('repair', () => {
    showPhoto();
    messages.clear('repair');
    views.show('repair');
    show();
    rows[0].focus();
  });
  events.on('view', (name) => { if (name !== 'repair' && run.isActive()) run.cancel(); });
}

/** @param {() => void} onclick */
const createEntry = (onclick) => (
  el('button', { type: 'button', class: 'quiet repair-open', onclick }, strings.repair.open));

function createParts() {
  const words = strings.repair;
  return {
    image: el('img', { alt: words.photo, draggable: 'false' }),
    canvas: el('canvas', {
      width: CANVAS_PX, height: CANVAS_PX, tabindex: 0, role: 'application', 'aria-label': words.canvas,
    }),
    size: el('input', { type: 'range', min: 1, max: 15, step: 0.5, value: 5, 'aria-label': strings.brush.size }),
    undo: el('button', { type: 'button', disabled: true }, strings.brush.undo),
    go: el('button', { type: 'button', class: 'main', disabled: true }, words.go),
    back: el('button', { type: 'button', class: 'quiet' }, words.back),
    bar: el('progress', { max: 1, 'aria-label': words.go, hidden: true }),
    figures: el('span', { class: 'figures', role: 'status' }),
  };
}

/**
 * @param {ReturnType<typeof createParts>} parts
 * @param {ReturnType<typeof createFaultRow>[]} rows
 * @param {ColorHints} hints
 */
function createSection({ image, canvas, size, undo, go, back, bar, figures }, rows, hints) {
  const words = strings.repair;
  const missing = el(
    'div', { class: 'fault on' },
    el('span', {}, words.missing),
    el('label', { class: 'strength' }, size, el('output', {}, words.brush)),
    undo,
  );
  return el(
    'section', { class: 'repair', 'aria-label': words.section },
    el('div', { class: 'paper' }, image, canvas, hints.layer),
    el(
      'div', { class: 'faults' },
      el('h2', {}, words.head),
      el('div', { 'data-slot': 'repair' }),
      ...rows.flatMap((row) => (row.name === 'grey' ? [row.element, hints.element] : [row.element])),
      missing,
      el('p', { class: 'small' }, words.about),
      bar, figures,
      el('div', { class: 'buttons' }, go, back),
    ),
  );
}
