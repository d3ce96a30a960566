// The words of the page: all in one file, and none missing.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { lookUp } from '../../latent_editor/ui/static/page-text.js';
import { strings } from '../../latent_editor/ui/static/strings.js';
import { modules, read } from './source.js';

const html = read('page.html');
const keys = [...html.matchAll(/data-text[a-z-]*="([^"]+)"/g)].map((match) => match[1]);

test('every word that page.html names is there', () => {
  assert.ok(keys.length > 80);
  for (const key of keys) {
    const found = lookUp(key);
    const words = typeof found === 'string' ? [found] : [found?.faces, found?.other];
    for (const word of words) assert.equal(typeof word, 'string', key);
  }
});

test('page.html holds no words of its own but the name of the program', () => {
  const bare = html.replace(/<kbd>.<\/kbd>,?/gu, '').replace(/<[^>]*>/g, '').split('\n').map((line) => line.trim());
  assert.deepEqual(bare.filter(Boolean), ['Latent Editor']);
  assert.doesNotMatch(html, /\s(aria-label|placeholder|title|alt)="[^"]/);
});

test('modules hold no sentences: those are in strings.js', () => {
  const labels = /(?:textContent|title|placeholder|alt|'aria-label')\s*[:=]\s*['"`][A-Za-z]/;
  for (const name of modules.filter((module) => module !== 'strings.js')) {
    for (const line of read(name).split('\n')) {
      if (!/^\s*(\/\/|\*|\/\*)/.test(line)) assert.doesNotMatch(line, labels, name);
    }
  }
});

test('every area of the strings is used', () => {
  const code = modules.map(read).join('\n');
  for (const area of Object.keys(strings)) {
    assert.ok(code.includes(`strings.${area}`) || keys.some((key) => key.startsWith(`${area}.`)), area);
  }
});

test('texts are filled in as a reader expects', () => {
  assert.equal(strings.panel.scaled(0.62), 'Combined edits exceed the model’s range; all are scaled to 62%.');
  assert.equal(strings.units.place(0.5, 0.52), '50% across, 52% down');
  assert.equal(strings.jobs.left(0.25, 2), '25% · 6 s left');
  const { progress } = strings.reconstruction;
  assert.equal(progress(3.2, { word: 'good', psnr_db: 24.13 }), '3 s · fidelity: good (24.1 dB)');
  assert.equal(progress(3.2, null), '3 s');
  assert.equal(strings.keyframes.summary(0, true), 'From the unedited face to the current one and back.');
});

test('every hook of page.html is known to the types, and the other way around', () => {
  const hooks = [...new Set([...html.matchAll(/data-hook="([^"]+)"/g)].map((match) => match[1]))];
  const types = read('types.d.ts').split('export interface Elements {')[1].split('}')[0];
  const known = [...types.matchAll(/^ {2}'?([a-z-]+)'?:/gm)].map((match) => match[1]);
  assert.deepEqual(known.sort(), hooks.filter((hook) => hook !== 'progress').sort());
});
