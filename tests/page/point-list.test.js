import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_POINTS, PointList, meanDistance, percentDone } from '../../latent_editor/ui/static/point-list.js';

test('one press places a point, the next its target', () => {
  const list = new PointList();
  const point = list.press([0.5, 0.5]);
  assert.equal(list.open, point);
  assert.deepEqual(list.pairs, []);
  assert.equal(list.press([0.6, 0.5]), point);
  assert.equal(list.open, null);
  assert.deepEqual(list.pairs, [[[0.5, 0.5], [0.6, 0.5]]]);
});

test('there is room for so many points, and for the target of the last', () => {
  const list = new PointList();
  for (let i = 0; i < MAX_POINTS - 1; i += 1) list.addFromKeyboard();
  list.press([0.1, 0.1]);
  assert.equal(list.isFull, true);
  assert.ok(list.press([0.2, 0.2]));
  assert.equal(list.press([0.3, 0.3]), null);
  assert.equal(list.pairs.length, MAX_POINTS);
});

test('from the keyboard a point comes with a target above it, or an open point gets one', () => {
  const list = new PointList();
  assert.deepEqual(list.addFromKeyboard(), { from: [0.5, 0.5], to: [0.5, 0.44] });
  const open = list.press([0.2, 0.02]);
  assert.equal(list.addFromKeyboard(), open);
  assert.deepEqual(open.to, [0.2, 0]);
  assert.equal(list.points.length, 2);
});

test('either end moves alone; a target that is missing does not', () => {
  const list = new PointList();
  const point = list.press([0.5, 0.5]);
  list.move(point, 'to', [0.1, 0.1]);
  assert.equal(point.to, null);
  list.press([0.75, 0.5]);
  list.move(point, 'from', [0.25, 0]);
  list.move(point, 'to', [1, 0]);
  assert.deepEqual(point, { from: [0.75, 0.5], to: [1, 0.5] });
});

test('points are removed one by one or all at once', () => {
  const list = new PointList();
  const [first, second] = [list.addFromKeyboard(), list.addFromKeyboard()];
  list.remove(first);
  assert.deepEqual(list.points, [second]);
  list.clear();
  assert.deepEqual(list.points, []);
});

test('progress is the share of the way, and never less than nothing', () => {
  const whole = meanDistance([[[0, 0], [0.3, 0.4]], [[0, 0], [0, 0.1]]]);
  assert.ok(Math.abs(whole - 0.3) < 1e-9);
  assert.equal(percentDone(0.15, whole), 50);
  assert.equal(percentDone(0.4, whole), 0);
});
