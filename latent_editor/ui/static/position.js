// For models that can move their pictures: three sliders, across, down and around.

import { startMoving } from './slider-card.js';
import { el } from './dom.js';

const WAYS = {
  'position-x': { title: 'Move across', step: 0.005, steps: [0.01, 0.1], notch: 0.012, say: (value) => `${Math.round(value * 100)} %` },
  'position-y': { title: 'Move down', step: 0.005, steps: [0.01, 0.1], notch: 0.012, say: (value) => `${Math.round(value * 100)} %` },
  'position-turn': { title: 'Turn', step: 1, steps: [1, 15], notch: 2.5, say: (value) => `${Math.round(value)}°` },
};

export function startPosition(app) {
  const { position } = app.elements;
  let axes = [];
  let model = null;

  app.on('about', () => {
    const known = app.about.model.axes.filter(({ key }) => WAYS[key]);
    position.hidden = known.length === 0;
    if (model === app.about.model.fingerprint) return;
    model = app.about.model.fingerprint;
    axes = known.map((axis) => createAxis(app, axis));
    position.replaceChildren(el('h2', {}, 'Position'), ...axes.map((axis) => axis.element));
    show();
  });
  const show = () => { if (app.state?.ready) for (const axis of axes) axis.update(app.state.position[axis.key]); };
  app.on('state', show);
  app.on('flush', () => { for (const axis of axes) axis.commit(); });
}

function createAxis(app, { key, limit }) {
  const { title, step, steps, notch, say } = WAYS[key];
  const input = el('input', { type: 'range', id: key, min: -limit, max: limit, step, value: 0 });
  const value = el('button', { type: 'button', class: 'value', title: 'Back to its place' });
  const element = el('div', { class: 'axis' }, el('label', { for: key }, title), input, value);
  const percent = (x) => `${((x + limit) / (2 * limit)) * 100}%`;
  const draw = (now) => {
    input.style.setProperty('--from', percent(Math.min(now, 0)));
    input.style.setProperty('--to', percent(Math.max(now, 0)));
    const said = (now > 0 ? '+' : '') + say(now).replace('-', '−');
    input.setAttribute('aria-valuetext', said);
    value.textContent = said;
    value.disabled = now === 0;
    value.setAttribute('aria-label', `${title} is ${said}; back to its place`);
  };
  const moving = startMoving(app, key, input, draw, { verb: 'place', steps, notch });
  value.addEventListener('click', () => { moving.to(0); input.focus(); });
  const update = (now) => {
    if (moving.active()) return;
    input.value = now;
    draw(now);
  };
  return { key, element, update, commit: moving.commit };
}
