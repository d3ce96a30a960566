// @ts-check
// Points in a picture as fractions of its width and height, and how pointers and arrow keys move them.

/** @import { Point } from './types.js' */

/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
export const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** @param {number} value */
export const clampUnit = (value) => clamp(value, 0, 1);

/**
 * A pointer's place in an area of the screen, possibly outside of it.
 * @param {{clientX: number, clientY: number}} pointer
 * @param {{left: number, top: number, width: number, height: number}} area
 * @returns {Point}
 */
export function fractionOf(pointer, area) {
  return [(pointer.clientX - area.left) / area.width, (pointer.clientY - area.top) / area.height];
}

/**
 * The place under a pointer, clamped to the element.
 * @param {{clientX: number, clientY: number}} pointer
 * @param {Element} element
 * @returns {Point}
 */
export function placeIn(pointer, element) {
  const [x, y] = fractionOf(pointer, element.getBoundingClientRect());
  return [clampUnit(x), clampUnit(y)];
}

/**
 * The step of an arrow key, coarse with Shift; null for other keys.
 * @param {{key: string, shiftKey: boolean}} event
 * @param {readonly [fine: number, coarse: number]} steps
 * @returns {Point | null}
 */
export function arrowStep({ key, shiftKey }, [fine, coarse]) {
  const way = ARROWS[key];
  if (!way) return null;
  const step = shiftKey ? coarse : fine;
  return [way[0] * step, way[1] * step];
}

/**
 * A place moved by a step, clamped to the picture.
 * @param {Point} place
 * @param {Point} step
 * @returns {Point}
 */
export function moved([x, y], [dx, dy]) {
  return [clampUnit(x + dx), clampUnit(y + dy)];
}

/**
 * @param {Point} from
 * @param {Point} to
 */
export const distance = (from, to) => Math.hypot(from[0] - to[0], from[1] - to[1]);
