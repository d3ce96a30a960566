// What the "…" of a slider opens: what it changes, how to clean it, its layers and name, what can be done with it.

import { el } from './dom.js';
import { createWays } from './text-face.js';
import { createRegion } from './region.js';
import { saveFile } from './saving.js';
import { work } from './job.js';

const LAYERS = [['own', 'Usual'], ['all', 'All'], ['coarse', 'Coarse'], ['middle', 'Middle'], ['fine', 'Fine']];
const LAYER_HINTS = { own: 'the layers this direction was made for', all: 'everything', coarse: 'pose and shape', middle: 'features', fine: 'colour and texture' };
const SOURCES = {
  boundary: 'Learned from examples',
  text: 'Made from your words',
  pca: 'Found in the model (principal component)',
  sefa: 'Found in the model’s weights (SeFa)',
  stylespace: 'A channel of the model (StyleSpace)',
  imported: 'Opened from a file',
  drag: 'Made by dragging points',
  mix: 'Mixed from another face',
  taken: 'Taken from another face',
};
const MOST_BARS = 5;

export function createMenu(app, key, slider) {
  const chart = el('div', { class: 'chart' });
  const about = el('p', { class: 'small about' });
  const place = el('div', { class: 'place' });
  const clean = el('button', { type: 'button', title: 'Make it leave alone what it changes most besides its own', onclick: () => cleanSlider(app, key, place, clean) }, 'Clean this slider');
  const effects = el('section', { class: 'effects' }, chart, clean, place);
  const layers = createLayers(app, key, slider);
  const ways = createWays(app, key);
  const region = createRegion(app, key);
  const rename = el('input', { type: 'text', 'aria-label': 'Name of this slider', maxlength: 60 });
  rename.addEventListener('change', () => app.change({ do: 'rename', key, value: rename.value }));
  const pin = el('button', { type: 'button', title: 'Keep it for the next face', onclick: () => app.change({ do: 'pin', key, value: !slider().pinned }) });
  const save = el('button', { type: 'button', title: 'Save it as a file, to open again or to share', onclick: () => saveFile(app, `pack.sliders?key=${encodeURIComponent(key)}`) }, 'Save');
  const remove = el('button', { type: 'button', onclick: () => app.change({ do: 'remove', key }) }, 'Remove');
  const element = el('div', { class: 'more', hidden: true },
    effects,
    ways.element,
    el('span', { class: 'small' }, 'Layers'), layers.element,
    el('span', { class: 'small' }, 'Acts in'), region.element,
    el('span', { class: 'small' }, 'Name'), rename,
    el('div', { class: 'deeds' }, pin, save, remove),
    about);
  return {
    element,
    update(now) {
      ways.update(now);
      layers.update(now);
      region.update(now);
      if (document.activeElement !== rename) rename.value = now.name;
      pin.textContent = now.pinned ? 'Unpin' : 'Pin';
      pin.setAttribute('aria-pressed', String(now.pinned));
      effects.hidden = !now.leakage;
      clean.hidden = ['mix', 'drag', 'taken'].includes(now.source) || Boolean(app.about?.text_problem);
      if (now.leakage) chart.replaceChildren(...bars(now));
      about.textContent = provenance(now);
    },
  };
}

function createLayers(app, key, slider) {
  const element = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': 'Layers' });
  for (const [value, label] of LAYERS) {
    const radio = el('input', { type: 'radio', name: `layers-${key}`, value, onchange: () => app.change({ do: 'layers', key, value }) });
    element.append(el('label', { title: LAYER_HINTS[value], hidden: value === 'own' && !slider().own_layers }, radio, el('span', {}, label)));
  }
  return { element, update(now) { for (const radio of element.querySelectorAll('input')) radio.checked = radio.value === now.layers; } };
}

/** Its own effect first, then what else changes most; each in standard deviations between faces. */
function bars({ name, leakage }) {
  const { own, identity, ...others } = leakage;
  const most = Object.entries(others).filter(([, value]) => value >= 0.1).sort((a, b) => b[1] - a[1]).slice(0, MOST_BARS);
  const rows = [...(own ? [[name, own, true]] : []), ...most];
  const longest = Math.max(1, ...rows.map(([, value]) => value));
  const row = ([what, value, isOwn = false]) => [
    el('span', { class: isOwn ? 'own' : '' }, what),
    el('i', { class: isOwn ? 'own' : '', style: `--part: ${Math.round((value / longest) * 100)}%`, 'aria-hidden': 'true' }),
    el('span', { class: 'figure' }, value.toFixed(1)),
  ];
  const head = el('p', { class: 'small', title: 'Measured on random faces from −2 to +2, in standard deviations of faces' }, own ? 'What it changes, and what comes along' : 'What it changes');
  const nothing = most.length ? [] : [el('p', { class: 'small' }, 'Nothing else changes noticeably.')];
  const who = identity === undefined ? [] : [el('p', { class: 'small' }, `Who it is ${['stays', 'changes a little', 'changes'][identity < 0.2 ? 0 : identity < 0.45 ? 1 : 2]}.`)];
  return [head, ...rows.flatMap(row), ...nothing, ...who];
}

function provenance({ source, detail, score, unsure }) {
  const how = SOURCES[source] ?? '';
  const named = score === null ? '' : unsure ? `The name is unclear (${Math.round(score * 100)} %): it is a guess.` : `The name fits to ${Math.round(score * 100)} %.`;
  return [[how, detail].filter(Boolean).join(': '), named].filter(Boolean).map((part) => part.replace(/[^.]$/, '$&.')).join(' ');
}

async function cleanSlider(app, key, place, button) {
  button.disabled = true;
  app.clear('panel');
  try {
    await app.settled();
    const answer = await work(app, place, 'Cleaning', 'clean', [app.session, key]);
    if (answer?.session) {
      app.set(answer.session);
      app.say('Cleaned. Undo brings the slider back as it was.');
    }
  } catch (problem) {
    app.problem(problem, 'panel');
  }
  button.disabled = false;
  if (button.isConnected) button.focus({ preventScroll: true });
}
