// @ts-check
// The row of a text slider's menu that chooses how its words become a direction.

import { call } from './api.js';
import { el, small } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor, Slider } from './types.js' */

/**
 * @param {Editor} editor
 * @param {string} key
 */
export function createMethodChoice({ store, messages, markBusy }, key) {
  const choice = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': strings.textMethod.label });
  const radios = Object.entries(strings.textMethod.methods).map(([value, { label, hint }]) => {
    const radio = el('input', { type: 'radio', name: `way-${key}`, value, onchange: () => change(value) });
    choice.append(el('label', { title: hint }, radio, el('span', {}, label)));
    return radio;
  });
  const element = el('div', { class: 'text-method', hidden: true }, small(strings.textMethod.head), choice);
  let current = '';

  /** @param {string} value */
  async function change(value) {
    markBusy(1);
    choice.setAttribute('aria-busy', 'true');
    try {
      for await (const { session } of call('reread', [store.session, key, value])) store.setState(session);
    } catch (problem) {
      messages.problem(problem, 'panel');
      show();
    } finally {
      choice.removeAttribute('aria-busy');
      markBusy(-1);
    }
  }
  const show = () => { for (const radio of radios) radio.checked = radio.value === current; };

  return {
    element,
    /** @param {Slider} slider */
    update({ source, method }) {
      current = source === 'text' && method in strings.textMethod.methods ? method : '';
      element.hidden = !current;
      show();
    },
  };
}
