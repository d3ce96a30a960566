import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Strokes } from '../../latent_editor/ui/static/strokes.js';

test('a stroke is a radius and the points of the pointer', () => {
  const strokes = new Strokes();
  assert.equal(strokes.isEmpty, true);
  strokes.begin([0.1, 0.1], 0.05);
  strokes.extend([0.2, 0.1]);
  assert.deepEqual(strokes.list, [{ radius: 0.05, points: [[0.1, 0.1], [0.2, 0.1]] }]);
  strokes.undo();
  assert.equal(strokes.isEmpty, true);
});

test('the brush of the keyboard begins in the middle and leaves dots', () => {
  const strokes = new Strokes();
  strokes.moveCursor([0.25, 0]);
  strokes.dotAtCursor(0.1);
  strokes.moveCursor([1, 0]);
  strokes.dotAtCursor(0.2);
  assert.deepEqual(strokes.list.map(({ points }) => points), [[[0.75, 0.5]], [[1, 0.5]]]);
  strokes.begin([0, 0], 0.1); // the pointer takes over
  assert.equal(strokes.cursor, null);
});

test('the list stays the same object, so that its reader sees every stroke', () => {
  const strokes = new Strokes();
  const { list } = strokes;
  strokes.begin([0, 0], 0.1);
  strokes.clear();
  strokes.dotAtCursor(0.1);
  assert.equal(list, strokes.list);
  assert.equal(list.length, 1);
});
