// @ts-check
// The crop square: placed with the pointer or arrow keys, sized with the slider, the wheel, + and −.

import { el, focusQuietly, numberOf } from './dom.js';
import { arrowStep, clamp, fractionOf } from './geometry.js';

/** @import { Editor, Point, Term } from './types.js' */
/** @typedef {{width: number, height: number}} Size */

const KEY_STEPS = /** @type {const} */ ([0.01, 0.05]);
const RESIZE_STEP = 2; // percent
/** @type {Term<Point>} */
const CENTERS = { faces: [0.5, 0.4], other: [0.5, 0.5] };
/** @type {Term<number>} */
const SIZES = { faces: 45, other: 100 };

/**
 * The square's side in pixels, half of it as fractions of the photo, and its center clamped to the photo.
 * @param {Size} photo
 * @param {number} percent Of the photo's shorter side.
 * @param {Point} center
 */
export function squareWithin(photo, percent, center) {
  const side = (percent / 100) * Math.min(photo.width, photo.height);
  /** @type {Point} */
  const half = [side / photo.width / 2, side / photo.height / 2];
  /** @type {Point} */
  const held = [clamp(center[0], half[0], 1 - half[0]), clamp(center[1], half[1], 1 - half[1])];
  return { side, half, center: held };
}

/**
 * @param {Editor} editor
 * @param {(box: [left: number, top: number, side: number]) => void} use In pixels of the photo.
 */
export function createCropSquare({ elements, store, events }, use) {
  const { photo: frame, 'crop-photo': image, square, size, 'use-square': useButton } = elements;
  /** @type {Size} */
  let photo = { width: 1, height: 1 };
  let center = CENTERS.faces;

  const draw = () => {
    const placed = squareWithin(photo, numberOf(size), center);
    center = placed.center;
    const [x, y] = placed.half;
    Object.assign(square.style, {
      left: `${(center[0] - x) * 100}%`, top: `${(center[1] - y) * 100}%`, width: `${x * 200}%`, height: `${y * 200}%`,
    });
  };
  /** @param {PointerEvent} event */
  const place = (event) => {
    center = fractionOf(event, image.getBoundingClientRect());
    draw();
  };
  /** @param {number} percent */
  const resize = (percent) => {
    size.value = String(numberOf(size) + percent);
    draw();
  };
  const send = () => {
    const { side } = squareWithin(photo, numberOf(size), center);
    use([center[0] * photo.width - side / 2, center[1] * photo.height - side / 2, side]);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const step = arrowStep(event, KEY_STEPS);
    if (step) center = [center[0] + step[0], center[1] + step[1]];
    else if (event.key === '+' || event.key === '=') resize(RESIZE_STEP);
    else if (event.key === '-') resize(-RESIZE_STEP);
    else if (event.key === 'Enter') send();
    else return;
    event.preventDefault();
    draw();
  };
  bindSquare(frame, square, { place, resize, press });
  size.addEventListener('input', draw);
  useButton.addEventListener('click', send);
  events.on('about', () => square.replaceChildren(...store.about.model.points.map(createMark)));

  return {
    /** @param {Size} taken */
    open(taken) {
      photo = taken;
      image.src = `${store.path('/draft.jpg')}?t=${Date.now()}`;
      frame.style.aspectRatio = `${photo.width} / ${photo.height}`;
      frame.style.setProperty('--ratio', String(photo.width / photo.height));
      center = store.term(CENTERS);
      size.value = String(store.term(SIZES));
      draw();
      focusQuietly(square);
    },
  };
}

/**
 * @param {HTMLElement} frame
 * @param {HTMLElement} square
 * @param {object} actions
 * @param {(event: PointerEvent) => void} actions.place
 * @param {(percent: number) => void} actions.resize
 * @param {(event: KeyboardEvent) => void} actions.press
 */
function bindSquare(frame, square, { place, resize, press }) {
  frame.addEventListener('pointerdown', (event) => {
    frame.setPointerCapture(event.pointerId);
    place(event);
    event.preventDefault();
    square.focus();
  });
  frame.addEventListener('pointermove', (event) => { if (frame.hasPointerCapture(event.pointerId)) place(event); });
  frame.addEventListener('wheel', (event) => {
    event.preventDefault();
    resize(event.deltaY < 0 ? RESIZE_STEP : -RESIZE_STEP);
  }, { passive: false });
  square.addEventListener('keydown', press);
}

/** @param {Point} point Where an eye, the nose, the mouth or the chin should be. */
const createMark = ([x, y]) => el('i', { style: `left: ${x * 100}%; top: ${y * 100}%` });
