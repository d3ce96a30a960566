// @ts-check
// A paint brush on a canvas, for any pointer and for the keyboard.

import { focusQuietly, numberOf } from './dom.js';
import { arrowStep, placeIn } from './geometry.js';
import { Strokes, drawStrokes } from './strokes.js';

const KEY_STEPS = /** @type {const} */ ([0.02, 0.06]);

/**
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLInputElement} size In percent of the picture's side.
 * @param {() => void} onChange
 */
export function createBrush(canvas, size, onChange) {
  const strokes = new Strokes();
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const radius = () => numberOf(size) / 100;
  const draw = () => {
    const color = getComputedStyle(canvas).getPropertyValue('--accent');
    drawStrokes(context, strokes, { color, radius: radius() });
  };
  const update = () => {
    draw();
    onChange();
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    strokes.begin(placeIn(event, canvas), radius());
    event.preventDefault();
    focusQuietly(canvas);
    update();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    strokes.extend(placeIn(event, canvas));
    draw();
  });
  canvas.addEventListener('keydown', (event) => {
    if (!keyAction(event, strokes, radius())) return;
    event.preventDefault();
    event.stopPropagation();
    update();
  });
  canvas.addEventListener('blur', () => {
    strokes.cursor = null;
    draw();
  });
  size.addEventListener('input', draw);

  return {
    list: strokes.list,
    isEmpty: () => strokes.isEmpty,
    undo() {
      strokes.undo();
      update();
    },
    clear() {
      strokes.clear();
      draw();
    },
  };
}

/**
 * Handles a key; false if it means nothing here.
 * @param {KeyboardEvent} event
 * @param {Strokes} strokes
 * @param {number} radius
 */
function keyAction(event, strokes, radius) {
  const step = arrowStep(event, KEY_STEPS);
  const isUndo = event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey);
  if (step) strokes.moveCursor(step);
  else if (event.key === 'Enter' || event.key === ' ') strokes.dotAtCursor(radius);
  else if (event.key === 'Backspace' || isUndo) strokes.undo();
  else return false;
  return true;
}
