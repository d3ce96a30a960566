// Where a slider acts: in the whole picture, in a part of the face, or where it is painted.

import { post } from './api.js';
import { CANVAS_PX, createBrush } from './brush.js';
import { el } from './dom.js';

const PARTS = ['eyes', 'nose', 'mouth', 'face', 'hair', 'background'];

/** The menu's choice for one slider. */
export function createRegion(app, key) {
  const select = el('select', { 'aria-label': 'Where it acts', onchange: () => choose(select.value) });
  let now = null;

  async function choose(value) {
    if (value === 'paint') {
      update(now); // until something is painted
      app.emit('paint-region', { key, name: now.name });
      return;
    }
    await place(app, { key, part: value || null });
    update(now);
  }

  function update(slider) {
    now = slider;
    const faces = app.about?.model.faces !== false;
    const options = [['', 'Whole picture'], ...(faces ? PARTS.map((part) => [part, `Only the ${part}`]) : []), ...(slider.region === 'painted' ? [['painted', 'Where painted']] : []), ['paint', slider.region === 'painted' ? 'Paint anew…' : 'Paint where…']];
    if (slider.region && !options.some(([value]) => value === slider.region)) options.push([slider.region, `Only ${slider.region}`]);
    select.replaceChildren(...options.map(([value, label]) => el('option', { value }, label)));
    select.value = slider.region ?? '';
  }
  return { element: select, update };
}

async function place(app, wish) {
  app.busy(1);
  try {
    await app.settled();
    app.set(await post(app.path('/place'), wish));
    app.clear('panel');
    return true;
  } catch (problem) {
    app.problem(problem, 'panel');
    return false;
  } finally {
    app.busy(-1);
  }
}

/** The brush over the picture. */
export function startRegion(app) {
  const { picture } = app.elements;
  const canvas = el('canvas', { class: 'region-canvas', width: CANVAS_PX, height: CANVAS_PX, tabindex: 0, hidden: true, role: 'application', 'aria-label': 'Brush. Paint where the slider shall act. Arrow keys move the brush, Enter paints a dot, Backspace takes the last stroke back.' });
  const size = el('input', { type: 'range', min: 2, max: 20, step: 0.5, value: 7, 'aria-label': 'Size of the brush' });
  const said = el('span', { class: 'said' });
  const undo = el('button', { type: 'button' }, 'Undo a stroke');
  const use = el('button', { type: 'button', class: 'main' }, 'Use it');
  const leave = el('button', { type: 'button' }, 'Cancel');
  const tools = el('div', { class: 'tools region-tools', role: 'toolbar', 'aria-label': 'Paint where the slider acts', hidden: true }, said, size, undo, use, leave);
  picture.append(canvas, tools);
  const brush = createBrush(canvas, size, show);
  let key = null;

  for (const element of [canvas, tools]) {
    for (const kind of ['pointerdown', 'dblclick', 'keydown', 'contextmenu']) element.addEventListener(kind, (event) => event.stopPropagation());
    element.addEventListener('keydown', (event) => { if (event.key === 'Escape') done(); });
  }

  function show() { use.disabled = undo.disabled = !brush.list.length; }

  function done() {
    key = null;
    canvas.hidden = tools.hidden = true;
    picture.classList.remove('handling', 'painting');
    brush.clear();
  }

  app.on('paint-region', (slider) => {
    key = slider.key;
    brush.clear();
    said.textContent = `Paint where “${slider.name}” shall act.`;
    canvas.hidden = tools.hidden = false;
    picture.classList.add('handling', 'painting');
    app.emit('wipe', 100);
    show();
    picture.scrollIntoView({ block: 'nearest' });
    canvas.focus({ preventScroll: true });
  });
  undo.addEventListener('click', () => brush.undo());
  leave.addEventListener('click', done);
  use.addEventListener('click', async () => {
    use.disabled = true;
    if (await place(app, { key, strokes: brush.list })) done();
    else show();
  });
  app.on('view', (name) => { if (name !== 'edit' && key !== null) done(); });
  app.on('state', (before) => { if (key !== null && before && before.revision !== app.state.revision) done(); });
}
