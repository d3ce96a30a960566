// @ts-check
// The point-drag tool: set points and their targets on the picture, and let the model move them.

import { el, focusQuietly, keepEvents } from './dom.js';
import { PointLayer } from './point-layer.js';
import { MAX_POINTS, PointList } from './point-list.js';
import { PointRun } from './point-run.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startPointDrag(editor) {
  const { elements: { picture }, store, events } = editor;
  const tool = new PointTool(editor);
  picture.append(...tool.elements);
  keepEvents(tool.elements, ['pointerdown', 'dblclick']);
  events.on('view', (name) => { if (name !== 'edit') tool.leave(); });
  events.on('state', (before) => { if (before.revision !== store.state.revision) tool.leave(); });
}

function createParts() {
  const words = strings.points;
  const parts = {
    said: el('span', { class: 'said', role: 'status' }),
    add: el('button', { type: 'button' }, words.add),
    clear: el('button', { type: 'button' }, words.clear),
    move: el('button', { type: 'button', class: 'main' }, words.move),
    stop: el('button', { type: 'button', class: 'main', hidden: true }, words.stop),
    done: el('button', { type: 'button' }, words.done),
  };
  const attributes = { class: 'tools', role: 'toolbar', 'aria-label': words.open, hidden: true };
  return { ...parts, toolbar: el('div', attributes, ...Object.values(parts)) };
}

class PointTool {
  #editor;
  #list = new PointList();
  #parts = createParts();
  #opener = el('button', { type: 'button', class: 'open' }, strings.points.open);
  #layer;
  #run;

  /** @param {Editor} editor */
  constructor(editor) {
    this.#editor = editor;
    this.#layer = new PointLayer(this.#list, {
      onChange: () => this.#showTools(),
      onEmptied: () => focusQuietly(this.#parts.add),
    });
    this.#run = new PointRun(editor, {
      onWorking: (on) => this.#showWorking(on),
      onStep: (places, percent) => this.#showStep(places, percent),
      onDone: () => this.#finish(),
    });
    this.#bind();
  }

  get elements() {
    return [this.#layer.element, this.#opener, this.#parts.toolbar];
  }

  /** Closes the tool and cancels its run. */
  leave() {
    if (this.#layer.element.hidden) return;
    this.#run.cancel();
    this.#list.clear();
    this.#setOpen(false);
  }

  #bind() {
    const { add, clear, move, stop, done, toolbar } = this.#parts;
    this.#opener.addEventListener('click', () => {
      this.#setOpen(true);
      focusQuietly(add);
    });
    add.addEventListener('click', () => {
      const point = this.#list.addFromKeyboard();
      this.#layer.show();
      this.#layer.focus(point, 'from');
    });
    clear.addEventListener('click', () => {
      this.#list.clear();
      this.#layer.show();
      focusQuietly(add);
    });
    move.addEventListener('click', () => this.#run.start(this.#list.pairs));
    stop.addEventListener('click', () => {
      stop.disabled = true;
      this.#run.stop();
    });
    done.addEventListener('click', () => this.#leaveByHand());
    for (const element of [this.#layer.element, toolbar]) {
      element.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.#leaveByHand(); });
    }
  }

  /** @param {boolean} on */
  #setOpen(on) {
    this.#layer.element.hidden = this.#parts.toolbar.hidden = !on;
    this.#opener.hidden = on;
    this.#editor.elements.picture.classList.toggle('with-tool', on);
    if (on) this.#editor.events.emit('wipe', 100);
    this.#layer.show();
  }

  #leaveByHand() {
    this.leave();
    focusQuietly(this.#opener);
  }

  #showTools() {
    const { said, add, clear, move } = this.#parts;
    move.disabled = this.#list.complete.length === 0;
    clear.disabled = this.#list.points.length === 0;
    add.disabled = this.#list.isFull;
    if (!this.#run.isActive) said.textContent = hint(this.#list);
  }

  /** @param {boolean} on */
  #showWorking(on) {
    const { said, add, clear, move, stop } = this.#parts;
    stop.hidden = !on;
    stop.disabled = false;
    for (const button of [add, clear, move]) button.hidden = on;
    this.#layer.lock(on);
    if (!on) return;
    focusQuietly(stop);
    said.textContent = strings.points.working;
  }

  /**
   * @param {import('./types.js').Point[]} places
   * @param {number} percent
   */
  #showStep(places, percent) {
    this.#layer.showLive(places);
    this.#parts.said.textContent = strings.points.progress(percent);
  }

  /** The points have been moved; more can be added. */
  #finish() {
    this.#list.clear();
    this.#setOpen(true);
    this.#parts.said.textContent = strings.points.moved;
    focusQuietly(this.#parts.add);
  }
}

/** @param {PointList} list */
function hint({ points, open }) {
  if (!points.length) return strings.points.hintFirst;
  return open ? strings.points.hintTarget : strings.points.hintCount(points.length, MAX_POINTS);
}
