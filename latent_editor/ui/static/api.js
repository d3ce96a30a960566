// @ts-check
// Server API: plain routes for quick requests, gradio's queue for work that takes seconds.

import { strings } from './strings.js';

/** @import { ProblemInfo } from './types.js' */

/** A problem as the page shows it: what happened, and what to do. */
export class Problem extends Error {
  /** @param {ProblemInfo} info */
  constructor({ kind = 'Problem', what, todo }) {
    super(what);
    this.kind = kind;
    this.what = what;
    this.todo = todo;
  }
}

const offline = () => new Problem({ kind: 'offline', ...strings.problems.offline });
/** @param {string} path */
const address = (path) => new URL(path, document.baseURI);

/**
 * @param {any} answer
 * @param {number} status
 */
const refusal = (answer, status) => new Problem(answer.error ?? strings.problems.status(status));

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function send(path, options) {
  let response;
  try {
    response = await fetch(address(path), options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw offline();
  }
  if (response.ok) return response;
  throw refusal(await response.json().catch(() => ({})), response.status);
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function get(path, signal) {
  return (await send(path, { signal })).json();
}

/**
 * @param {string} path
 * @param {object} body
 */
export async function post(path, body = {}) {
  return (await postFor(path, body)).json();
}

/**
 * Posts JSON and returns the raw response.
 * @param {string} path
 * @param {object} body
 */
export function postFor(path, body) {
  return send(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

/**
 * @param {File} file
 * @param {string} fallback
 */
const uploadHeaders = (file, fallback) => ({
  'Content-Type': 'application/octet-stream',
  'X-File-Name': encodeURIComponent(file.name || fallback),
});

/**
 * @param {string} path
 * @param {File} file
 */
export async function upload(path, file) {
  return (await send(path, { method: 'POST', headers: uploadHeaders(file, 'photo'), body: file })).json();
}

/**
 * Uploads a file and reports progress as a fraction.
 * @param {string} path
 * @param {File} file
 * @param {{onFraction: (fraction: number) => void, signal: AbortSignal}} options
 * @returns {Promise<any>}
 */
export function uploadWithProgress(path, file, { onFraction, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch reports no upload progress
    request.open('POST', address(path));
    for (const [name, value] of Object.entries(uploadHeaders(file, 'model'))) request.setRequestHeader(name, value);
    request.upload.addEventListener('progress', ({ loaded, total }) => onFraction(total ? loaded / total : 0));
    request.addEventListener('error', () => reject(offline()));
    request.addEventListener('abort', () => reject(new DOMException('The upload was aborted', 'AbortError')));
    request.addEventListener('load', () => {
      const answer = parsed(request.responseText);
      if (request.status < 300) resolve(answer);
      else reject(refusal(answer, request.status));
    });
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // the status says enough
  }
}

/**
 * A file from the server, and its name.
 * @param {string} path
 */
export async function fetchFile(path) {
  const response = await send(path);
  const name = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get('Content-Disposition') ?? '');
  return { blob: await response.blob(), name: name ? decodeURIComponent(name[1]) : 'file' };
}

/**
 * Calls a gradio event; yields each of its answers.
 * @param {string} event
 * @param {unknown[]} data
 */
export async function* call(event, data) {
  const { event_id: id } = await post(`gradio_api/call/${event}`, { data });
  const response = await send(`gradio_api/call/${event}/${id}`);
  for await (const [kind, answer] of serverEvents(response)) {
    if (kind === 'error') throw new Problem(strings.problems.interrupted);
    const value = answer?.[0];
    if (value?.error) throw new Problem(value.error);
    if (value && (kind === 'generating' || kind === 'complete')) yield value;
    if (kind === 'complete') return;
  }
}

/**
 * @param {Response} response
 * @returns {AsyncGenerator<[kind: string, data: any]>}
 */
async function* serverEvents(response) {
  const body = /** @type {ReadableStream<BufferSource>} */ (response.body);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read().catch(() => { throw offline(); });
    if (done) return;
    const blocks = (text + value).split('\n\n');
    text = blocks.pop() ?? ''; // the beginning of the next event
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)));
      if (fields.event && fields.event !== 'heartbeat') yield [fields.event, JSON.parse(fields.data ?? 'null')];
    }
  }
}
