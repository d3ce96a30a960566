// The empty state: a photo from a file, the camera, the clipboard or a drop; an example; a random face; a saved latent.

import { Problem, post, upload } from './api.js';
import { el } from './dom.js';

const MAX_MB = 32;

export function startStart(app) {
  const { choose, file, surprise, drop } = app.elements;
  app.take = (taken) => take(app, taken);
  choose.addEventListener('click', () => file.click());
  app.elements['open-file'].addEventListener('click', () => saved.click());
  const saved = el('input', { type: 'file', accept: '.recipe,.sliders,.npy', onchange: () => {
    if (saved.files[0]) take(app, saved.files[0]);
    saved.value = '';
  } });
  file.addEventListener('change', () => {
    if (file.files[0]) take(app, file.files[0]);
    file.value = '';
  });
  surprise.addEventListener('click', () => newFace(app, app.elements.class.value ? `?class_index=${app.elements.class.value}` : ''));
  app.on('about', () => { showExamples(app); showClasses(app); busy(app, false); });
  startOffer(app);
  startDropping(app, drop);
  startCamera(app);
}

/** A photo that another model drew: it can be drawn with this one too. */
function startOffer(app) {
  const { offer, 'offer-image': image, 'offer-name': name, 'offer-take': takeButton } = app.elements;
  app.on('state', () => {
    offer.hidden = !app.state.offer;
    if (offer.hidden) return;
    image.src = app.picture('offer.jpg');
    name.textContent = app.state.offer;
  });
  takeButton.addEventListener('click', async () => {
    app.clear('start');
    busy(app, true);
    try {
      app.emit('photo', await post(app.path('/again')));
    } catch (problem) {
      app.problem(problem, 'start');
    } finally {
      busy(app, false);
    }
  });
}

/** For a model of several classes: which one the next surprise is of. */
function showClasses(app) {
  const { class: select } = app.elements;
  const { classes, fingerprint } = app.about.model;
  select.hidden = classes.length < 2;
  if (select.dataset.model === fingerprint) return; // what was chosen stays
  select.dataset.model = fingerprint;
  const options = classes.map((name, i) => el('option', { value: i }, /^\d+$/.test(name) ? `class ${name}` : name));
  select.replaceChildren(el('option', { value: '' }, 'any class'), ...options);
}

function showExamples(app) {
  const { examples } = app.elements;
  const wanted = app.path(app.about.model.fingerprint);
  if (examples.dataset.shown === wanted) return;
  examples.dataset.shown = wanted;
  examples.replaceChildren(...app.about.examples.map((seed, i) => el(
    'button', { type: 'button', 'aria-label': app.word(`Face ${i + 1}`, `Picture ${i + 1}`), onclick: () => newFace(app, `?seed=${seed}`) },
    el('img', { src: app.path(`/face/${seed}.jpg?m=${app.about.model.fingerprint}`), alt: '', width: 80, height: 80 }),
  )));
}

async function newFace(app, query) {
  app.clear('start');
  try {
    app.set(await post(app.path(`/random${query}`)));
    app.view('edit');
  } catch (problem) {
    app.problem(problem, 'start');
  }
}

/** Other suffixes say what a file is; this one is of latents (some kB) and of models (many MB). */
const isModel = ({ name, size }) => /\.(pkl|pt|pth)$/i.test(name) || (/\.safetensors$/i.test(name) && size > 2 ** 20);

async function take(app, file) {
  if (isModel(file)) {
    app.emit('model-file', file);
    return;
  }
  const slot = app.root.dataset.view === 'edit' ? 'panel' : 'start';
  app.clear(slot);
  app.clear('choose');
  app.clear('crop');
  try {
    if (file.size > MAX_MB << 20) {
      throw new Problem({ what: `The file has ${Math.round(file.size / 2 ** 20)} MB; at most ${MAX_MB} MB are taken.`, todo: 'Save it smaller, as JPEG for example.' });
    }
    busy(app, true);
    if (/\.(recipe|sliders|npy)$/i.test(file.name)) {
      await app.settled();
      app.set(await upload(app.path(/\.recipe$/i.test(file.name) ? '/recipe' : '/pack'), file));
    } else if (/\.(latent|safetensors)$/i.test(file.name)) {
      app.set(await upload(app.path('/latent'), file));
      app.view('edit');
    } else {
      app.emit('photo', await upload(app.path('/photo'), file));
    }
  } catch (problem) {
    if (problem.kind === 'SessionExpired') {
      await app.problem(problem, 'start');
    } else app.problem(problem, slot);
  } finally {
    busy(app, false);
  }
}

function busy(app, on) {
  app.root.classList.toggle('busy', on);
  app.elements.lead.textContent = on ? app.word('Looking for a face …', 'Opening the photo …') : app.word('Drop a photo of a face here', 'Drop a photo here');
}

function startDropping(app, drop) {
  const over = (on) => drop.classList.toggle('over', on);
  app.root.addEventListener('dragover', (event) => { event.preventDefault(); over(true); });
  app.root.addEventListener('dragleave', (event) => { if (!app.root.contains(event.relatedTarget)) over(false); });
  app.root.addEventListener('drop', (event) => {
    event.preventDefault();
    over(false);
    const [file] = event.dataTransfer.files;
    if (file && !busyReconstructing(app)) take(app, file);
  });
  document.addEventListener('paste', (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file && !busyReconstructing(app)) take(app, file);
  });
}

const busyReconstructing = (app) => app.root.dataset.view === 'reconstruct';

function startCamera(app) {
  const { camera, video, buttons, shutter, snap, unsnap, drop } = app.elements;
  let media = null;
  const show = (on) => {
    video.hidden = shutter.hidden = !on;
    buttons.hidden = on;
    drop.classList.toggle('filming', on);
  };
  const close = () => {
    media?.getTracks().forEach((track) => track.stop());
    media = null;
    show(false);
  };
  camera.addEventListener('click', async () => {
    app.clear('start');
    try {
      if (!navigator.mediaDevices) throw new Problem({ what: 'The camera needs a secure connection.', todo: 'Open this page by https or at 127.0.0.1.' });
      media = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user', width: { ideal: 1280 } } });
      video.srcObject = media;
      show(true);
      await video.play();
      snap.focus();
    } catch (error) {
      close();
      app.problem(error.what ? error : new Problem({ what: 'The camera could not be opened.', todo: 'Allow it in the browser, or choose a photo instead.' }), 'start');
    }
  });
  snap.addEventListener('click', () => {
    const canvas = el('canvas', { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext('2d').drawImage(video, 0, 0);
    close();
    canvas.toBlob((blob) => take(app, new File([blob], 'camera.jpg', { type: 'image/jpeg' })), 'image/jpeg', 0.95);
  });
  unsnap.addEventListener('click', close);
  app.on('view', (name) => { if (name !== 'start') close(); });
}
