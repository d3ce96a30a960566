// The live reconstruction: picture, bar, seconds, likeness; stopping keeps the best so far.

import { call, post } from './api.js';

const SECONDS = 20;

export function startReconstruction(app) {
  const { bar, figures, stop, result, original, recrop, 'your-crop': yourCrop } = app.elements;
  let run = 0;

  app.on('reconstruct', async (crop) => {
    const mine = (run += 1);
    const waiting = setTimeout(() => { if (mine === run) figures.textContent = 'waiting for a free turn …'; }, 4000);
    begin(crop);
    try {
      for await (const answer of call('reconstruct', [app.session, SECONDS, 'auto'])) {
        clearTimeout(waiting);
        if (mine !== run) return;
        if (answer.session) {
          app.set(answer.session);
          app.view('edit');
        } else show(answer);
      }
    } catch (problem) {
      if (mine !== run) return;
      app.view(app.state.ready ? 'edit' : 'start');
      app.emit('state', app.state);
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
    stop.disabled = true;
    app.emit('wipe', 100);
    app.view('reconstruct');
  }

  function show({ fraction, seconds, likeness, image }) {
    if (image) {
      result.src = image;
      result.classList.remove('waiting');
      if (stop.disabled) {
        stop.disabled = false;
        stop.focus({ preventScroll: true });
      }
    }
    bar.value = fraction;
    const like = likeness ? ` · likeness ${likeness.word} (${likeness.psnr_db.toFixed(1)} dB)` : '';
    figures.textContent = `${seconds.toFixed(0)} s${like}`;
  }

  stop.addEventListener('click', async () => {
    stop.disabled = true;
    try {
      await post(app.path('/stop'));
    } catch (problem) {
      app.problem(problem, 'panel');
    }
  });
  recrop.addEventListener('click', async () => {
    run += 1;
    await post(app.path('/stop')).catch(() => null); // its result is not waited for; the next crop replaces it
    app.emit('crop-by-hand');
  });
  app.on('view', (name) => { if (name === 'edit') result.classList.remove('waiting'); });
}
