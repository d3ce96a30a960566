// One slider in use: a picture of this face at each end, the track with its safe range, and a menu.

import { el, icon, signed } from './dom.js';
import { createMenu } from './slider-menu.js';

const COMMIT_MS = 350; // moves closer together than this (keys, a double click) are one entry of the history

export function createCard(app, first) {
  const { key, limit } = first;
  let slider = first;
  const input = el('input', { type: 'range', min: first.taken ? 0 : -limit, max: limit, step: 0.02 });
  const name = el('label', { class: 'name' });
  input.id = name.htmlFor = `slider-${key}`;
  const where = el('span', { class: 'where', hidden: true });
  const value = el('button', { type: 'button', class: 'value', title: 'Back to zero' });
  const eye = el('button', { type: 'button', class: 'quiet icon' });
  const more = el('button', { type: 'button', class: 'quiet icon', 'aria-expanded': 'false' }, icon('more'));
  const ends = [el('span', { class: 'end low' }), el('span', { class: 'end high' })];
  const menu = createMenu(app, key, () => slider);
  const element = el('li', { class: 'card', 'data-key': key }, ends[0], el('div', { class: 'top' }, name, where, value, eye, more), input, ends[1], menu.element);

  const draw = (strength) => {
    const least = Number(input.min);
    const percent = (x) => `${((Math.min(Math.max(x, least), limit) - least) / (limit - least)) * 100}%`;
    input.style.setProperty('--from', percent(Math.min(strength, 0)));
    input.style.setProperty('--to', percent(Math.max(strength, 0)));
    input.style.setProperty('--low', percent(slider.low));
    input.style.setProperty('--high', percent(slider.high));
    input.setAttribute('aria-valuetext', signed(strength));
    value.textContent = signed(strength);
    value.disabled = strength === 0;
    value.setAttribute('aria-label', `${slider.name} is ${signed(strength)}; back to zero`);
  };

  const moving = startMoving(app, key, input, draw);
  value.addEventListener('click', () => { moving.to(0); input.focus(); });
  eye.addEventListener('click', () => app.change({ do: 'mute', key, value: !slider.muted }));
  more.addEventListener('click', () => {
    menu.element.hidden = !menu.element.hidden;
    more.setAttribute('aria-expanded', String(!menu.element.hidden));
  });
  for (const [end, strength] of [[ends[0], slider.low], [ends[1], slider.high]]) {
    end.addEventListener('click', () => moving.to(Math.max(-2, Math.min(2, strength))));
  }

  function update(now) {
    slider = now;
    name.title = now.name;
    name.replaceChildren(now.name, ...(now.unsure ? [el('small', { title: 'This name is a guess.' }, ' unclear')] : []));
    where.hidden = !now.region || now.taken;
    where.textContent = now.region;
    where.title = `Acts only there: ${now.region}`;
    if (!moving.active()) {
      input.value = now.strength;
      draw(now.strength);
    }
    element.classList.toggle('muted', now.muted);
    eye.replaceChildren(icon(now.muted ? 'shut' : 'eye'));
    eye.setAttribute('aria-pressed', String(now.muted));
    eye.setAttribute('aria-label', `Mute ${now.name}`);
    eye.title = now.muted ? 'Show its effect' : 'Hide its effect';
    more.setAttribute('aria-label', `More for ${now.name}`);
    menu.update(now);
  }
  const showPair = (source) => { for (const end of ends) end.style.backgroundImage = `url("${source}")`; };
  return { element, update, showPair, commit: moving.commit };
}

/** While it moves the picture follows; when it rests the server is told, which makes one entry of the history. */
export function startMoving(app, key, input, draw, { verb = 'move', steps = [0.1, 0.5], notch = 0.08 } = {}) {
  let timer = 0;
  let active = false;
  const move = (strength) => {
    active = true;
    draw(strength);
    app.drag(key, strength);
  };
  const commit = async () => {
    clearTimeout(timer);
    if (!active) return;
    active = false;
    const value = Number(input.value);
    await app.change({ do: verb, key, value });
    if (!active) app.dragged(key);
  };
  const commitSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(commit, COMMIT_MS);
  };
  const to = (strength) => {
    input.value = strength;
    move(strength);
    commit();
  };
  input.addEventListener('input', () => {
    if (Math.abs(input.value) < notch) input.value = 0; // the notch
    move(Number(input.value));
  });
  input.addEventListener('keydown', (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === 'Delete' || event.key === 'Backspace') return to(0);
    if (!way) return undefined;
    event.preventDefault();
    const step = steps[event.shiftKey ? 1 : 0];
    input.value = Math.round(Number(input.value) / steps[0] + (way * step) / steps[0]) * steps[0];
    move(Number(input.value));
    commitSoon();
    return undefined;
  });
  input.addEventListener('change', commitSoon);
  input.addEventListener('blur', commit);
  input.addEventListener('dblclick', () => to(0));
  return { to, commit, active: () => active };
}
