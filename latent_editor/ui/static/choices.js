// What forms ask with: one of several choices, and files.

import { el } from './dom.js';

export const PHOTOS = 'image/*,.latent';
let names = 0; // radio buttons of one page need names of their own

/** Choices of which one is taken: value and label each. */
export function choices(label, options, first, onChange = () => {}) {
  const name = `choice-${(names += 1)}`;
  const element = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': label });
  for (const [value, text] of options) {
    const radio = el('input', { type: 'radio', name, value, checked: value === first, onchange: () => onChange(value) });
    element.append(el('label', {}, radio, el('span', {}, text)));
  }
  return { element, value: () => element.querySelector(':checked').value };
}

/** A button that asks for files. */
export function fileButton(label, { accept, multiple = false, onFiles }) {
  const input = el('input', { type: 'file', accept, multiple, onchange: () => { onFiles([...input.files]); input.value = ''; } });
  return el('button', { type: 'button', onclick: () => input.click() }, label);
}
