// Talks to the server: plain routes for what is quick, gradio's queue for what takes seconds.

export class Problem extends Error {
  constructor({ kind = 'Problem', what, todo }) {
    super(what);
    Object.assign(this, { kind, what, todo });
  }
}

const NO_SERVER = { kind: 'offline', what: 'The server does not answer.', todo: 'See that it still runs, then try again; what you see here is kept.' };
const address = (path) => new URL(path, document.baseURI);

async function send(path, options) {
  let response;
  try {
    response = await fetch(address(path), options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(NO_SERVER);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Problem(answer.error ?? { what: `The server answered ${response.status}.`, todo: 'Try again.' });
}

export function get(path, signal) {
  return send(path, { signal }).then((response) => response.json());
}

export function post(path, body = {}) {
  return postFor(path, body).then((response) => response.json());
}

export function postFor(path, body, signal) {
  return send(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), signal });
}

export function upload(path, file) {
  const headers = { 'Content-Type': 'application/octet-stream', 'X-File-Name': encodeURIComponent(file.name || 'photo') };
  return send(path, { method: 'POST', headers, body: file }).then((response) => response.json());
}

/** An upload that tells how far it is, as a fraction; `signal` breaks it off. */
export function uploadSlowly(path, file, { onFraction, signal }) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open('POST', address(path));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.setRequestHeader('X-File-Name', encodeURIComponent(file.name || 'model'));
    request.upload.addEventListener('progress', ({ loaded, total }) => onFraction(total ? loaded / total : 0));
    request.addEventListener('error', () => failed(new Problem(NO_SERVER)));
    request.addEventListener('abort', () => failed(new DOMException('broken off', 'AbortError')));
    request.addEventListener('load', () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* told by the status below */ }
      if (request.status < 300) done(answer);
      else failed(new Problem(answer.error ?? { what: `The server answered ${request.status}.`, todo: 'Try again.' }));
    });
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** A file from the server and the name that it should have. */
export async function fetchFile(path) {
  const response = await send(path);
  const name = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get('Content-Disposition') ?? '');
  return { blob: await response.blob(), name: name ? decodeURIComponent(name[1]) : 'file' };
}

/** Calls a gradio event; yields each of its answers. */
export async function* call(event, data) {
  const begun = await send(`gradio_api/call/${event}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ data }),
  }).then((response) => response.json());
  const response = await send(`gradio_api/call/${event}/${begun.event_id}`);
  for await (const [kind, answer] of serverEvents(response)) {
    if (kind === 'error') throw new Problem({ what: 'The work was broken off.', todo: 'Try again.' });
    const value = answer?.[0];
    if (value?.error) throw new Problem(value.error);
    if (value && (kind === 'generating' || kind === 'complete')) yield value;
    if (kind === 'complete') return;
  }
}

async function* serverEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read().catch(() => { throw new Problem(NO_SERVER); });
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf('\n\n')) >= 0) {
      const fields = Object.fromEntries(text.slice(0, end).split('\n').map((line) => line.split(/: (.*)/s)));
      text = text.slice(end + 2);
      if (fields.event && fields.event !== 'heartbeat') yield [fields.event, JSON.parse(fields.data ?? 'null')];
    }
  }
}
