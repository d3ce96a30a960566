// More ways to a slider: another face mixed in or a part of it, and sliders from descriptions or two piles of photos.

import { Problem, post, upload } from './api.js';
import { PHOTOS, choices, fileButton } from './choices.js';
import { el, icon } from './dom.js';
import { createOtherFace } from './face-picker.js';
import { work } from './job.js';

const LEAST = 3; // examples on a side
const PARTS = [['mouth', 'Mouth'], ['eyes', 'Eyes'], ['nose', 'Nose'], ['hair', 'Hair'], ['face', 'Face']];
const LAYERS = [['all', 'Everything'], ['coarse', 'Pose, shape'], ['middle', 'Features'], ['fine', 'Colours']];

export function startMaking(app) {
  const { ways, making } = app.elements;
  const forms = [['Mix a face', createMixing(app, close)], ['Take a part', createTaking(app, close)], ['From examples', createFitting(app, close)]];
  const buttons = forms.map(([label, form]) => {
    const button = el('button', { type: 'button', class: 'quiet', 'aria-expanded': 'false', onclick: () => (making.contains(form.element) ? close() : open(form, button)) }, label);
    return button;
  });
  ways.prepend(...buttons);

  function open(form, button) {
    close();
    button.setAttribute('aria-expanded', 'true');
    making.replaceChildren(form.element);
    form.open();
    making.scrollIntoView({ block: 'nearest' });
  }
  function close() {
    for (const button of buttons) button.setAttribute('aria-expanded', 'false');
    making.replaceChildren();
  }
  making.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !making.hasChildNodes()) return;
    const at = buttons.find((button) => button.getAttribute('aria-expanded') === 'true');
    close();
    at.focus();
  });
  app.on('about', close);
}

function createMixing(app, close) {
  const layers = choices('What to take', LAYERS, 'all');
  return createOtherFace(app, {
    label: 'Mix a face',
    about: 'Another face comes in as a slider: half of it at first, all of it at 1.',
    or: 'or one of these',
    choice: layers.element,
    one: () => app.word('Face', 'Picture'),
    send: (wish) => post(app.path('/mix'), wish),
    wish: () => ({ layers: layers.value() }),
    onDone() { close(); focusFirst(app); },
  });
}

function createTaking(app, close) {
  const part = choices('What to take', PARTS, 'mouth');
  return createOtherFace(app, {
    label: 'Take from another photo',
    about: 'Taken from another face and drawn into this one. The slider says how much.',
    or: 'or from one of these',
    choice: part.element,
    one: () => 'Face',
    send: async (wish, place) => (await work(app, place, `Taking the ${wish.part}`, 'take', [app.session, wish]))?.session,
    wish: () => ({ part: part.value() }),
    onDone() { close(); app.elements.cards.querySelector('input[type=range]')?.focus({ preventScroll: true }); },
  });
}

function createFitting(app, close) {
  const more = el('input', { type: 'text', maxlength: 200, placeholder: 'a person with freckles', 'aria-label': 'What has it' });
  const less = el('input', { type: 'text', maxlength: 200, placeholder: 'the opposite (may stay empty)', 'aria-label': 'What lacks it' });
  const piles = [createPile(app, 'These have it', update), createPile(app, 'These do not', update)];
  const name = el('input', { type: 'text', maxlength: 60, placeholder: 'Name of the slider', 'aria-label': 'Name of the slider' });
  const words = el('div', { class: 'ends' }, more, less);
  const photos = el('div', { class: 'ends', hidden: true }, ...piles.map((pile) => pile.element), name);
  const kind = choices('From what', [['words', 'Two descriptions'], ['photos', 'Two piles of photos']], 'words', update);
  const make = el('button', { type: 'submit', class: 'main' }, 'Make the slider');
  const place = el('div', { class: 'place' });
  const element = el('form', { class: 'maker', 'aria-label': 'A slider from examples' }, kind.element, words, photos, make, place);
  more.addEventListener('input', update);

  function update() {
    const byPhotos = kind.value() === 'photos';
    words.hidden = byPhotos;
    photos.hidden = !byPhotos;
    make.disabled = byPhotos ? piles.some((pile) => pile.keys().length < LEAST) : !more.value.trim();
    make.title = byPhotos && make.disabled ? `At least ${LEAST} photos in each pile` : '';
  }
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (make.disabled) return;
    const byPhotos = kind.value() === 'photos';
    const wish = byPhotos ? { more: piles[0].keys(), less: piles[1].keys(), name: name.value } : { more: more.value, less: less.value };
    make.hidden = true;
    app.clear('panel');
    try {
      const answer = await work(app, place, 'Looking at many faces', 'fit', [app.session, wish]);
      if (answer?.session) {
        app.set(answer.session);
        close();
        focusFirst(app);
      }
    } catch (problem) {
      app.problem(problem, 'panel');
    }
    make.hidden = false;
    if (make.isConnected) make.focus({ preventScroll: true });
  });
  update();
  return {
    element,
    open() {
      const speechless = Boolean(app.about.text_problem);
      kind.element.hidden = speechless;
      if (speechless) kind.element.querySelector('[value=photos]').checked = true;
      update();
      (speechless ? element.querySelector('.pile button') : more).focus({ preventScroll: true });
    },
  };
}

/** A pile of examples: small pictures of the faces that were found, each to be taken out again. */
function createPile(app, label, onChange) {
  const shown = el('div', { class: 'thumbs' });
  const count = el('span', { class: 'small' }, `${LEAST} at least`);
  const add = fileButton('Add photos', { accept: PHOTOS, multiple: true, onFiles: take });
  const element = el('div', { class: 'pile', role: 'group', 'aria-label': label }, el('div', { class: 'row' }, el('b', {}, label), count, add), shown);
  element.addEventListener('dragover', (event) => event.preventDefault());
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer.files]);
  });
  const keys = () => [...shown.children].map((thumb) => thumb.dataset.key);
  const update = () => {
    const much = keys().length;
    count.textContent = much >= LEAST ? `${much} photos` : `${much} of at least ${LEAST}`;
    onChange();
  };

  async function take(files) {
    const missed = [];
    element.classList.add('waiting');
    for (const [i, file] of files.entries()) {
      count.textContent = `reading ${i + 1} of ${files.length} …`;
      try {
        const { key, image } = await upload(app.path('/example'), file);
        const thumb = el('button', { type: 'button', 'data-key': key, 'aria-label': `Remove ${file.name}`, title: `${file.name}: click to remove`, onclick: () => { thumb.remove(); update(); } }, el('img', { src: image, alt: '', width: 44, height: 44 }), icon('close'));
        shown.append(thumb);
      } catch (problem) {
        missed.push([file.name, problem]);
      }
    }
    element.classList.remove('waiting');
    update();
    if (missed.length === 1) app.problem(missed[0][1], 'panel');
    else if (missed.length) app.problem(new Problem({ what: `${missed.length} of ${files.length} photos could not be used: ${missed[0][1].what}`, todo: 'The others were taken.' }), 'panel');
  }
  return { element, keys };
}

function focusFirst(app) {
  app.root.querySelector('.panel').scrollTop = 0;
  app.elements.cards.querySelector('input[type=range]')?.focus({ preventScroll: true });
}
