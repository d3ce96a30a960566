// @ts-check
// A slider's menu: its effects, layers, region and name; pin, save and remove.

import { el, focusQuietly, small } from './dom.js';
import { runJob } from './job.js';
import { createRegionChoice } from './region.js';
import { saveFile } from './save-file.js';
import { createEffectsChart, provenance } from './slider-effects.js';
import { strings } from './strings.js';
import { createMethodChoice } from './text-method.js';

/** @import { Editor, Slider } from './types.js' */

const NOT_ISOLATED = ['mix', 'drag', 'taken'];

/**
 * @param {Editor} editor
 * @param {string} key
 * @param {() => Slider} slider Returns its current state.
 */
export function createMenu(editor, key, slider) {
  const words = strings.sliderMenu;
  const effects = createEffects(editor, key);
  const method = createMethodChoice(editor, key);
  const layers = createLayers(editor, key, slider);
  const region = createRegionChoice(editor, key);
  const rename = el('input', { type: 'text', 'aria-label': words.nameLabel, maxlength: 60 });
  rename.addEventListener('change', () => editor.changes.change({ do: 'rename', key, value: rename.value }));
  const actions = createActions(editor, key, slider);
  const about = el('p', { class: 'small about' });
  const element = el(
    'div', { class: 'more', hidden: true },
    effects.element, method.element,
    small(words.layers), layers.element,
    small(words.region), region.element,
    small(words.name), rename,
    actions.element, about,
  );
  return {
    element,
    /** @param {Slider} now */
    update(now) {
      for (const part of [effects, method, layers, region, actions]) part.update(now);
      if (document.activeElement !== rename) rename.value = now.name;
      about.textContent = provenance(now);
    },
  };
}

/**
 * @param {Editor} editor
 * @param {string} key
 */
function createEffects(editor, key) {
  const { isolate: label, isolateHint: title } = strings.sliderMenu;
  const chart = el('div', { class: 'chart' });
  const place = el('div', { class: 'place' });
  const onclick = () => isolateSlider(editor, key, place, isolate);
  const isolate = el('button', { type: 'button', title, onclick }, label);
  const element = el('section', { class: 'effects' }, chart, isolate, place);
  return {
    element,
    /** @param {Slider} slider */
    update(slider) {
      element.hidden = !slider.leakage;
      isolate.hidden = NOT_ISOLATED.includes(slider.source) || Boolean(editor.store.about.text_problem);
      if (slider.leakage) chart.replaceChildren(...createEffectsChart(slider.name, slider.leakage));
    },
  };
}

/**
 * @param {Editor} editor
 * @param {string} key
 * @param {() => Slider} slider
 */
function createActions(editor, key, slider) {
  const words = strings.sliderMenu;
  const { change } = editor.changes;
  /**
   * @param {string} text
   * @param {string | null} title
   * @param {() => void} onclick
   */
  const button = (text, title, onclick) => el('button', { type: 'button', title, onclick }, text);
  const pin = button(words.pin, words.pinHint, () => { change({ do: 'pin', key, value: !slider().pinned }); });
  const save = button(words.save, words.saveHint, () => {
    saveFile(editor, `pack.sliders?key=${encodeURIComponent(key)}`);
  });
  const remove = button(words.remove, null, () => { change({ do: 'remove', key }); });
  return {
    element: el('div', { class: 'actions' }, pin, save, remove),
    /** @param {Slider} now */
    update({ pinned }) {
      pin.textContent = pinned ? words.unpin : words.pin;
      pin.setAttribute('aria-pressed', String(pinned));
    },
  };
}

/**
 * @param {Editor} editor
 * @param {string} key
 * @param {() => Slider} slider
 */
function createLayers({ changes }, key, slider) {
  const element = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': strings.sliderMenu.layers });
  const radios = Object.entries(strings.layers).map(([value, { label, hint }]) => {
    const onchange = () => changes.change({ do: 'layers', key, value });
    const radio = el('input', { type: 'radio', name: `layers-${key}`, value, onchange });
    const hidden = value === 'own' && !slider().own_layers;
    element.append(el('label', { title: hint, hidden }, radio, el('span', {}, label)));
    return radio;
  });
  return {
    element,
    /** @param {Slider} now */
    update({ layers }) {
      for (const radio of radios) radio.checked = radio.value === layers;
    },
  };
}

/**
 * @param {Editor} editor
 * @param {string} key
 * @param {HTMLElement} place
 * @param {HTMLButtonElement} button
 */
async function isolateSlider(editor, key, place, button) {
  const { store, changes, messages } = editor;
  button.disabled = true;
  messages.clear('panel');
  try {
    await changes.settled();
    const label = strings.jobs.isolating;
    const answer = await runJob(store, place, { label, event: 'clean', data: [store.session, key] });
    if (answer?.session) {
      store.setState(answer.session);
      if (!answer.session.problem) messages.notify(strings.sliderMenu.isolated);
    }
  } catch (problem) {
    messages.problem(problem, 'panel');
  }
  button.disabled = false;
  if (button.isConnected) focusQuietly(button);
}
