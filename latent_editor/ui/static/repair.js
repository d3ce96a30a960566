// Repair: say what is wrong with the photo, paint over what is missing; the model finds the rest, then sliders as usual.

import { call, post } from './api.js';
import { CANVAS_PX, createBrush } from './brush.js';
import { createDabs } from './color-hints.js';
import { el } from './dom.js';

const FAULTS = [
  { name: 'scale', label: 'Too few pixels', min: 2, max: 16, step: 1, value: 8, tell: (v) => `${v}×` },
  { name: 'grey', label: 'No colours' },
  { name: 'blur_px', label: 'Blurred', min: 0.5, max: 8, step: 0.5, value: 2, tell: (v) => `${v} px` },
  { name: 'noise', label: 'Grainy', min: 0.05, max: 0.6, step: 0.05, value: 0.2, tell: (v) => `${Math.round(v * 100)} %` },
  { name: 'jpeg', label: 'JPEG blocks', min: 5, max: 60, step: 5, value: 20, tell: (v) => `quality ${v}` },
];

export function startRepair(app) {
  const image = el('img', { alt: 'Your photo, as it came', draggable: 'false' });
  const canvas = el('canvas', { width: CANVAS_PX, height: CANVAS_PX, tabindex: 0, role: 'application', 'aria-label': 'Brush. Paint over what is missing. Arrow keys move the brush, Enter paints a dot, Backspace takes the last stroke back.' });
  const size = el('input', { type: 'range', min: 1, max: 15, step: 0.5, value: 5, 'aria-label': 'Size of the brush' });
  const undo = el('button', { type: 'button', disabled: true }, 'Undo a stroke');
  const go = el('button', { type: 'button', class: 'main', disabled: true }, 'Repair');
  const back = el('button', { type: 'button', class: 'quiet' }, 'Back');
  const bar = el('progress', { max: 1, 'aria-label': 'Repair', hidden: true });
  const figures = el('span', { class: 'figures', role: 'status' });
  const dabs = createDabs(() => show());
  const rows = FAULTS.map(createRow);
  const section = el(
    'section', { class: 'repair', 'aria-label': 'Repair the photo' },
    el('div', { class: 'paper' }, image, canvas, dabs.layer),
    el(
      'div', { class: 'faults' },
      el('h2', {}, 'What is wrong with it?'),
      el('div', { 'data-slot': 'repair' }),
      ...rows.flatMap((row) => (row.name === 'grey' ? [row.element, dabs.element] : [row.element])),
      el('div', { class: 'fault on' }, el('span', {}, 'Something is missing: paint over it'), el('label', { class: 'strength' }, size, el('output', {}, 'brush')), undo),
      el('p', { class: 'small' }, 'What is known of the photo stays. The rest is drawn by the model: a face that could have been there.'),
      bar, figures,
      el('div', { class: 'buttons' }, go, back),
    ),
  );
  app.root.querySelector('main').append(section);
  const strokes = createBrush(canvas, size, show);
  let runs = 0;
  let active = 0;

  const entry = (action) => el('button', { type: 'button', class: 'quiet repair-open', onclick: action }, 'Damaged photo? Repair it');
  app.elements.recrop.after(entry(() => app.emit('leave-for-repair')));
  const again = entry(() => app.emit('repair'));
  app.root.querySelector('.panel').append(again);
  app.on('state', () => { again.hidden = !app.state.photo; });
  app.on('photo', () => { strokes.clear(); dabs.clear(); rows.forEach((row) => row.clear()); show(); });

  app.on('repair', () => {
    image.src = `${app.path('/damaged.jpg')}?t=${Date.now()}`;
    app.clear('repair');
    app.view('repair');
    show();
    rows[0].focus();
  });
  app.on('view', (name) => { if (name !== 'repair' && active) cancel(); });
  undo.addEventListener('click', () => strokes.undo());
  back.addEventListener('click', () => {
    if (active) cancel();
    else if (app.state.ready) { app.view('edit'); app.emit('state', app.state); } else app.emit('reconstruct', image.src);
  });

  function show() {
    undo.disabled = !strokes.list.length || active > 0;
    go.disabled = active > 0 || !(strokes.list.length || rows.some((row) => row.on()));
    bar.hidden = !active;
    back.textContent = active ? 'Cancel' : 'Back';
    canvas.hidden = dabs.layer.hidden = active > 0;
    const grey = rows.find((row) => row.name === 'grey').on();
    dabs.element.hidden = !grey || !app.about?.model.colourist;
    if (dabs.element.hidden) { dabs.arm(false); dabs.layer.hidden = true; }
  }

  function cancel() {
    active = 0;
    figures.textContent = '';
    image.src = `${app.path('/damaged.jpg')}?t=${Date.now()}`;
    post(app.path('/cancel?keep_photo=true')).catch((problem) => app.problem(problem, 'repair'));
    show();
  }

  go.addEventListener('click', async () => {
    const mine = active = (runs += 1);
    const faults = Object.assign({ strokes: strokes.list, dabs: dabs.layer.hidden ? [] : dabs.list }, ...rows.map((row) => row.fault()));
    app.clear('repair');
    bar.removeAttribute('value');
    figures.textContent = 'a first look …';
    show();
    try {
      for await (const { crop, image: drawn, fraction, seconds } of call('repair', [app.session, faults])) {
        if (mine !== active) return;
        if (crop) {
          active = 0;
          figures.textContent = '';
          app.emit('reconstruct', crop);
        } else {
          if (drawn) image.src = drawn;
          bar.value = fraction;
          figures.textContent = `${seconds.toFixed(0)} s`;
        }
      }
    } catch (problem) {
      if (mine !== active) return;
      active = 0;
      figures.textContent = '';
      image.src = `${app.path('/damaged.jpg')}?t=${Date.now()}`;
      app.problem(problem, 'repair');
    } finally {
      show();
    }
  });

  function createRow({ name, label, min, max, step, value, tell }) {
    const box = el('input', { type: 'checkbox', onchange: () => { set(); show(); } });
    const range = tell && el('input', { type: 'range', min, max, step, value, 'aria-label': `${label}: how much`, oninput: () => { box.checked = true; set(); show(); } });
    const told = tell && el('output', {});
    const element = el('div', { class: 'fault' }, el('label', {}, box, label), tell && el('label', { class: 'strength' }, range, told));
    const set = () => {
      element.classList.toggle('on', box.checked);
      if (tell) told.textContent = tell(Number(range.value));
    };
    set();
    return {
      name,
      element,
      on: () => box.checked,
      focus: () => box.focus({ preventScroll: true }),
      clear() { box.checked = false; set(); },
      fault: () => (box.checked ? { [name]: tell ? Number(range.value) : true } : {}),
    };
  }
}
