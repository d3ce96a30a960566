// @ts-check
// Brush strokes and how they are drawn.

import { moved } from './geometry.js';

/** @import { Point, Stroke } from './types.js' */

export const CANVAS_PX = 512;
const DOT = 0.01; // px; a line of no length is not painted
/** @type {Point} */
const CENTER = [0.5, 0.5];

/** The strokes painted so far, and the keyboard's brush. */
export class Strokes {
  /** @type {Stroke[]} */
  list = [];
  /** @type {Point | null} */
  cursor = null;

  /**
   * Starts a stroke.
   * @param {Point} point
   * @param {number} radius
   */
  begin(point, radius) {
    this.cursor = null;
    this.list.push({ radius, points: [point] });
  }

  /** @param {Point} point */
  extend(point) {
    this.list.at(-1)?.points.push(point);
  }

  /** @param {Point} step */
  moveCursor(step) {
    this.cursor = moved(this.cursor ?? CENTER, step);
  }

  /** @param {number} radius */
  dotAtCursor(radius) {
    this.cursor ??= CENTER;
    this.list.push({ radius, points: [this.cursor] });
  }

  undo() {
    this.list.pop();
  }

  clear() {
    this.list.length = 0;
  }

  get isEmpty() {
    return this.list.length === 0;
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Strokes} strokes
 * @param {{color: string, radius: number}} brush Used for the keyboard's brush.
 */
export function drawStrokes(context, { list, cursor }, { color, radius }) {
  context.clearRect(0, 0, CANVAS_PX, CANVAS_PX);
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.strokeStyle = color;
  for (const stroke of list) {
    context.lineWidth = 2 * stroke.radius * CANVAS_PX;
    context.beginPath();
    const points = stroke.points.map(([x, y]) => [x * CANVAS_PX, y * CANVAS_PX]);
    context.moveTo(points[0][0], points[0][1] + DOT);
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }
  if (!cursor) return;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(cursor[0] * CANVAS_PX, cursor[1] * CANVAS_PX, radius * CANVAS_PX, 0, 2 * Math.PI);
  context.stroke();
}
