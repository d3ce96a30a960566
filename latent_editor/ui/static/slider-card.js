// @ts-check
// A slider in use: thumbnails of this face at both ends, a track with its safe range, and a menu.

import { el, icon } from './dom.js';
import { percentAlong, signed } from './numbers.js';
import { regionName } from './region.js';
import { bindSlider } from './slider-input.js';
import { createMenu } from './slider-menu.js';
import { strings } from './strings.js';

/** @import { Editor, Slider } from './types.js' */

const PICTURED = 2; // the strength shown by the pictures at the ends, if within the safe range

/**
 * @param {Editor} editor
 * @param {Slider} first
 */
export function createCard(editor, first) {
  const { key } = first;
  let slider = first;
  const parts = createParts(first);
  const { input, value, eye, more, ends } = parts;
  const menu = createMenu(editor, key, () => slider);
  const top = el('div', { class: 'top' }, parts.name, parts.where, value, eye, more);
  const element = el('li', { class: 'card', 'data-key': key }, top, ends.low, input, ends.high, menu.element);
  const motion = bindSlider(editor, key, input, (strength) => drawTrack(parts, slider, strength));

  value.addEventListener('click', () => {
    motion.moveTo(0);
    input.focus();
  });
  eye.addEventListener('click', () => editor.changes.change({ do: 'mute', key, value: !slider.muted }));
  more.addEventListener('click', () => {
    menu.element.hidden = !menu.element.hidden;
    more.setAttribute('aria-expanded', String(!menu.element.hidden));
  });
  ends.low.addEventListener('click', ({ shiftKey }) => {
    if (shiftKey) motion.moveTo(Math.max(-PICTURED, slider.low));
    else motion.moveBy(-motion.coarse);
  });
  ends.high.addEventListener('click', ({ shiftKey }) => {
    if (shiftKey) motion.moveTo(Math.min(PICTURED, slider.high));
    else motion.moveBy(motion.coarse);
  });

  return {
    element,
    commit: motion.commit,
    /** @param {Slider} now */
    update(now) {
      slider = now;
      if (!motion.isActive()) {
        input.value = String(now.strength);
        drawTrack(parts, now, now.strength);
      }
      element.classList.toggle('muted', now.muted);
      showSlider(parts, now);
      menu.update(now);
    },
    /** @param {string} source A picture of the face at both ends, side by side. */
    showPair(source) {
      for (const end of Object.values(ends)) end.style.backgroundImage = `url("${source}")`;
    },
  };
}

/** @param {Slider} slider */
function createParts({ key, limit, taken }) {
  const id = `slider-${key}`;
  const end = (/** @type {string} */ side) => el('button', { type: 'button', class: `end ${side}` });
  return {
    input: el('input', { type: 'range', id, min: taken ? 0 : -limit, max: limit, step: 0.02 }),
    name: el('label', { class: 'name', for: id }),
    where: el('span', { class: 'where', hidden: true }),
    value: el('button', { type: 'button', class: 'value', title: strings.slider.reset }),
    eye: el('button', { type: 'button', class: 'quiet icon' }),
    more: el('button', { type: 'button', class: 'quiet icon', 'aria-expanded': 'false' }, icon('more')),
    ends: { low: end('low'), high: end('high') },
  };
}

/** @typedef {ReturnType<typeof createParts>} Parts */

/**
 * @param {Parts} parts
 * @param {Slider} slider
 * @param {number} strength
 */
function drawTrack({ input, value, ends }, slider, strength) {
  const [least, most] = [Number(input.min), Number(input.max)];
  const marks = { from: Math.min(strength, 0), to: Math.max(strength, 0), low: slider.low, high: slider.high };
  for (const [name, at] of Object.entries(marks)) input.style.setProperty(`--${name}`, percentAlong(at, least, most));
  input.setAttribute('aria-valuetext', signed(strength));
  value.textContent = signed(strength);
  value.disabled = strength === 0;
  value.setAttribute('aria-label', strings.slider.valueLabel(slider.name, signed(strength)));
  // Not disabled: a button that disables itself loses the focus.
  ends.low.setAttribute('aria-disabled', String(strength <= least));
  ends.high.setAttribute('aria-disabled', String(strength >= most));
}

/**
 * @param {Parts} parts
 * @param {Slider} slider
 */
function showSlider({ name, where, eye, more, ends }, slider) {
  name.title = slider.name;
  const guess = slider.unsure && el('small', { title: strings.slider.guessHint }, ` ${strings.slider.unsure}`);
  name.replaceChildren(slider.name, ...(guess ? [guess] : []));
  where.hidden = !slider.region || slider.taken;
  where.textContent = regionName(slider.region ?? '');
  where.title = strings.region.only(where.textContent);
  eye.replaceChildren(icon(slider.muted ? 'eye-off' : 'eye'));
  eye.setAttribute('aria-pressed', String(slider.muted));
  eye.setAttribute('aria-label', strings.slider.mute(slider.name));
  eye.title = slider.muted ? strings.slider.show : strings.slider.hide;
  more.setAttribute('aria-label', strings.slider.options(slider.name));
  for (const [end, label] of /** @type {const} */ ([
    [ends.low, strings.slider.less(slider.name)],
    [ends.high, strings.slider.more(slider.name)],
  ])) {
    end.setAttribute('aria-label', label);
    end.title = strings.slider.endHint(label);
  }
}
