// @ts-check
// Small helpers for building the page. Text is always set as text, never as markup.

import { ICONS } from './icons.js';

/** @import { Elements } from './types.js' */

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} name */
export function icon(name) {
  const holder = document.createElement('template');
  holder.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;
  return /** @type {SVGElement} */ (holder.content.firstChild);
}

/**
 * el('button', { class: 'quiet', onclick: f, 'aria-label': 'x' }, child, 'text', …)
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} attributes on… adds a listener; true sets an empty attribute; false and null set none.
 * @param {(Node | string | false | null | undefined)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * Like el(), for SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} attributes
 */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/**
 * A field's label, in small print.
 * @param {string} text
 */
export const small = (text) => el('span', { class: 'small' }, text);

/**
 * The options of a select.
 * @param {(readonly [value: string | number, label: string])[]} options
 */
export const optionsOf = (options) => options.map(([value, label]) => el('option', { value }, label));

/**
 * The value of a field as a number.
 * @param {{value: string}} field
 */
export const numberOf = (field) => Number(field.value);

/** @param {Event} event */
export const targetOf = (event) => /** @type {HTMLElement} */ (event.target);

/**
 * All elements with a data-hook, by its name.
 * @param {HTMLElement} root
 */
export function hooks(root) {
  /** @type {Record<string, HTMLElement>} */
  const found = {};
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-hook]'))) {
    found[String(element.dataset.hook)] = element;
  }
  return /** @type {Elements} */ (/** @type {unknown} */ (found));
}

/** @param {HTMLElement} root */
export function fillIcons(root) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-icon]'))) {
    element.replaceChildren(icon(String(element.dataset.icon)));
  }
}

/**
 * Focuses without scrolling.
 * @param {Element | null | undefined} element
 */
export function focusQuietly(element) {
  if (element instanceof HTMLElement) element.focus({ preventScroll: true });
}

/**
 * Keeps events of a tool over the picture from reaching the picture, where they would wipe or hold it.
 * @param {HTMLElement[]} elements
 * @param {string[]} kinds
 */
export function keepEvents(elements, kinds) {
  for (const element of elements) {
    for (const kind of kinds) element.addEventListener(kind, (event) => event.stopPropagation());
  }
}

/**
 * Shows a fraction, or an indeterminate bar for null.
 * @param {HTMLProgressElement} bar
 * @param {number | null} fraction
 */
export function showFraction(bar, fraction) {
  if (fraction === null) bar.removeAttribute('value');
  else bar.setAttribute('value', String(fraction));
}
