// The live reconstruction: picture, bar, seconds, likeness; stopping keeps the best so far.

import { call, post } from './api.js';

const SECONDS = 20;
const WAITING_MS = 4000;

export function startReconstruction(app) {
  const { bar, figures, stop, result, original, recrop, 'your-crop': yourCrop } = app.elements;
  let runs = 0;
  let active = 0; // the run on the screen; 0 for none. What an older one still answers is not listened to.

  app.on('reconstruct', async (crop) => {
    const mine = active = (runs += 1);
    const waiting = setTimeout(() => { if (mine === active) figures.textContent = 'waiting for a free turn …'; }, WAITING_MS);
    begin(crop);
    try {
      for await (const answer of call('reconstruct', [app.session, SECONDS, 'auto'])) {
        clearTimeout(waiting);
        if (mine !== active) return;
        if (answer.session) {
          active = 0;
          app.set(answer.session);
          app.view('edit');
        } else show(answer);
      }
    } catch (problem) {
      if (mine !== active) return;
      active = 0;
      app.view(app.state.ready ? 'edit' : 'start');
      app.problem(problem, app.state.ready ? 'panel' : 'start');
    } finally {
      clearTimeout(waiting);
    }
  });

  function begin(crop) {
    yourCrop.src = result.src = crop;
    original.removeAttribute('src');
    result.classList.add('waiting');
    bar.removeAttribute('value');
    figures.textContent = 'a first look …';
    stop.hidden = true;
    stop.disabled = false;
    app.emit('wipe', 100);
    app.view('reconstruct');
  }

  function show({ fraction, seconds, likeness, image }) {
    if (image) {
      result.src = image;
      result.classList.remove('waiting');
      if (stop.hidden) {
        stop.hidden = false;
        stop.focus({ preventScroll: true });
      }
    }
    bar.value = fraction;
    const like = likeness ? ` · likeness ${likeness.word} (${likeness.psnr_db.toFixed(1)} dB)` : '';
    figures.textContent = `${seconds.toFixed(0)} s${like}`;
  }

  stop.addEventListener('click', () => {
    stop.disabled = true;
    post(app.path('/stop')).catch((problem) => app.problem(problem, 'panel'));
  });

  /** Ends a run whose outcome is not wanted any more: the visitor went elsewhere, or to another model. */
  async function leave(query) {
    active = 0;
    await post(app.path(`/cancel${query}`)).catch(() => null);
  }
  recrop.addEventListener('click', async () => {
    await leave('?keep_photo=true');
    app.emit('crop-by-hand');
  });
  app.on('leave-for-repair', async () => {
    await leave('?keep_photo=true');
    app.emit('repair');
  });
  app.on('view', (name) => {
    if (name !== 'reconstruct') result.classList.remove('waiting');
    if (name !== 'reconstruct' && active) leave('');
  });
}
