// @ts-check
// Form controls: a choice of one option, and file inputs.

import { el } from './dom.js';

export const PHOTO_TYPES = 'image/*,.latent';
let names = 0; // radio groups need unique names

/**
 * A choice of one option. `options` maps values to labels.
 * @param {string} label
 * @param {Record<string, string>} options
 * @param {string} first
 * @param {(value: string) => void} onChange
 */
export function createChoices(label, options, first, onChange = () => {}) {
  names += 1;
  const name = `choice-${names}`;
  const element = el('div', { class: 'layers', role: 'radiogroup', 'aria-label': label });
  const radios = Object.entries(options).map(([value, text]) => {
    const checked = value === first;
    const radio = el('input', { type: 'radio', name, value, checked, onchange: () => onChange(value) });
    element.append(el('label', {}, radio, el('span', {}, text)));
    return radio;
  });
  return {
    element,
    value: () => radios.find((radio) => radio.checked)?.value ?? first,
    /** @param {string} value */
    set(value) {
      for (const radio of radios) radio.checked = radio.value === value;
    },
  };
}

/**
 * A hidden file input, opened with click().
 * @param {{accept: string, multiple?: boolean, onFiles: (files: File[]) => void}} options
 */
export function createFileInput({ accept, multiple = false, onFiles }) {
  const input = el('input', { type: 'file', accept, multiple });
  input.addEventListener('change', () => {
    const files = [...input.files ?? []];
    if (files.length) onFiles(files);
    input.value = ''; // so that the same file can be chosen again
  });
  return input;
}

/**
 * A button that opens the file dialog.
 * @param {string} label
 * @param {{accept: string, multiple?: boolean, onFiles: (files: File[]) => void}} options
 */
export function createFileButton(label, options) {
  const input = createFileInput(options);
  return el('button', { type: 'button', onclick: () => input.click() }, label);
}
