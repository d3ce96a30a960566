// @ts-check
// The brush over the picture that paints a slider's region.

import { createBrush } from './brush.js';
import { el, focusQuietly, keepEvents } from './dom.js';
import { setRegion } from './region.js';
import { strings } from './strings.js';
import { CANVAS_PX } from './strokes.js';

/** @import { Editor, Slider } from './types.js' */

function createParts() {
  const words = strings.regionBrush;
  const canvas = el('canvas', {
    class: 'region-canvas', width: CANVAS_PX, height: CANVAS_PX, tabindex: 0, hidden: true,
    role: 'application', 'aria-label': words.canvas,
  });
  const size = el('input', { type: 'range', min: 2, max: 20, step: 0.5, value: 7, 'aria-label': strings.brush.size });
  const said = el('span', { class: 'said' });
  const undo = el('button', { type: 'button' }, strings.brush.undo);
  const use = el('button', { type: 'button', class: 'main' }, words.use);
  const cancel = el('button', { type: 'button' }, words.cancel);
  const tools = el(
    'div', { class: 'tools region-tools', role: 'toolbar', 'aria-label': words.toolbar, hidden: true },
    said, size, undo, use, cancel,
  );
  return { canvas, size, said, undo, use, cancel, tools };
}

/** @param {Editor} editor */
export function startRegionBrush(editor) {
  const { elements: { picture }, store, events } = editor;
  const { canvas, size, said, undo, use, cancel, tools } = createParts();
  picture.append(canvas, tools);
  const brush = createBrush(canvas, size, show);
  /** @type {Slider | null} */
  let slider = null;

  function show() {
    use.disabled = undo.disabled = brush.isEmpty();
  }
  /** @param {boolean} on */
  function setOpen(on) {
    canvas.hidden = tools.hidden = !on;
    for (const name of ['with-tool', 'painting']) picture.classList.toggle(name, on);
    brush.clear();
  }
  function close() {
    slider = null;
    setOpen(false);
  }
  async function apply() {
    use.disabled = true;
    if (await setRegion(editor, { key: slider?.key, strokes: brush.list })) close();
    else show();
  }

  keepEvents([canvas, tools], ['pointerdown', 'dblclick', 'keydown', 'contextmenu']);
  for (const element of [canvas, tools]) {
    element.addEventListener('keydown', (/** @type {any} */ event) => { if (event.key === 'Escape') close(); });
  }
  undo.addEventListener('click', brush.undo);
  cancel.addEventListener('click', close);
  use.addEventListener('click', apply);
  events.on('paint-region', (painted) => {
    slider = painted;
    said.textContent = strings.regionBrush.hint(painted.name);
    setOpen(true);
    events.emit('wipe', 100);
    show();
    picture.scrollIntoView({ block: 'nearest' });
    focusQuietly(canvas);
  });
  events.on('view', (name) => { if (slider && name !== 'edit') close(); });
  events.on('state', (before) => { if (slider && before.revision !== store.state.revision) close(); });
}
