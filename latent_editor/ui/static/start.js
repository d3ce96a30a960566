// The empty state: a photo from a file, the camera, the clipboard or a drop; an example; a random face; a saved latent.

import { Problem, post, upload } from './api.js';
import { el } from './dom.js';

const MAX_MB = 32;

export function startStart(app) {
  const { choose, file, surprise, drop } = app.elements;
  app.take = (taken) => take(app, taken);
  choose.addEventListener('click', () => file.click());
  file.addEventListener('change', () => {
    if (file.files[0]) take(app, file.files[0]);
    file.value = '';
  });
  surprise.addEventListener('click', () => newFace(app, ''));
  app.on('about', () => showExamples(app));
  startDropping(app, drop);
  startCamera(app);
}

function showExamples(app) {
  app.elements.examples.replaceChildren(...app.about.examples.map((seed, i) => el(
    'button', { type: 'button', 'aria-label': `Face ${i + 1}`, onclick: () => newFace(app, `?seed=${seed}`) },
    el('img', { src: `editor/face/${seed}.jpg?m=${app.about.model.fingerprint}`, alt: '', width: 80, height: 80 }),
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

async function take(app, file) {
  const slot = app.root.dataset.view === 'edit' ? 'panel' : 'start';
  app.clear(slot);
  app.clear('choose');
  app.clear('crop');
  try {
    if (file.size > MAX_MB << 20) {
      throw new Problem({ what: `The file has ${Math.round(file.size / 2 ** 20)} MB; at most ${MAX_MB} MB are taken.`, todo: 'Save it smaller, as JPEG for example.' });
    }
    busy(app, true);
    if (/\.(latent|safetensors)$/i.test(file.name)) {
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
  app.elements.lead.textContent = on ? 'Looking for a face …' : 'Drop a photo of a face here';
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
