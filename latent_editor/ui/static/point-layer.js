// @ts-check
// The layer over the picture where points are placed, moved and removed.

import { el, focusQuietly, svg } from './dom.js';
import { arrowStep, placeIn } from './geometry.js';
import { followPointer } from './pointer.js';
import { strings } from './strings.js';

/** @import { Point } from './types.js' */
/** @import { DragPoint, End, PointList } from './point-list.js' */

const NEAR_PX = 8; // a press that moves less than this is a click
const KEY_STEPS = /** @type {const} */ ([0.005, 0.02]);

export class PointLayer {
  element;
  #lines = svg('svg');
  #list;
  #onChange;
  #onEmptied;
  #isLocked = false;
  /** @type {Point[] | null} */
  #live = null; // where the complete points are while the model moves them

  /**
   * @param {PointList} list
   * @param {{onChange: () => void, onEmptied: () => void}} callbacks On any change; on removal of the last point.
   */
  constructor(list, { onChange, onEmptied }) {
    this.#list = list;
    this.#onChange = onChange;
    this.#onEmptied = onEmptied;
    const attributes = { class: 'points', hidden: true, role: 'group', 'aria-label': strings.points.layer };
    this.element = el('div', attributes, this.#lines);
    this.element.addEventListener('keydown', (event) => { if (event.key === ' ') event.stopPropagation(); });
    this.element.addEventListener('pointerdown', (event) => this.#place(event));
  }

  show() {
    this.#lines.replaceChildren();
    for (const button of this.element.querySelectorAll('button')) button.remove();
    const { complete, points } = this.#list;
    points.forEach((point, i) => {
      const from = this.#live?.[complete.indexOf(point)] ?? point.from;
      if (point.to) {
        this.#lines.append(createLine(from, point.to));
        this.element.append(this.#createHandle(point, i, 'to', point.to));
      }
      this.element.append(this.#createHandle(point, i, 'from', from));
    });
    this.#onChange();
  }

  /**
   * Locks the points while the model moves them.
   * @param {boolean} on
   */
  lock(on) {
    this.#isLocked = on;
    this.#live = null;
    this.show();
  }

  /** @param {Point[]} places Where the complete points are now. */
  showLive(places) {
    this.#live = places;
    this.show();
  }

  /**
   * @param {DragPoint} point
   * @param {End} end
   */
  focus(point, end) {
    focusQuietly(this.element.querySelector(`[data-point="${this.#list.points.indexOf(point)} ${end}"]`));
  }

  /** @param {PointerEvent} event */
  #place(event) {
    if (event.button || this.#isLocked) return;
    event.preventDefault();
    const point = this.#list.press(placeIn(event, this.element));
    if (!point) return;
    this.show();
    this.#drag(event, point, 'to', () => this.focus(point, point.to ? 'to' : 'from'));
  }

  /**
   * One end of a point follows the pointer until it is released.
   * @param {PointerEvent} down
   * @param {DragPoint} point
   * @param {End} end
   */
  #drag(down, point, end, onEnd = () => {}) {
    followPointer(down, NEAR_PX, (event) => {
      point[end] = placeIn(event, this.element);
      this.show();
    }, onEnd);
  }

  /**
   * @param {DragPoint} point
   * @param {number} i
   * @param {End} end
   * @param {Point} place
   */
  #createHandle(point, i, end, place) {
    const handle = createHandle(i, end, place);
    handle.disabled = this.#isLocked;
    handle.addEventListener('keydown', (event) => this.#press(event, point, end));
    handle.addEventListener('pointerdown', (event) => {
      event.stopPropagation();
      event.preventDefault();
      this.#drag(event, point, end);
      this.focus(point, end);
    });
    return handle;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {DragPoint} point
   * @param {End} end
   */
  #press(event, point, end) {
    const step = arrowStep(event, KEY_STEPS);
    if (step) {
      this.#list.move(point, end, step);
      this.show();
      this.focus(point, end);
    } else if (event.key === 'Delete' || event.key === 'Backspace') this.#remove(point);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {DragPoint} point */
  #remove(point) {
    this.#list.remove(point);
    this.show();
    const first = this.element.querySelector('button');
    if (first) focusQuietly(first);
    else this.#onEmptied();
  }
}

/**
 * @param {Point} from
 * @param {Point} to
 */
function createLine(from, to) {
  const percent = (/** @type {number} */ value) => `${value * 100}%`;
  return svg('line', { x1: percent(from[0]), y1: percent(from[1]), x2: percent(to[0]), y2: percent(to[1]) });
}

/**
 * @param {number} i
 * @param {End} end
 * @param {Point} place
 */
function createHandle(i, end, [x, y]) {
  const where = strings.units.place(x, y);
  const label = end === 'from' ? strings.points.source(i + 1, where) : strings.points.target(i + 1, where);
  return el('button', {
    type: 'button', class: `point ${end}`, 'data-point': `${i} ${end}`, 'aria-label': label,
    style: `left: ${x * 100}%; top: ${y * 100}%`,
  });
}
