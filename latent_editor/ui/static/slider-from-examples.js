// @ts-check
// The form that makes a slider from two descriptions or two sets of photos.

import { createChoices } from './choices.js';
import { el, focusQuietly } from './dom.js';
import { MIN_EXAMPLES, createExampleSet } from './example-set.js';
import { runJob } from './job.js';
import { focusFirstSlider } from './panel-focus.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/**
 * @param {string} placeholder
 * @param {string} label
 * @param {number} maxlength
 */
const createField = (placeholder, label, maxlength) => (
  el('input', { type: 'text', maxlength, placeholder, 'aria-label': label }));

/**
 * @param {Editor} editor
 * @param {() => void} close
 */
export function createSliderFromExamples(editor, close) {
  const words = strings.fromExamples;
  const more = createField(words.morePlaceholder, words.more, 200);
  const less = createField(words.lessPlaceholder, words.less, 200);
  const name = createField(words.name, words.name, 60);
  const positive = createExampleSet(editor, words.positive, update);
  const negative = createExampleSet(editor, words.negative, update);
  const texts = el('div', { class: 'ends' }, more, less);
  const photos = el('div', { class: 'ends', hidden: true }, positive.element, negative.element, name);
  const source = createChoices(words.source, words.sources, 'words', update);
  const make = el('button', { type: 'submit', class: 'main' }, words.make);
  const place = el('div', { class: 'place' });
  const element = el(
    'form', { class: 'new-slider-form', 'aria-label': words.form }, source.element, texts, photos, make, place,
  );
  const usesPhotos = () => source.value() === 'photos';

  function update() {
    const byPhotos = usesPhotos();
    const tooFew = [positive, negative].some(({ keys }) => keys().length < MIN_EXAMPLES);
    texts.hidden = byPhotos;
    photos.hidden = !byPhotos;
    make.disabled = byPhotos ? tooFew : !more.value.trim();
    make.title = byPhotos && tooFew ? words.tooFew(MIN_EXAMPLES) : '';
  }
  const request = () => (usesPhotos()
    ? { more: positive.keys(), less: negative.keys(), name: name.value }
    : { more: more.value, less: less.value });

  more.addEventListener('input', update);
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (make.disabled) return;
    make.hidden = true;
    if (await fit(editor, place, request())) {
      close();
      focusFirstSlider(editor, { toTop: true });
    }
    make.hidden = false;
    if (make.isConnected) focusQuietly(make);
  });
  update();
  return {
    element,
    open() {
      const isSpeechless = Boolean(editor.store.about.text_problem);
      source.element.hidden = isSpeechless;
      if (isSpeechless) source.set('photos');
      update();
      focusQuietly(isSpeechless ? positive.element.querySelector('button') : more);
    },
  };
}

/**
 * Fits a direction to examples. True if it became a slider.
 * @param {Editor} editor
 * @param {HTMLElement} place
 * @param {object} request
 */
async function fit({ store, messages }, place, request) {
  messages.clear('panel');
  try {
    const job = { label: strings.jobs.fitting, event: 'fit', data: [store.session, request] };
    const answer = await runJob(store, place, job);
    if (!answer?.session) return false;
    store.setState(answer.session);
    return true;
  } catch (problem) {
    messages.problem(problem, 'panel');
    return false;
  }
}
