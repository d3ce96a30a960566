// The modules as a whole: imports point one way, and every module belongs to the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { importsOf, modules, read } from './source.js';

test('no module imports itself, however far around', () => {
  const done = new Set();
  function visit(name, path) {
    assert.ok(!path.includes(name), `a circle: ${[...path.slice(path.indexOf(name)), name].join(' → ')}`);
    if (done.has(name)) return;
    for (const next of importsOf(name)) visit(next, [...path, name]);
    done.add(name);
  }
  for (const name of modules) visit(name, []);
});

test('main.js reaches every module, and nothing that is not there', () => {
  const reached = new Set(['main.js']);
  for (const name of reached) for (const next of importsOf(name)) reached.add(next);
  assert.deepEqual([...reached].sort(), modules);
});

test('names are lower-case and hyphenated, and every module is checked for its types', () => {
  for (const name of modules) {
    assert.match(name, /^[a-z]+(-[a-z]+)*\.js$/);
    assert.ok(read(name).startsWith('// @ts-check\n'), name);
  }
});

test('every style sheet is linked, and every link leads to a file', () => {
  const links = [...read('head.html').matchAll(/href="editor\/ui\/([^"]+)"/g)].map((match) => match[1]);
  for (const link of links) assert.ok(read(link));
});
