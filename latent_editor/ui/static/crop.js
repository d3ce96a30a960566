// Between photo and reconstruction: which of several faces, or a square by hand.

import { post } from './api.js';
import { el } from './dom.js';

export function startCrop(app) {
  const { choices, 'by-hand': byHand, 'leave-choose': leaveChoose, 'leave-crop': leaveCrop } = app.elements;
  let photo = null;

  app.on('photo', (taken) => {
    photo = taken;
    if (photo.by_hand) openSquare();
    else if (photo.faces.length === 1) app.emit('reconstruct', photo.faces[0]);
    else if (photo.faces.length > 1) askWhich();
    else {
      openSquare();
      app.problem(photo.problem, 'crop');
    }
  });

  function askWhich() {
    choices.replaceChildren(...photo.faces.map((face, i) => el(
      'button', { type: 'button', 'aria-label': `Face ${i + 1}`, onclick: () => pick({ face: i }, 'choose') },
      el('img', { src: face, alt: '', width: 128, height: 128 }),
    )));
    app.view('choose');
    choices.querySelector('button').focus();
  }

  async function pick(request, slot) {
    try {
      const { crop } = await post(app.path('/crop'), request);
      app.emit('reconstruct', crop);
    } catch (problem) {
      app.problem(problem, slot);
    }
  }

  const square = startSquare(app, (box) => pick({ box }, 'crop'));
  function openSquare() {
    app.clear('crop');
    app.view('crop');
    square.open(photo);
  }
  app.on('crop-by-hand', openSquare);
  byHand.addEventListener('click', openSquare);
  leaveChoose.addEventListener('click', () => app.view('start'));
  leaveCrop.addEventListener('click', () => app.view('start'));
}

/** A square over the photo: place it with the pointer or the arrow keys, size it with the slider, the wheel, + and −. */
function startSquare(app, use) {
  const { photo: frame, draft, square, size, 'use-square': useButton } = app.elements;
  let photo = null;
  let middle = [0.5, 0.4]; // fractions of the photo's width and height

  const side = () => (size.value / 100) * Math.min(photo.width, photo.height);
  const within = (value, half) => Math.min(Math.max(value, half), 1 - half);
  const draw = () => {
    const half = [side() / photo.width / 2, side() / photo.height / 2];
    middle = [within(middle[0], half[0]), within(middle[1], half[1])];
    square.style.left = `${(middle[0] - half[0]) * 100}%`;
    square.style.top = `${(middle[1] - half[1]) * 100}%`;
    square.style.width = `${half[0] * 200}%`;
    square.style.height = `${half[1] * 200}%`;
  };
  const place = (event) => {
    const area = draft.getBoundingClientRect();
    middle = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    draw();
  };
  frame.addEventListener('pointerdown', (event) => { frame.setPointerCapture(event.pointerId); place(event); event.preventDefault(); square.focus(); });
  frame.addEventListener('pointermove', (event) => { if (frame.hasPointerCapture(event.pointerId)) place(event); });
  size.addEventListener('input', draw);
  const resize = (by) => { size.value = Number(size.value) + by; draw(); };
  frame.addEventListener('wheel', (event) => { event.preventDefault(); resize(event.deltaY < 0 ? 2 : -2); }, { passive: false });
  square.addEventListener('keydown', (event) => {
    const step = event.shiftKey ? 0.05 : 0.01;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) middle = middle.map((value, i) => value + moves[event.key][i]);
    else if (event.key === '+' || event.key === '=') resize(2);
    else if (event.key === '-') resize(-2);
    else if (event.key === 'Enter') return send();
    else return undefined;
    event.preventDefault();
    return draw();
  });
  app.on('about', () => square.replaceChildren(...app.about.model.points.map(([x, y]) => el('i', { style: `left: ${x * 100}%; top: ${y * 100}%` }))));
  const send = () => use([middle[0] * photo.width - side() / 2, middle[1] * photo.height - side() / 2, side()]);
  useButton.addEventListener('click', send);

  return {
    open(taken) {
      photo = taken;
      draft.src = `${app.path('/draft.jpg')}?t=${Date.now()}`;
      frame.style.aspectRatio = `${photo.width} / ${photo.height}`;
      frame.style.setProperty('--ratio', photo.width / photo.height);
      middle = app.word([0.5, 0.4], [0.5, 0.5]);
      size.value = app.word(45, 100);
      draw();
      square.focus({ preventScroll: true });
    },
  };
}
