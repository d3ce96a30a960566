import assert from 'node:assert/strict';
import { test } from 'node:test';

import { squareWithin } from '../../latent_editor/ui/static/crop-square.js';
import { arrowStep, fractionOf, moved, placeIn } from '../../latent_editor/ui/static/geometry.js';

test('a pointer is a fraction of the area that it is over', () => {
  const area = { left: 100, top: 50, width: 200, height: 400 };
  assert.deepEqual(fractionOf({ clientX: 150, clientY: 150 }, area), [0.25, 0.25]);
  assert.deepEqual(fractionOf({ clientX: 400, clientY: 50 }, area), [1.5, 0]);
  const element = { getBoundingClientRect: () => area };
  assert.deepEqual(placeIn({ clientX: 400, clientY: 0 }, element), [1, 0]);
});

test('arrow keys step, with Shift further; other keys do not', () => {
  const press = (key, shiftKey = false) => arrowStep({ key, shiftKey }, [0.01, 0.1]);
  assert.deepEqual(press('ArrowRight'), [0.01, 0]);
  assert.deepEqual(press('ArrowUp', true), [0, -0.1]);
  assert.equal(press('Enter'), null);
});

test('a place that is moved stays inside of the picture', () => {
  assert.deepEqual(moved([0.5, 0.25], [0.25, 0.25]), [0.75, 0.5]);
  assert.deepEqual(moved([0.99, 0.01], [0.1, -0.1]), [1, 0]);
});

test('the crop square stays inside of the photo, whatever its size', () => {
  const photo = { width: 400, height: 200 };
  const { side, half, center } = squareWithin(photo, 50, [0, 0.5]);
  assert.equal(side, 100);
  assert.deepEqual(half, [0.125, 0.25]);
  assert.deepEqual(center, [0.125, 0.5]);
  assert.deepEqual(squareWithin(photo, 100, [0.9, 0.9]).center, [0.75, 0.5]);
});
