// The tool for dragging points: each handle is a point to take hold of and a point where it shall go; the model follows.

import { call, post } from './api.js';
import { el } from './dom.js';

const SECONDS = 15;
const MOST = 16;
const NEAR_PX = 8; // a press that moves less than this is a click
const STEPS = [0.005, 0.02];

export function startHandles(app) {
  const { picture, result } = app.elements;
  const lines = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const layer = el('div', { class: 'handles', hidden: true, role: 'group', 'aria-label': 'Points to drag' }, lines);
  const said = el('span', { class: 'said', role: 'status' });
  const open = el('button', { type: 'button', class: 'open' }, 'Drag points');
  const add = el('button', { type: 'button' }, 'Add a point');
  const clear = el('button', { type: 'button' }, 'Clear');
  const go = el('button', { type: 'button', class: 'main' }, 'Move');
  const stop = el('button', { type: 'button', class: 'main', hidden: true }, 'Stop, keep this');
  const leave = el('button', { type: 'button' }, 'Done');
  const tools = el('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Drag points', hidden: true }, said, add, clear, go, stop, leave);
  picture.append(layer, open, tools);
  let handles = []; // {from: [x, y], to: [x, y] or null}, in fractions of the side
  let live = null; // where the points are while the model moves them
  let runs = 0;
  let active = 0;

  // What is done with the tool is no wiping and no holding of the picture below it.
  for (const element of [layer, open, tools]) {
    for (const kind of ['pointerdown', 'dblclick']) element.addEventListener(kind, (event) => event.stopPropagation());
  }
  layer.addEventListener('keydown', (event) => { if (event.key === ' ') event.stopPropagation(); });

  const whole = () => handles.filter(({ to }) => to);

  function show() {
    lines.replaceChildren();
    for (const button of layer.querySelectorAll('button')) button.remove();
    handles.forEach((handle, i) => {
      const from = live?.[whole().indexOf(handle)] ?? handle.from;
      if (handle.to) {
        const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
        const at = { x1: from[0], y1: from[1], x2: handle.to[0], y2: handle.to[1] };
        for (const [name, value] of Object.entries(at)) line.setAttribute(name, `${value * 100}%`);
        lines.append(line);
        layer.append(point(handle, i, 'to', handle.to));
      }
      layer.append(point(handle, i, 'from', from));
    });
    go.disabled = whole().length === 0;
    clear.disabled = handles.length === 0;
    add.disabled = handles.length >= MOST;
    if (!active) said.textContent = hint();
  }

  const hint = () => {
    if (!handles.length) return 'Click a point, then where it shall go.';
    return handles.at(-1).to ? `${handles.length} of at most ${MOST} points.` : 'Now click where it shall go.';
  };

  function point(handle, i, end, [x, y]) {
    const where = `${Math.round(x * 100)} % across, ${Math.round(y * 100)} % down`;
    const label = `${end === 'from' ? 'Point' : 'Target of point'} ${i + 1}, ${where}. Arrow keys move it, Delete removes it.`;
    const button = el('button', { type: 'button', class: `point ${end}`, 'aria-label': label, style: `left: ${x * 100}%; top: ${y * 100}%` });
    button.dataset.point = `${i} ${end}`;
    button.disabled = active > 0;
    button.addEventListener('keydown', (event) => key(event, handle, end));
    button.addEventListener('pointerdown', (event) => {
      event.stopPropagation();
      event.preventDefault();
      follow(event, (place) => { handle[end] = place; });
      focus(handle, end);
    });
    return button;
  }

  const focus = (handle, end) => layer.querySelector(`[data-point="${handles.indexOf(handle)} ${end}"]`)?.focus({ preventScroll: true });

  function key(event, handle, end) {
    const step = STEPS[Number(event.shiftKey)];
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way) {
      handle[end] = handle[end].map((value, axis) => inside(value + way[axis]));
      show();
      focus(handle, end);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      handles = handles.filter((other) => other !== handle);
      show();
      (layer.querySelector('button') ?? add).focus({ preventScroll: true });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  const inside = (value) => Math.min(Math.max(value, 0), 1);
  const place = (event) => {
    const area = layer.getBoundingClientRect();
    return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
  };

  /** Until the pointer is lifted, each of its places goes to `take`. */
  function follow(down, take, done = () => {}) {
    const far = (event) => Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > NEAR_PX;
    let moved = false;
    const move = (event) => {
      if (event.pointerId !== down.pointerId) return;
      moved ||= far(event);
      if (moved) { take(place(event)); show(); }
    };
    const end = (event) => {
      if (event.pointerId !== down.pointerId) return;
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', end);
      window.removeEventListener('pointercancel', end);
      done();
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', end);
    window.addEventListener('pointercancel', end);
  }

  layer.addEventListener('pointerdown', (event) => {
    if (event.button || active) return;
    event.preventDefault();
    const last = handles.at(-1);
    if (last && !last.to) {
      last.to = place(event);
      show();
      follow(event, (to) => { last.to = to; }, () => focus(last, 'to'));
    } else if (handles.length < MOST) {
      const handle = { from: place(event), to: null };
      handles.push(handle);
      show();
      follow(event, (to) => { handle.to = to; }, () => focus(handle, handle.to ? 'to' : 'from'));
    }
  });

  add.addEventListener('click', () => {
    const last = handles.at(-1);
    const handle = last && !last.to ? last : { from: [0.5, 0.5], to: null };
    handle.to = [handle.from[0], inside(handle.from[1] - 0.06)];
    if (handle !== last) handles.push(handle);
    show();
    focus(handle, 'from');
  });
  clear.addEventListener('click', () => { handles = []; show(); add.focus({ preventScroll: true }); });

  function use(on) {
    layer.hidden = tools.hidden = !on;
    open.hidden = on;
    picture.classList.toggle('handling', on);
    if (on) app.emit('wipe', 100);
    show();
  }
  open.addEventListener('click', () => { use(true); add.focus({ preventScroll: true }); });
  const done = () => { end(); handles = []; use(false); open.focus({ preventScroll: true }); };
  leave.addEventListener('click', done);
  for (const element of [layer, tools]) element.addEventListener('keydown', (event) => { if (event.key === 'Escape') done(); });

  /** Ends a run whose outcome is not wanted any more, and shows the picture as it was. */
  function end() {
    if (!active) return;
    working(0);
    post(app.path('/cancel')).catch(() => null);
    app.refresh();
  }

  function working(run) {
    app.busy(Number(run > 0) - Number(active > 0));
    active = run;
    live = null;
    stop.hidden = !run;
    stop.disabled = false;
    for (const button of [add, clear, go]) button.hidden = run > 0;
    show();
  }

  go.addEventListener('click', async () => {
    const mine = (runs += 1);
    await app.settled();
    working(mine);
    stop.focus({ preventScroll: true });
    said.textContent = 'The model follows …';
    try {
      const wanted = whole().map(({ from, to }) => [from, to]);
      const far = wanted.reduce((sum, [from, to]) => sum + Math.hypot(from[0] - to[0], from[1] - to[1]), 0) / wanted.length;
      for await (const answer of call('drag', [app.session, wanted, SECONDS])) {
        if (mine !== active) return;
        if (answer.session) {
          working(0);
          handles = [];
          app.clear('panel');
          app.set(answer.session);
          use(true);
          said.textContent = 'Moved: the slider “drag” holds it. Undo takes it back.';
          add.focus({ preventScroll: true });
        } else {
          if (answer.image) result.src = answer.image;
          live = answer.points;
          show();
          said.textContent = `${Math.max(0, Math.round((1 - answer.left / far) * 100))} % of the way`;
        }
      }
    } catch (problem) {
      if (mine !== active) return;
      working(0);
      app.refresh();
      app.problem(problem, 'panel');
    }
  });
  stop.addEventListener('click', () => {
    stop.disabled = true;
    post(app.path('/stop')).catch((problem) => app.problem(problem, 'panel'));
  });

  const leaveFace = () => { end(); handles = []; use(false); };
  app.on('view', (name) => { if (name !== 'edit' && !layer.hidden) leaveFace(); });
  app.on('state', (before) => { if (before && before.revision !== app.state.revision && !layer.hidden) leaveFace(); });
}
