// @ts-check
// Fills page.html with text: data-text names an element's text, data-text-<attribute> an attribute's.

import { strings } from './strings.js';

/** @import { Term } from './types.js' */

const ATTRIBUTES = ['aria-label', 'placeholder', 'title', 'alt'];

/**
 * Sets the page's text. `term` picks the wording that fits the model.
 * @param {HTMLElement} root
 * @param {(term: Term) => string} term
 */
export function applyTerms(root, term) {
  /** @param {string | null} key */
  const text = (key) => {
    const found = lookUp(String(key));
    return typeof found === 'string' ? found : term(found);
  };
  for (const element of root.querySelectorAll('[data-text]')) {
    element.textContent = text(element.getAttribute('data-text'));
  }
  for (const name of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-text-${name}]`)) {
      element.setAttribute(name, text(element.getAttribute(`data-text-${name}`)));
    }
  }
}

/**
 * "start.camera" → strings.start.camera
 * @param {string} key
 * @returns {string | Term}
 */
export function lookUp(key) {
  /** @type {any} */
  let found = strings;
  for (const name of key.split('.')) found = found?.[name];
  return found;
}
