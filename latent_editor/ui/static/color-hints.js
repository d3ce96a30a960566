// Dabs of colour on a grey photo: where somebody knows what colour it had.

import { el } from './dom.js';

const MOST = 32;
const STEPS = [0.005, 0.02];
const inside = (value) => Math.min(Math.max(value, 0), 1);

/** `layer` lies over the picture and takes presses while `tool` is pressed. Each dab is {x, y, colour}. */
export function createDabs(changed) {
  const list = [];
  const colour = el('input', { type: 'color', value: '#8a4b2d', 'aria-label': 'Colour of the dab' });
  const tool = el('button', { type: 'button', 'aria-pressed': 'false' }, 'Put it on the photo');
  const layer = el('div', { class: 'dabs', role: 'group', 'aria-label': 'Dabs of colour' });
  const place = (event) => {
    const area = layer.getBoundingClientRect();
    return { x: inside((event.clientX - area.left) / area.width), y: inside((event.clientY - area.top) / area.height) };
  };

  function show() {
    layer.replaceChildren(...list.map(button));
    tool.disabled = list.length >= MOST;
    changed();
  }

  function button(dab, i) {
    const where = `${Math.round(dab.x * 100)} % across, ${Math.round(dab.y * 100)} % down`;
    const label = `Dab ${i + 1}, ${dab.colour}, ${where}. Arrow keys move it, Delete removes it.`;
    const element = el('button', { type: 'button', class: 'dab', 'aria-label': label, title: 'Drag to move, double-click to remove', style: `left: ${dab.x * 100}%; top: ${dab.y * 100}%; background: ${dab.colour}` });
    element.addEventListener('keydown', (event) => key(event, dab));
    element.addEventListener('pointerdown', (event) => { event.stopPropagation(); element.setPointerCapture(event.pointerId); });
    element.addEventListener('pointermove', (event) => {
      if (!element.hasPointerCapture(event.pointerId)) return;
      Object.assign(dab, place(event));
      element.style.left = `${dab.x * 100}%`;
      element.style.top = `${dab.y * 100}%`;
    });
    element.addEventListener('dblclick', () => remove(dab));
    return element;
  }

  const focus = (i) => (layer.children[i] ?? tool).focus({ preventScroll: true });

  function remove(dab) {
    const i = list.indexOf(dab);
    list.splice(i, 1);
    show();
    focus(Math.min(i, list.length - 1));
  }

  function key(event, dab) {
    const step = STEPS[Number(event.shiftKey)];
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way) {
      Object.assign(dab, { x: inside(dab.x + way[0]), y: inside(dab.y + way[1]) });
      show();
      focus(list.indexOf(dab));
    } else if (event.key === 'Delete' || event.key === 'Backspace') remove(dab);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function add(at) {
    if (list.length >= MOST) return;
    list.push({ ...at, colour: colour.value });
    show();
    focus(list.length - 1);
  }

  function arm(on) {
    tool.setAttribute('aria-pressed', String(on));
    layer.classList.toggle('armed', on);
  }

  tool.addEventListener('click', (event) => {
    if (event.detail === 0) add({ x: 0.5, y: 0.5 }); // by the keyboard: arrow keys move it from there
    else arm(tool.getAttribute('aria-pressed') !== 'true');
  });
  colour.addEventListener('change', () => arm(true));
  layer.addEventListener('pointerdown', (event) => {
    if (event.button || event.target !== layer) return;
    event.preventDefault();
    add(place(event));
  });
  return {
    list, layer, arm,
    element: el('div', { class: 'known' }, el('label', {}, 'A colour you know', colour), tool),
    clear() { list.length = 0; arm(false); show(); },
  };
}
