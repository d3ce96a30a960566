// @ts-check
// The start page: a photo from a file, the clipboard or a drop; an example; a random face.

import { post } from './api.js';
import { startCamera } from './camera.js';
import { createFileInput } from './choices.js';
import { el } from './dom.js';
import { openFile, showBusy } from './open-file.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startLanding(editor) {
  const { choose, file, random, class: classes, 'open-file': importButton } = editor.elements;
  const saved = createFileInput({ accept: '.recipe,.sliders,.npy', onFiles: ([one]) => { openFile(editor, one); } });
  importButton.addEventListener('click', () => saved.click());
  choose.addEventListener('click', () => file.click());
  file.addEventListener('change', () => {
    if (file.files?.[0]) openFile(editor, file.files[0]);
    file.value = '';
  });
  random.addEventListener('click', () => newFace(editor, classes.value ? `?class_index=${classes.value}` : ''));
  editor.events.on('about', () => {
    showExamples(editor);
    showClasses(editor);
    showBusy(editor, false);
  });
  startOffer(editor);
  startDropping(editor);
  startCamera(editor, (photo) => openFile(editor, photo));
}

/**
 * Offers to reconstruct, with this model, a photo that was used with another.
 * @param {Editor} editor
 */
function startOffer(editor) {
  const { elements, store, events, messages } = editor;
  const { offer, 'offer-image': image, 'offer-name': name, 'offer-take': take } = elements;
  events.on('state', () => {
    offer.hidden = !store.state.offer;
    if (offer.hidden) return;
    image.src = store.pictureUrl('offer.jpg');
    name.textContent = store.state.offer;
  });
  take.addEventListener('click', async () => {
    messages.clear('start');
    showBusy(editor, true);
    try {
      events.emit('photo', await post(store.path('/again')));
    } catch (problem) {
      messages.problem(problem, 'start');
    } finally {
      showBusy(editor, false);
    }
  });
}

/**
 * For class-conditional models: the class of the next random picture.
 * @param {Editor} editor
 */
function showClasses({ elements: { class: select }, store }) {
  const { classes, fingerprint } = store.about.model;
  select.hidden = classes.length < 2;
  if (select.dataset.model === fingerprint) return; // keeps the visitor's choice
  select.dataset.model = fingerprint;
  const options = classes.map((name, i) => {
    const label = /^\d+$/.test(name) ? strings.start.classNumber(name) : name;
    return el('option', { value: i }, label);
  });
  select.replaceChildren(el('option', { value: '' }, strings.start.anyClass), ...options);
}

/** @param {Editor} editor */
function showExamples(editor) {
  const { elements: { examples }, store } = editor;
  const shown = store.path(store.about.model.fingerprint);
  if (examples.dataset.shown === shown) return;
  examples.dataset.shown = shown;
  examples.replaceChildren(...store.about.examples.map((seed, i) => {
    const label = store.term(strings.start.example)(i + 1);
    const image = el('img', { src: store.exampleUrl(seed), alt: '', width: 80, height: 80 });
    const onclick = () => newFace(editor, `?seed=${seed}`);
    return el('button', { type: 'button', 'aria-label': label, onclick }, image);
  }));
}

/**
 * @param {Editor} editor
 * @param {string} query
 */
async function newFace({ store, messages, views }, query) {
  messages.clear('start');
  try {
    store.setState(await post(store.path(`/random${query}`)));
    views.show('edit');
  } catch (problem) {
    messages.problem(problem, 'start');
  }
}

/** @param {Editor} editor */
function startDropping(editor) {
  const { root, elements: { drop }, views } = editor;
  const over = (/** @type {boolean} */ on) => drop.classList.toggle('over', on);
  const take = (/** @type {FileList | undefined} */ files) => {
    if (files?.[0] && views.current() !== 'reconstruct') openFile(editor, files[0]);
  };
  root.addEventListener('dragover', (event) => {
    event.preventDefault();
    over(true);
  });
  root.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!root.contains(/** @type {Node | null} */ (relatedTarget))) over(false);
  });
  root.addEventListener('drop', (event) => {
    event.preventDefault();
    over(false);
    take(event.dataTransfer?.files);
  });
  document.addEventListener('paste', (event) => take(event.clipboardData?.files));
}
