// @ts-check
// Position sliders, for models that can translate and rotate their pictures.

import { el } from './dom.js';
import { percentAlong } from './numbers.js';
import { bindSlider } from './slider-input.js';
import { strings } from './strings.js';

/** @import { Axis, Editor } from './types.js' */
/** @typedef {keyof typeof AXES} AxisKey */

const SHIFT = { step: 0.005, steps: /** @type {const} */ ([0.01, 0.1]), notch: 0.012 };
const TURN = { step: 1, steps: /** @type {const} */ ([1, 15]), notch: 2.5 };
const AXES = { 'position-x': SHIFT, 'position-y': SHIFT, 'position-turn': TURN };

/** @param {Editor} editor */
export function startPosition(editor) {
  const { elements: { position }, store, events } = editor;
  /** @type {ReturnType<typeof createAxis>[]} */
  let axes = [];
  let model = '';

  function show() {
    if (store.state.ready) for (const axis of axes) axis.update(store.state.position[axis.key]);
  }
  events.on('about', () => {
    const { fingerprint, axes: all } = store.about.model;
    const known = all.filter(({ key }) => key in AXES);
    position.hidden = known.length === 0;
    if (model === fingerprint) return;
    model = fingerprint;
    axes = known.map((axis) => createAxis(editor, axis));
    position.replaceChildren(el('h2', {}, strings.position.head), ...axes.map(({ element }) => element));
    show();
  });
  events.on('state', show);
  events.on('flush', () => { for (const axis of axes) axis.commit(); });
}

/**
 * @param {Editor} editor
 * @param {Axis} axis
 */
function createAxis(editor, { key, limit }) {
  const { step, steps, notch } = AXES[/** @type {AxisKey} */ (key)];
  const { title, figure } = strings.position.axes[/** @type {AxisKey} */ (key)];
  const input = el('input', { type: 'range', id: key, min: -limit, max: limit, step, value: 0 });
  const value = el('button', { type: 'button', class: 'value', title: strings.position.reset });
  const element = el('div', { class: 'axis' }, el('label', { for: key }, title), input, value);
  /** @param {number} now */
  const draw = (now) => {
    input.style.setProperty('--from', percentAlong(Math.min(now, 0), -limit, limit));
    input.style.setProperty('--to', percentAlong(Math.max(now, 0), -limit, limit));
    const shown = `${now > 0 ? '+' : ''}${figure(now)}`.replace('-', '−');
    input.setAttribute('aria-valuetext', shown);
    value.textContent = shown;
    value.disabled = now === 0;
    value.setAttribute('aria-label', strings.position.valueLabel(title, shown));
  };
  const motion = bindSlider(editor, key, input, draw, { verb: 'place', steps, notch });
  value.addEventListener('click', () => {
    motion.moveTo(0);
    input.focus();
  });
  return {
    key,
    element,
    commit: motion.commit,
    /** @param {number} now */
    update(now) {
      if (motion.isActive()) return;
      input.value = String(now);
      draw(now);
    },
  };
}
