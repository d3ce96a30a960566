// @ts-check
// Runs point drags, one at a time, and reports where the points are on the way.

import { call, post } from './api.js';
import { meanDistance, percentDone } from './point-list.js';
import { RunCounter } from './run-counter.js';

/** @import { Editor, Point } from './types.js' */

const MAX_SECONDS = 15;

/**
 * @typedef {object} PointRunCallbacks
 * @property {(on: boolean) => void} onWorking
 * @property {(places: Point[], percent: number) => void} onStep With the points' places and the progress in percent.
 * @property {() => void} onDone The points have been moved, by a new slider.
 */

export class PointRun {
  #editor;
  #callbacks;
  #runs = new RunCounter();

  /**
   * @param {Editor} editor
   * @param {PointRunCallbacks} callbacks
   */
  constructor(editor, callbacks) {
    this.#editor = editor;
    this.#callbacks = callbacks;
  }

  get isActive() {
    return this.#runs.active > 0;
  }

  /** @param {[Point, Point][]} pairs Points and their targets. */
  async start(pairs) {
    const { store, changes, messages, frames } = this.#editor;
    await changes.settled();
    const run = this.#begin();
    try {
      for await (const answer of call('drag', [store.session, pairs, MAX_SECONDS])) {
        if (!this.#runs.isActive(run)) return;
        if (answer.session) this.#finish(answer.session);
        else this.#step(answer, meanDistance(pairs));
      }
    } catch (problem) {
      if (!this.#runs.isActive(run)) return;
      this.#end();
      frames.refresh();
      messages.problem(problem, 'panel');
    }
  }

  /** Stops the run and keeps its result so far. */
  stop() {
    const { store, messages } = this.#editor;
    post(store.path('/stop')).catch((problem) => messages.problem(problem, 'panel'));
  }

  /** Cancels the run and restores the picture. */
  cancel() {
    if (!this.isActive) return;
    this.#end();
    post(this.#editor.store.path('/cancel')).catch(() => null);
    this.#editor.frames.refresh();
  }

  #begin() {
    this.#end(); // of a run started meanwhile
    const run = this.#runs.begin();
    this.#editor.markBusy(1);
    this.#callbacks.onWorking(true);
    return run;
  }

  #end() {
    if (!this.isActive) return;
    this.#runs.end();
    this.#editor.markBusy(-1);
    this.#callbacks.onWorking(false);
  }

  /**
   * @param {{image?: string, points: Point[], left: number}} answer
   * @param {number} whole
   */
  #step({ image, points, left }, whole) {
    if (image) this.#editor.elements.result.src = image;
    this.#callbacks.onStep(points, percentDone(left, whole));
  }

  /** @param {import('./types.js').SessionState} session */
  #finish(session) {
    this.#end();
    this.#editor.messages.clear('panel');
    this.#editor.store.setState(session);
    this.#callbacks.onDone();
  }
}
