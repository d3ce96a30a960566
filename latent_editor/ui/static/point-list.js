// @ts-check
// The points to drag, and their targets.

import { clampUnit, distance, moved } from './geometry.js';

/** @import { Point } from './types.js' */
/** @typedef {'from' | 'to'} End */
/** @typedef {{from: Point, to: Point | null}} DragPoint In fractions of the side. `to` is null until it is set. */

export const MAX_POINTS = 16;
const KEYBOARD_TARGET = 0.06; // distance of a keyboard point's target above it

export class PointList {
  /** @type {DragPoint[]} */
  points = [];

  /** Points with a target. */
  get complete() {
    return this.points.filter(({ to }) => to);
  }

  /** The point still without a target. */
  get open() {
    const last = this.points.at(-1);
    return last && !last.to ? last : null;
  }

  get isFull() {
    return this.points.length >= MAX_POINTS;
  }

  /**
   * A press on the picture sets the target of the open point, or else a new point. Null if the list is full.
   * @param {Point} place
   * @returns {DragPoint | null}
   */
  press(place) {
    const { open } = this;
    if (open) {
      open.to = place;
      return open;
    }
    return this.isFull ? null : this.#push(place);
  }

  /** Adds a point in the middle with its target above, or a target to the open point. */
  addFromKeyboard() {
    const point = this.open ?? this.#push([0.5, 0.5]);
    point.to = [point.from[0], clampUnit(point.from[1] - KEYBOARD_TARGET)];
    return point;
  }

  /**
   * @param {DragPoint} point
   * @param {End} end
   * @param {Point} step
   */
  move(point, end, step) {
    const place = point[end];
    if (place) point[end] = moved(place, step);
  }

  /** @param {DragPoint} point */
  remove(point) {
    this.points = this.points.filter((other) => other !== point);
  }

  clear() {
    this.points = [];
  }

  /** Pairs of source and target, for the server. */
  get pairs() {
    return this.complete.map(({ from, to }) => /** @type {[Point, Point]} */ ([from, to]));
  }

  /** @param {Point} place */
  #push(place) {
    /** @type {DragPoint} */
    const point = { from: place, to: null };
    this.points.push(point);
    return point;
  }
}

/**
 * The mean distance between points and targets.
 * @param {[Point, Point][]} pairs
 */
export const meanDistance = (pairs) => pairs.reduce((sum, [from, to]) => sum + distance(from, to), 0) / pairs.length;

/**
 * Progress in percent. Points may stray, so it is clamped at zero.
 * @param {number} left
 * @param {number} whole
 */
export const percentDone = (left, whole) => Math.max(0, Math.round((1 - left / whole) * 100));
