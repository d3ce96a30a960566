import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import {
  FrameSocket, MAX_FAILED_TRIES, RETRY_DELAYS_MS, SILENCE_MS,
} from '../../latent_editor/ui/static/frame-socket.js';
import { FakeSocket, frame } from './fakes.js';

let told;

function open() {
  told = { frames: [], problems: [], breaks: 0 };
  return new FrameSocket(new URL('ws://page/drag'), {
    onFrame: (number, jpeg) => told.frames.push([number, jpeg]),
    onProblem: (number, problem) => told.problems.push([number, problem.what]),
    onBreak: () => { told.breaks += 1; },
  }, FakeSocket);
}

beforeEach(() => {
  FakeSocket.all.length = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
});

test('a request goes out with the number of the frame on the screen', () => {
  const socket = open();
  assert.equal(socket.isReady, false);
  FakeSocket.last.open();
  assert.equal(socket.isReady, true);
  socket.request({ sequence: 3, strengths: { d0: 1 } }, 2);
  socket.acknowledge(3);
  assert.deepEqual(FakeSocket.last.sent, [{ wish: { sequence: 3, strengths: { d0: 1 } }, shown: 2 }, { shown: 3 }]);
});

test('frames and problems come with the number of their request', async () => {
  open();
  FakeSocket.last.open();
  FakeSocket.last.receive(frame(258, 'jpeg'));
  FakeSocket.last.receive('{"sequence": 259, "error": {"what": "No face.", "todo": "Try another."}}');
  const [[number, jpeg]] = told.frames;
  assert.equal(number, 258);
  assert.equal(jpeg.type, 'image/jpeg');
  assert.equal(await jpeg.text(), 'jpeg');
  assert.deepEqual(told.problems, [[259, 'No face.']]);
});

test('a connection that breaks is opened again, after longer and longer delays', () => {
  open();
  FakeSocket.last.open();
  for (const [i, delay] of [...RETRY_DELAYS_MS, RETRY_DELAYS_MS.at(-1)].entries()) {
    FakeSocket.last.drop();
    assert.equal(told.breaks, i + 1);
    mock.timers.tick(delay - 1);
    assert.equal(FakeSocket.all.length, i + 1);
    mock.timers.tick(1);
    assert.equal(FakeSocket.all.length, i + 2);
  }
});

test('once it was open again, the delays begin anew', () => {
  open();
  FakeSocket.last.open();
  FakeSocket.last.drop();
  mock.timers.tick(RETRY_DELAYS_MS[0]);
  FakeSocket.last.open();
  FakeSocket.last.drop();
  mock.timers.tick(RETRY_DELAYS_MS[0]);
  assert.equal(FakeSocket.all.length, 3);
});

test('where no WebSocket can pass, it is not tried for ever', () => {
  const socket = open();
  for (let tries = 1; tries <= MAX_FAILED_TRIES; tries += 1) {
    FakeSocket.last.drop();
    mock.timers.tick(60_000);
  }
  assert.equal(FakeSocket.all.length, MAX_FAILED_TRIES);
  assert.equal(told.breaks, MAX_FAILED_TRIES);
  assert.equal(socket.isReady, false);
});

test('where the page may open none, it is simply never ready', () => {
  class Forbidden {
    constructor() { throw new Error('SecurityError'); }
  }
  const socket = new FrameSocket(new URL('ws://page/drag'), {}, Forbidden);
  assert.equal(socket.isReady, false);
  socket.acknowledge(1);
  socket.end();
});

test('a connection that is silent after a request is left, and what it says later is ignored', () => {
  const socket = open();
  const silent = FakeSocket.last;
  silent.open();
  socket.request({ sequence: 1 }, 0);
  mock.timers.tick(SILENCE_MS - 1);
  assert.equal(told.breaks, 0);
  mock.timers.tick(1);
  assert.equal(told.breaks, 1);
  assert.equal(socket.isReady, false);
  mock.timers.tick(RETRY_DELAYS_MS[0]);
  FakeSocket.last.open();

  silent.receive(frame(1, 'stale'));
  silent.drop();
  assert.deepEqual(told.frames, []);
  assert.equal(told.breaks, 1);
  assert.equal(socket.isReady, true);
});

test('any answer ends the silence', () => {
  const socket = open();
  FakeSocket.last.open();
  socket.request({ sequence: 1 }, 0);
  mock.timers.tick(SILENCE_MS - 1);
  FakeSocket.last.receive(frame(1, 'jpeg'));
  mock.timers.tick(SILENCE_MS);
  assert.equal(told.breaks, 0);
});

test('an ended one neither answers nor comes back', () => {
  const socket = open();
  FakeSocket.last.open();
  socket.request({ sequence: 1 }, 0);
  socket.end();
  FakeSocket.last.receive(frame(1, 'stale'));
  FakeSocket.last.drop();
  mock.timers.tick(60_000);
  assert.deepEqual(told.frames, []);
  assert.equal(told.breaks, 0);
  assert.equal(FakeSocket.all.length, 1);
});
