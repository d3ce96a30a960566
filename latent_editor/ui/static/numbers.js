// @ts-check
// Number formatting, and the arithmetic of sliders.

import { clamp } from './geometry.js';

/**
 * With its sign and one decimal: "+1.4", "−0.6", "0".
 * @param {number} value
 */
export function signed(value) {
  const text = Math.abs(value).toFixed(1);
  return text === '0.0' ? '0' : `${value < 0 ? '−' : '+'}${text}`;
}

/**
 * A value's position along a track, as a CSS percentage.
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
export function percentAlong(value, least, most) {
  return `${((clamp(value, least, most) - least) / (most - least)) * 100}%`;
}

/**
 * A value after a step, snapped to the grid of the fine step so that rounding errors do not add up.
 * @param {number} value
 * @param {number} step
 * @param {number} grid
 */
export function stepped(value, step, grid) {
  return Math.round(value / grid + step / grid) * grid;
}

/** @param {number} began A time from performance.now(). */
export const secondsSince = (began) => Math.round((performance.now() - began) / 1000);
