// @ts-check
// What a slider changes, as a bar chart, and where it comes from.

import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Slider } from './types.js' */

const MAX_BARS = 5;
const NOTICEABLE = 0.1; // standard deviations between faces

/**
 * Its own effect first, then the largest side effects, in standard deviations between faces.
 * @param {string} name
 * @param {Record<string, number>} leakage
 */
export function createEffectsChart(name, { own, identity, ...others }) {
  const words = strings.effects;
  const most = largest(others);
  /** @type {[name: string, value: number][]} */
  const ownRow = own ? [[name, own]] : [];
  const longest = Math.max(1, ...[...ownRow, ...most].map(([, value]) => value));
  const head = el('p', { class: 'small', title: words.hint }, own ? words.headWithOwn : words.head);
  const notes = [
    ...(most.length ? [] : [words.nothingElse]),
    ...(identity === undefined ? [] : [words.identity[identityGrade(identity)]]),
  ];
  return [
    head,
    ...ownRow.flatMap(([what, value]) => createBar(what, value, longest, 'own')),
    ...most.flatMap(([what, value]) => createBar(what, value, longest, '')),
    ...notes.map((note) => el('p', { class: 'small' }, note)),
  ];
}

/** @param {Record<string, number>} effects */
export function largest(effects) {
  return Object.entries(effects)
    .filter(([, value]) => value >= NOTICEABLE)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MAX_BARS);
}

/**
 * @param {number} change
 * @returns {0 | 1 | 2}
 */
function identityGrade(change) {
  if (change < 0.2) return 0;
  return change < 0.45 ? 1 : 2;
}

/**
 * @param {string} what
 * @param {number} value
 * @param {number} longest
 * @param {string} kind
 */
function createBar(what, value, longest, kind) {
  const style = `--part: ${Math.round((value / longest) * 100)}%`;
  return [
    el('span', { class: kind }, what),
    el('i', { class: kind, style, 'aria-hidden': 'true' }),
    el('span', { class: 'figure' }, value.toFixed(1)),
  ];
}

/**
 * A slider's origin and how certain its name is, in whole sentences.
 * @param {Pick<Slider, 'source' | 'detail' | 'score' | 'unsure'>} slider
 */
export function provenance({ source, detail, score, unsure }) {
  /** @type {Record<string, string>} */
  const sources = strings.sources;
  const origin = [sources[source], detail].filter(Boolean).join(': ');
  const named = score === null ? '' : strings.effects.nameScore(score, unsure);
  return [origin, named].filter(Boolean).map((part) => part.replace(/[^.]$/, '$&.')).join(' ');
}
