import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createEvents } from '../../latent_editor/ui/static/events.js';
import { fileKind } from '../../latent_editor/ui/static/file-kinds.js';
import { swapped } from '../../latent_editor/ui/static/keyframes.js';
import { percentAlong, signed, stepped } from '../../latent_editor/ui/static/numbers.js';
import { RunCounter } from '../../latent_editor/ui/static/run-counter.js';
import { largest, provenance } from '../../latent_editor/ui/static/slider-effects.js';
import { Store } from '../../latent_editor/ui/static/store.js';
import { fileSize } from '../../latent_editor/ui/static/video-player.js';
import { lengthFor } from '../../latent_editor/ui/static/video-settings.js';

test('numbers carry their sign, and nothing is zero', () => {
  assert.deepEqual([1.44, -0.6, 0.04, -0.04, 0].map(signed), ['+1.4', '−0.6', '0', '0', '0']);
});

test('a track shows values within its ends', () => {
  assert.deepEqual([-3, 0, 3, 9].map((value) => percentAlong(value, -3, 3)), ['0%', '50%', '100%', '100%']);
});

test('steps stay on the grid', () => {
  let value = 0;
  for (let i = 0; i < 30; i += 1) value = stepped(value, 0.1, 0.1);
  assert.equal(value.toFixed(10), '3.0000000000');
  assert.equal(signed(stepped(0.04, -0.5, 0.1)), '−0.5');
});

test('a file is what its name says; large tensors are a model', () => {
  const kinds = { 'a.PKL': 'model', 'b.recipe': 'recipe', 'c.npy': 'sliders', 'd.latent': 'latent' };
  for (const [name, kind] of Object.entries(kinds)) assert.equal(fileKind({ name, size: 10 }), kind);
  assert.equal(fileKind({ name: 'f.safetensors', size: 20_000 }), 'latent');
  assert.equal(fileKind({ name: 'f.safetensors', size: 20_000_000 }), 'model');
  for (const name of ['me.jpg', 'latent', 'no.suffix.png', '']) assert.equal(fileKind({ name, size: 10 }), 'photo');
});

test('a run that was left or replaced is not the active one', () => {
  const runs = new RunCounter();
  const first = runs.begin();
  assert.equal(runs.isActive(first), true);
  const second = runs.begin();
  assert.equal(runs.isActive(first), false);
  runs.end();
  assert.equal(runs.isActive(second), false);
  assert.notEqual(runs.begin(), second);
});

test('of a slider’s effects the five largest that can be noticed are shown', () => {
  const effects = { a: 0.05, b: 0.3, c: 0.9, d: 0.1, e: 0.2, f: 0.4, g: 0.5 };
  assert.deepEqual(largest(effects).map(([name]) => name), ['c', 'g', 'f', 'b', 'e']);
});

test('where a slider comes from is told in whole sentences', () => {
  const slider = { source: 'text', detail: 'red hair, fast', score: 0.81, unsure: false };
  assert.equal(provenance(slider), 'Made from your description: red hair, fast. Name match: 81%.');
  assert.equal(provenance({ source: 'mix', detail: '', score: null, unsure: false }), 'Mixed from another face.');
});

test('a track is as long as the longest length that it fills, up to twenty seconds', () => {
  assert.deepEqual([1, 4, 5.9, 14, 300].map(lengthFor), [2, 4, 4, 10, 20]);
});

test('files are told in kilobytes or megabytes', () => {
  assert.deepEqual([10, 12_345, 3_450_000].map(fileSize), ['1 kB', '13 kB', '3.5 MB']);
});

test('keyframes change places in a new list', () => {
  const keys = ['a', 'b', 'c'];
  assert.deepEqual(swapped(keys, 0, 2), ['c', 'b', 'a']);
  assert.deepEqual(keys, ['a', 'b', 'c']);
});

test('listeners hear events with their details, in the order in which they came', () => {
  const events = createEvents();
  const heard = [];
  events.on('view', (name) => heard.push(`first ${name}`));
  events.on('view', (name) => heard.push(`second ${name}`));
  events.emit('view', 'edit');
  events.emit('start');
  assert.deepEqual(heard, ['first edit', 'second edit']);
});

test('the store tells of each state, with the one before', () => {
  const events = createEvents();
  const store = new Store(events);
  const heard = [];
  events.on('state', (before) => heard.push([before.revision, store.state.revision]));
  store.setState({ ...store.state, revision: 5 });
  store.setState({ ...store.state, revision: 6 });
  assert.deepEqual(heard, [[-1, 5], [5, 6]]);
  store.session = 'abc';
  assert.equal(store.pictureUrl('crop.jpg'), 'editor/s/abc/crop.jpg?r=6');
});

test('a change that came too late is told, and is no part of the state', () => {
  const events = createEvents();
  const store = new Store(events);
  const told = [];
  events.on('superseded', (problem) => told.push(problem.what));
  store.setState({ ...store.state, problem: { what: 'Another face was opened.', todo: 'Repeat it.' } });
  store.setState(store.state);
  assert.deepEqual(told, ['Another face was opened.']);
});

test('words follow the model, and muted sliders are no edits', () => {
  const store = new Store(createEvents());
  assert.equal(store.term({ faces: 'face', other: 'picture' }), 'face');
  store.setAbout({ ...store.about, model: { ...store.about.model, faces: false } });
  assert.equal(store.term({ faces: 'face', other: 'picture' }), 'picture');
  store.setState({ ...store.state, sliders: [{ strength: 1, muted: true }, { strength: 0, muted: false }] });
  assert.equal(store.isEdited, false);
});
