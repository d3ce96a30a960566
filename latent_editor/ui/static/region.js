// @ts-check
// A slider's region: the whole picture, a part of the face, or a painted area.

import { post } from './api.js';
import { el, optionsOf } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor, Slider } from './types.js' */

const PAINTED = 'painted';
const PAINT = 'paint'; // not a region: opens the brush

/**
 * The display name of a region.
 * @param {string} region
 */
export function regionName(region) {
  /** @type {Record<string, string>} */
  const names = strings.region.names;
  return names[region] ?? region;
}

/**
 * The region choice in a slider's menu.
 * @param {Editor} editor
 * @param {string} key
 */
export function createRegionChoice(editor, key) {
  const select = el('select', { 'aria-label': strings.region.label, onchange: () => choose(select.value) });
  /** @type {Slider | null} */
  let slider = null;
  const show = () => {
    if (!slider) return;
    select.replaceChildren(...optionsOf(regionOptions(slider.region, editor.store.about.model.faces)));
    select.value = slider.region ?? '';
  };

  /** @param {string} value */
  async function choose(value) {
    if (value === PAINT) {
      show(); // unchanged until something is painted
      if (slider) editor.events.emit('paint-region', slider);
      return;
    }
    await setRegion(editor, { key, part: value || null });
    show();
  }
  return {
    element: select,
    /** @param {Slider} now */
    update(now) {
      slider = now;
      show();
    },
  };
}

/**
 * @param {string | null} region
 * @param {boolean} faces
 * @returns {[value: string, label: string][]}
 */
function regionOptions(region, faces) {
  const isPainted = region === PAINTED;
  const parts = faces ? strings.region.parts : [];
  const known = [...parts, ...(isPainted ? [PAINTED] : [])];
  if (region && !known.includes(region)) known.push(region);
  return [
    ['', strings.region.whole],
    ...known.map((name) => /** @type {[string, string]} */ ([name, regionName(name)])),
    [PAINT, isPainted ? strings.region.repaint : strings.region.paint],
  ];
}

/**
 * Sets a slider's region. True if the server accepted it.
 * @param {Editor} editor
 * @param {object} request
 */
export async function setRegion({ store, changes, messages, markBusy }, request) {
  markBusy(1);
  try {
    await changes.settled();
    const state = await post(store.path('/place'), request);
    messages.clear('panel');
    store.setState(state);
    return true;
  } catch (problem) {
    messages.problem(problem, 'panel');
    return false;
  } finally {
    markBusy(-1);
  }
}
