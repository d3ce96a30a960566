import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Frames } from '../../latent_editor/ui/static/frames.js';
import { deferred, settle } from './fakes.js';

let handlers;
let socket;
let posts;
let decoding;
let screen;
let busy;
let problems;

/** Frames with everything outside faked. A frame's "JPEG" is a text; `decode` makes pictures take their time. */
function createFrames({ decode = false } = {}) {
  const frames = new Frames({
    openSocket(given) {
      handlers = given;
      socket = {
        isReady: true, requests: [], acknowledged: [], ended: false,
        request(request, shown) { this.requests.push({ ...request, shown }); },
        acknowledge(number) { this.acknowledged.push(number); },
        end() { this.ended = true; },
      };
      return socket;
    },
    requestFrame(request) {
      const post = { request, ...deferred() };
      posts.push(post);
      return post.promise;
    },
    async put(jpeg) {
      if (decode) {
        const done = deferred();
        decoding.push(done);
        await done.promise;
      }
      screen.push(jpeg);
    },
    markBusy: (by) => { busy += by; },
    onProblem: (problem) => problems.push(problem),
  });
  frames.connect();
  return frames;
}

beforeEach(() => {
  [posts, decoding, screen, problems] = [[], [], [], []];
  busy = 0;
});

test('each move is asked for at once, with all strengths that the server does not know', () => {
  const frames = createFrames();
  frames.drag('d0', 0.5);
  frames.drag('d1', -1);
  frames.drag('d0', 0.7);
  assert.deepEqual(socket.requests, [
    { sequence: 1, strengths: { d0: 0.5 }, moving: true, shown: 0 },
    { sequence: 2, strengths: { d0: 0.5, d1: -1 }, moving: true, shown: 0 },
    { sequence: 3, strengths: { d0: 0.7, d1: -1 }, moving: true, shown: 0 },
  ]);
  frames.committed('d0');
  frames.refresh();
  assert.deepEqual(socket.requests.at(-1), { sequence: 4, strengths: { d1: -1 }, moving: false, shown: 0 });
  frames.forget();
  frames.refresh();
  assert.deepEqual(socket.requests.at(-1).strengths, {});
});

test('what is on the screen is acknowledged, and told with the next request', async () => {
  const frames = createFrames();
  frames.drag('d0', 1);
  await handlers.onFrame(1, 'first');
  assert.deepEqual(screen, ['first']);
  assert.deepEqual(socket.acknowledged, [1]);
  frames.drag('d0', 2);
  assert.equal(socket.requests.at(-1).shown, 1);
});

test('no old frame is shown over a newer one', async () => {
  const frames = createFrames();
  for (const strength of [1, 2, 3]) frames.drag('d0', strength);
  await handlers.onFrame(2, 'second');
  await handlers.onFrame(1, 'first');
  await handlers.onFrame(3, 'third');
  await handlers.onFrame(2, 'second again');
  assert.deepEqual(screen, ['second', 'third']);
});

test('of the frames that come while one is decoded only the newest is shown', async () => {
  const frames = createFrames({ decode: true });
  for (const strength of [1, 2, 3]) frames.drag('d0', strength);
  handlers.onFrame(1, 'first');
  handlers.onFrame(2, 'second');
  handlers.onFrame(3, 'third');
  decoding[0].resolve();
  await settle();
  decoding[1].resolve();
  await settle();
  assert.deepEqual(screen, ['first', 'third']);
  assert.deepEqual(socket.acknowledged, [1, 3]);
});

test('the picture is busy from the first request until the newest one is on the screen', async () => {
  const frames = createFrames();
  assert.equal(busy, 0);
  frames.drag('d0', 1);
  frames.drag('d0', 2);
  assert.equal(busy, 1);
  await handlers.onFrame(1, 'first');
  assert.equal(busy, 1);
  await handlers.onFrame(2, 'second');
  assert.equal(busy, 0);
});

test('a problem is told and answers its request, or all of them', () => {
  const frames = createFrames();
  frames.drag('d0', 1);
  handlers.onProblem(1, 'too far');
  assert.equal(busy, 0);
  frames.drag('d0', 2);
  frames.drag('d0', 3);
  handlers.onProblem(null, 'no session');
  assert.equal(busy, 0);
  assert.deepEqual(problems, ['too far', 'no session']);
});

test('where no socket passes, one plain request at a time brings the newest', async () => {
  const frames = createFrames();
  socket.isReady = false;
  frames.drag('d0', 1);
  frames.drag('d0', 2);
  frames.drag('d0', 3);
  assert.deepEqual(posts.map(({ request }) => request.sequence), [1]);
  posts[0].resolve('first');
  await settle();
  assert.deepEqual(posts.map(({ request }) => request), [
    { sequence: 1, strengths: { d0: 1 }, moving: true },
    { sequence: 3, strengths: { d0: 3 }, moving: true },
  ]);
  posts[1].resolve('third');
  await settle();
  assert.deepEqual(screen, ['first', 'third']);
  assert.equal(busy, 0);
  assert.equal(posts.length, 2);
});

test('when the socket breaks, what is not answered is asked for by a plain request', async () => {
  const frames = createFrames();
  frames.drag('d0', 1);
  socket.isReady = false;
  handlers.onBreak();
  assert.equal(posts.length, 1);
  posts[0].resolve('first');
  await settle();
  assert.deepEqual(screen, ['first']);
  handlers.onBreak(); // nothing is missing
  assert.equal(posts.length, 1);
});

test('once the socket is back, it is used again', async () => {
  const frames = createFrames();
  socket.isReady = false;
  frames.drag('d0', 1);
  frames.drag('d0', 2);
  socket.isReady = true;
  posts[0].resolve('first');
  await settle();
  assert.equal(posts.length, 1);
  assert.deepEqual(socket.requests.map(({ sequence }) => sequence), [2]);
});

test('a plain request that fails is told once, and does not stop the next', async () => {
  const frames = createFrames();
  socket.isReady = false;
  frames.drag('d0', 1);
  posts[0].reject('offline');
  await settle();
  assert.deepEqual(problems, ['offline']);
  assert.equal(busy, 0);
  frames.drag('d0', 2);
  assert.equal(posts.length, 2);
});

test('another session gets a socket of its own', () => {
  const frames = createFrames();
  const old = socket;
  frames.connect();
  assert.equal(old.ended, true);
  frames.refresh();
  assert.equal(old.requests.length, 0);
  assert.equal(socket.requests.length, 1);
});
