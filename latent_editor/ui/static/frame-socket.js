// @ts-check
// WebSocket for preview frames: requests go out as JSON; each JPEG comes back prefixed with its request's number.

import { Problem } from './api.js';

export const RETRY_DELAYS_MS = [300, 1000, 3000, 10000, 30000]; // the last one repeats
export const MAX_FAILED_TRIES = 2; // without ever opening: something on the way blocks WebSockets
export const SILENCE_MS = 12000; // no answer to a request for this long: the connection is dead

/**
 * @typedef {object} FrameHandlers
 * @property {(number: number, jpeg: Blob) => void} onFrame
 * @property {(number: number | null, problem: Problem) => void} onProblem
 * @property {() => void} onBreak Pending requests will not be answered.
 */

/** A WebSocket that is opened again when it breaks. */
export class FrameSocket {
  #url;
  #handlers;
  #Socket;
  /** @type {WebSocket | null} */
  #socket = null;
  #wasOpen = false;
  #tries = 0;
  #ended = false;
  #retryTimer = 0;
  #silenceTimer = 0;

  /**
   * @param {URL} url
   * @param {FrameHandlers} handlers
   * @param {typeof WebSocket} Socket
   */
  constructor(url, handlers, Socket = WebSocket) {
    this.#url = url;
    this.#handlers = handlers;
    this.#Socket = Socket;
    this.#connect();
  }

  get isReady() {
    return this.#socket !== null && this.#socket.readyState === this.#Socket.OPEN;
  }

  /**
   * Requests a frame, and reports the one on the screen.
   * @param {object} request
   * @param {number} shown
   */
  request(request, shown) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#giveUp(), SILENCE_MS);
    this.#socket?.send(JSON.stringify({ wish: request, shown }));
  }

  /**
   * Reports the frame on the screen, so that the server does not run ahead.
   * @param {number} shown
   */
  acknowledge(shown) {
    if (this.isReady) this.#socket?.send(JSON.stringify({ shown }));
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#silenceTimer);
    this.#socket?.close();
    this.#socket = null;
  }

  #connect() {
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new this.#Socket(this.#url);
    } catch { // WebSockets are forbidden on this page
      return;
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    /** @param {(event: any) => void} action Skipped for an abandoned connection. */
    const current = (action) => (/** @type {Event} */ event) => { if (socket === this.#socket) action(event); };
    socket.addEventListener('open', current(() => { this.#wasOpen = true; this.#tries = 0; }));
    socket.addEventListener('message', current(({ data }) => this.#receive(data)));
    socket.addEventListener('close', current(() => this.#broken()));
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    clearTimeout(this.#silenceTimer);
    if (typeof data === 'string') {
      const { sequence, error } = JSON.parse(data);
      this.#handlers.onProblem(sequence, new Problem(error));
    } else {
      const number = new DataView(data).getUint32(0);
      this.#handlers.onFrame(number, new Blob([new Uint8Array(data, 4)], { type: 'image/jpeg' }));
    }
  }

  /** Abandons a silent connection at once: the closing handshake could take a minute. */
  #giveUp() {
    this.#socket?.close();
    this.#broken();
  }

  #broken() {
    clearTimeout(this.#silenceTimer);
    this.#socket = null;
    if (this.#ended) return;
    this.#handlers.onBreak();
    this.#tries += 1;
    if (!this.#wasOpen && this.#tries >= MAX_FAILED_TRIES) return;
    const delay = RETRY_DELAYS_MS[Math.min(this.#tries, RETRY_DELAYS_MS.length) - 1];
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
  }
}
