import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createPairLoader } from '../../latent_editor/ui/static/pair-loader.js';
import { deferred, settle } from './fakes.js';

function create() {
  const loads = [];
  const shown = [];
  let face = 1;
  const pairs = createPairLoader((key) => `${key}?r=${face}`, (source) => {
    const load = { source, ...deferred() };
    loads.push(load);
    return load.promise;
  });
  const want = (key, place = key) => pairs.want(key, (source) => shown.push([place, source]));
  const changeFace = () => {
    face += 1;
    pairs.forget();
  };
  return { loads, shown, want, changeFace };
}

test('pairs load one after another, in the order in which they are wanted', async () => {
  const { loads, shown, want } = create();
  for (const key of ['a', 'b']) want(key);
  assert.deepEqual(loads.map(({ source }) => source), ['a?r=1']);
  loads[0].resolve(true);
  await settle();
  loads[1].resolve(true);
  await settle();
  assert.deepEqual(shown, [['a', 'a?r=1'], ['b', 'b?r=1']]);
});

test('one that is loaded is shown at once; one that loads is shown where it was wanted last', async () => {
  const { loads, shown, want } = create();
  want('a', 'tile');
  want('a', 'card');
  loads[0].resolve(true);
  await settle();
  want('a', 'tile');
  assert.equal(loads.length, 1);
  assert.deepEqual(shown, [['card', 'a?r=1'], ['tile', 'a?r=1']]);
});

test('what comes for the face before is not shown', async () => {
  const { loads, shown, want, changeFace } = create();
  want('a');
  changeFace();
  want('a');
  loads[0].resolve(true);
  await settle();
  assert.deepEqual(shown, []);
  loads[1].resolve(true);
  await settle();
  assert.deepEqual(shown, [['a', 'a?r=2']]);
});

test('one that fails does not hold up the others, and can be wanted again', async () => {
  const { loads, shown, want } = create();
  for (const key of ['a', 'b']) want(key);
  loads[0].resolve(false);
  await settle();
  loads[1].resolve(true);
  await settle();
  want('a');
  loads[2].resolve(true);
  await settle();
  assert.deepEqual(shown.map(([place]) => place), ['b', 'a']);
});
