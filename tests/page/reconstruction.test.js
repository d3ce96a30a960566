import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { createEvents } from '../../latent_editor/ui/static/events.js';
import { startReconstruction } from '../../latent_editor/ui/static/reconstruction.js';
import { Store } from '../../latent_editor/ui/static/store.js';

/** Lets the page read what the server has sent: streams take several turns of the event loop. */
async function read() {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => { setImmediate(resolve); });
}

/** A server with one stream of answers for each run of the reconstruction. */
class FakeServer {
  posts = [];
  streams = [];

  fetch = async (url, { method } = {}) => {
    const path = new URL(url).pathname + new URL(url).search;
    if (method !== 'POST') return new Response(this.#open());
    this.posts.push(path);
    return Response.json({ event_id: String(this.streams.length) });
  };

  get cancels() {
    return this.posts.filter((path) => path.includes('/cancel'));
  }

  #open() {
    return new ReadableStream({ start: (stream) => { this.streams.push(stream); } });
  }

  async answer(run, answer) {
    this.streams[run].enqueue(new TextEncoder().encode(`event: generating\ndata: ${JSON.stringify([answer])}\n\n`));
    await read();
  }
}

function createElement() {
  const names = new Set();
  const classList = { add: (name) => names.add(name), remove: (name) => names.delete(name) };
  return Object.assign(new EventTarget(), { classList, removeAttribute() {}, focus() {} });
}

function createPage() {
  const events = createEvents();
  const store = new Store(events);
  store.session = 'abc';
  const elements = new Proxy({}, { get: (found, name) => { found[name] ??= createElement(); return found[name]; } });
  const page = { view: 'start', problems: [], events, store, elements };
  page.views = { show(name) { page.view = name; events.emit('view', name); }, current: () => page.view };
  page.messages = { problem: (problem) => page.problems.push(problem.kind) };
  startReconstruction(page);
  return page;
}

const before = {};
let server;
beforeEach(() => {
  Object.assign(before, { fetch: globalThis.fetch, document: globalThis.document });
  server = new FakeServer();
  globalThis.fetch = server.fetch;
  globalThis.document = { baseURI: 'http://page/' };
});
afterEach(() => Object.assign(globalThis, before));

async function reconstructing() {
  const page = createPage();
  page.events.emit('reconstruct', 'crop 1');
  await read();
  await server.answer(0, { fraction: 0.1, seconds: 1, likeness: null, image: null });
  assert.equal(page.view, 'reconstruct');
  return page;
}

for (const view of ['start', 'edit']) {
  test(`leaving for the view “${view}” cancels the run and drops the photo`, async () => {
    const page = await reconstructing();
    page.views.show(view);
    assert.deepEqual(server.cancels, ['/editor/s/abc/cancel']);
  });
}

for (const view of ['crop', 'choose', 'repair']) {
  test(`a newer photo that opens the view “${view}” is not cancelled with the old run`, async () => {
    const page = await reconstructing();
    page.views.show(view);
    await server.answer(0, { error: { kind: 'Superseded', what: 'A newer request replaced this one.', todo: '' } });
    assert.deepEqual(server.cancels, []);
    assert.equal(page.view, view);
    assert.deepEqual(page.problems, []);
  });
}

test('a run that a newer one supersedes leaves view and photo to that one', async () => {
  const page = await reconstructing();
  await server.answer(0, { error: { kind: 'Superseded', what: 'A newer request replaced this one.', todo: '' } });
  assert.equal(page.view, 'reconstruct');
  page.views.show('start'); // the answer ended the run: there is nothing to cancel
  assert.deepEqual(server.cancels, []);
  assert.deepEqual(page.problems, []);
});

test('any other problem is shown where the visitor started', async () => {
  const page = await reconstructing();
  await server.answer(0, { error: { kind: 'BadValue', what: 'There is no crop.', todo: 'Choose a photo.' } });
  assert.equal(page.view, 'start');
  assert.deepEqual(page.problems, ['BadValue']);
  assert.deepEqual(server.cancels, []);
});

test('the manual crop and the repair keep the photo', async () => {
  for (const leave of [
    (page) => page.elements.recrop.dispatchEvent(new Event('click')),
    (page) => page.events.emit('leave-for-repair'),
  ]) {
    server = new FakeServer();
    globalThis.fetch = server.fetch;
    const page = await reconstructing();
    leave(page);
    await read();
    assert.deepEqual(server.cancels, ['/editor/s/abc/cancel?keep_photo=true']);
  }
});

test('the session ends the run and opens the editor', async () => {
  const page = await reconstructing();
  await server.answer(0, { session: { ...page.store.state, ready: true } });
  assert.equal(page.view, 'edit');
  assert.equal(page.store.state.ready, true);
  assert.deepEqual(server.cancels, []);
});
