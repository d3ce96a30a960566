// @ts-check
// Frame scheduler: sends the newest values at once, and never shows an old frame over a newer one.

import { createScreen } from './frame-screen.js';

/** @import { FrameHandlers, FrameSocket } from './frame-socket.js' */
/** @typedef {Pick<FrameSocket, 'isReady' | 'request' | 'acknowledge' | 'end'>} Socket */

/**
 * @typedef {object} Outside What the scheduler needs from outside.
 * @property {(handlers: FrameHandlers) => Socket} openSocket
 * @property {(request: object) => Promise<Blob>} requestFrame The HTTP fallback.
 * @property {(jpeg: Blob) => Promise<void>} put Shows a picture.
 * @property {(by: number) => void} markBusy
 * @property {(problem: any) => void} onProblem
 */

export class Frames {
  #outside;
  #screen;
  /** @type {Socket | null} */
  #socket = null;
  /** @type {Map<string, number>} */
  #pending = new Map(); // key → strength not yet told to the server
  #sequence = 0; // of the newest request
  #settled = 0; // requests up to this one are answered, and their frames on the screen
  #isMoving = false; // true asks for smaller frames; the state that follows the move asks for a full one
  #isPosting = false;

  /** @param {Outside} outside */
  constructor(outside) {
    this.#outside = outside;
    this.#screen = createScreen(outside.put, (number) => {
      this.#socket?.acknowledge(number);
      this.#settle(number);
    });
  }

  /** Replaces the socket by one for a new session. */
  connect() {
    this.#socket?.end();
    this.#socket = this.#outside.openSocket({
      onFrame: this.#screen.show,
      onProblem: (number, problem) => {
        this.#outside.onProblem(problem);
        this.#settle(number ?? this.#sequence);
      },
      onBreak: () => { if (!this.#isSettled) this.#post(); },
    });
  }

  /**
   * Requests a preview frame for a moving slider.
   * @param {string} key
   * @param {number} strength
   */
  drag(key, strength) {
    this.#pending.set(key, strength);
    this.#ask(true);
  }

  /** Requests a full frame. */
  refresh() {
    this.#ask(false);
  }

  /**
   * The server knows the strength now, so frames need not carry it.
   * @param {string} key
   */
  committed(key) {
    this.#pending.delete(key);
  }

  /** Drops strengths that belong to another face. */
  forget() {
    this.#pending.clear();
  }

  get #isSettled() {
    return this.#settled === this.#sequence;
  }

  #newest() {
    return { sequence: this.#sequence, strengths: Object.fromEntries(this.#pending), moving: this.#isMoving };
  }

  /** @param {boolean} isMoving */
  #ask(isMoving) {
    if (this.#isSettled) this.#outside.markBusy(1);
    this.#sequence += 1;
    this.#isMoving = isMoving;
    if (!this.#send()) this.#post();
  }

  /** Sends by the socket; false if it is not ready. */
  #send() {
    if (!this.#socket?.isReady) return false;
    this.#socket.request(this.#newest(), this.#screen.shown());
    return true;
  }

  /** HTTP fallback: one request at a time, each with the newest values, until the socket is back. */
  async #post() {
    if (this.#isPosting) return;
    this.#isPosting = true;
    while (!this.#isSettled && !this.#send()) {
      const request = this.#newest();
      try {
        await this.#screen.show(request.sequence, await this.#outside.requestFrame(request));
      } catch (problem) {
        this.#outside.onProblem(problem);
      }
      this.#settle(request.sequence);
    }
    this.#isPosting = false;
  }

  /** @param {number} number */
  #settle(number) {
    if (number <= this.#settled) return;
    this.#settled = number;
    if (this.#isSettled) this.#outside.markBusy(-1);
  }
}
