// The model picker: go to another model, bring one of one's own; and how far the preparation of a new one is.

import { Problem, get, post, uploadSlowly } from './api.js';
import { el, icon } from './dom.js';

const POLL_MS = 1000;

export function startModels(app) {
  const { models, 'models-summary': summary, model, credit } = app.elements;
  const picker = startPicker(app);
  startBringing(app, picker);
  startPreparing(app);
  models.addEventListener('toggle', () => { if (models.open) picker.open(); });
  app.on('about', () => {
    const { title, credit: thanks } = app.about.model;
    model.textContent = title;
    summary.setAttribute('aria-label', `Model: ${title}. Choose another`);
    credit.textContent = thanks ? `Model “${title}”. ${thanks}.` : '';
  });
}

function startPicker(app) {
  const { models, 'model-list': list, bring, reading, 'reading-text': text, 'reading-bar': bar, 'reading-stop': stop } = app.elements;
  let wish = 0; // the newest; what comes of older ones is not listened to
  let cancel = null;

  async function open() {
    try {
      show(await get(app.path('/models')));
    } catch (problem) {
      app.problem(problem, 'models');
    }
  }

  function show({ models: entries, model: current, max_upload_mb: most }) {
    bring.hidden = !most;
    bring.dataset.most = most;
    list.replaceChildren(...entries.map((entry) => createChoice(entry, entry.key === current, () => choose(entry))));
  }

  /** Something long: its text and seconds, a bar, a way out. Gives a function that changes them, and one that ends it. */
  function wait(first, onCancel) {
    const began = performance.now();
    let now = first;
    let fraction = null;
    const draw = () => {
      text.textContent = `${now} · ${fraction === null ? `${Math.round((performance.now() - began) / 1000)} s` : `${Math.round(fraction * 100)} %`}`;
      if (fraction === null) bar.removeAttribute('value');
      else bar.value = fraction;
    };
    const timer = setInterval(draw, 500);
    cancel = onCancel;
    models.classList.add('waiting');
    reading.hidden = false;
    draw();
    return {
      tell(what, part = null) { now = what; fraction = part; draw(); },
      end() { clearInterval(timer); reading.hidden = true; models.classList.remove('waiting'); },
    };
  }
  stop.addEventListener('click', () => { wish += 1; cancel?.(); reading.hidden = true; });

  /** Asks for a model until it is read, then shows it. */
  async function choose(entry, waiting = null) {
    const mine = (wish += 1);
    app.clear('models');
    if (!waiting && entry.key === app.state?.model) { models.open = false; return; }
    const progress = waiting ?? wait(`Reading ${entry.title}`, null);
    progress.tell(`Reading ${entry.title}`);
    try {
      await app.settled();
      let answer;
      do {
        answer = await post(app.path('/model'), { model: entry.key });
        if (mine !== wish) return;
      } while (answer.reading);
      app.adopt(answer);
      models.open = false;
      app.elements['models-summary'].focus({ preventScroll: true });
    } catch (problem) {
      if (mine === wish) app.problem(problem, 'models');
    } finally {
      progress.end();
    }
  }
  return { open, choose, wait, current: () => wish };
}

function createChoice(entry, current, onclick) {
  const facts = [
    entry.size_px ? `${entry.size_px} px` : null,
    { fetched: 'fetched', own: 'your file, kept for two hours' }[entry.source],
    entry.licence || null,
    entry.credit || null,
  ].filter(Boolean).join(' · ');
  const words = el('span', { class: 'words' }, el('b', {}, entry.title), facts ? el('span', { class: 'small' }, facts) : null);
  return el('button', { type: 'button', class: 'choice', 'aria-current': current && 'true', onclick }, words, current ? icon('check') : null);
}

/** A file becomes a model: sent, read, shown. */
function startBringing(app, picker) {
  const { models, bring, 'bring-button': button } = app.elements;
  const file = el('input', { type: 'file', accept: '.pkl,.pt,.pth,.safetensors,.bin,.ckpt' });
  button.addEventListener('click', () => file.click());
  file.addEventListener('change', () => {
    if (file.files[0]) take(file.files[0]);
    file.value = '';
  });
  app.on('model-file', async (dropped) => {
    models.open = true;
    await picker.open();
    take(dropped);
  });

  async function take(taken) {
    const most = Number(bring.dataset.most);
    const broken = new AbortController();
    app.clear('models');
    const progress = picker.wait(`Sending ${taken.name}`, () => broken.abort());
    try {
      if (most && taken.size > most * 2 ** 20) {
        throw new Problem({ what: `The file has ${Math.round(taken.size / 2 ** 20)} MB; at most ${most} MB are taken.`, todo: 'Make a smaller one with “latent-editor convert”.' });
      }
      const onFraction = (fraction) => progress.tell(`Sending ${taken.name}`, fraction);
      const { model } = await uploadSlowly(app.path('/models'), taken, { onFraction, signal: broken.signal });
      await picker.choose({ key: model, title: taken.name }, progress);
    } catch (problem) {
      if (problem.name !== 'AbortError') app.problem(problem, 'models');
    } finally {
      progress.end();
    }
  }
}

/** A line below the head while a model that is new here is being prepared. */
function startPreparing(app) {
  const { preparing, 'preparing-text': text, 'preparing-bar': bar, 'preparing-figures': figures, 'preparing-stop': stop } = app.elements;
  let watched = 0;

  app.on('about', () => {
    show();
    if (app.about.finding) watch();
  });
  stop.addEventListener('click', async () => {
    stop.disabled = true;
    await post(app.path('/preparation/stop')).catch((problem) => app.problem(problem, app.state?.ready ? 'panel' : 'start'));
  });

  function show() {
    const state = app.about.preparing;
    preparing.hidden = !state;
    if (!state) return;
    text.textContent = `${app.about.model.title} is new here. ${state.label || 'Waiting for its turn'} …`;
    if (state.fraction === null) bar.removeAttribute('value');
    else bar.value = state.fraction;
    const waits = state.fraction === null;
    figures.textContent = state.stopping ? 'ending …' : waits ? '' : `${Math.round(state.fraction * 100)} % · ${state.seconds} s`;
    stop.disabled = state.stopping;
  }

  async function watch() {
    const mine = (watched += 1);
    await new Promise((later) => setTimeout(later, POLL_MS));
    if (mine !== watched) return;
    const session = app.session;
    const about = await get(app.path('/about')).catch(() => null);
    if (mine !== watched || session !== app.session) return;
    if (!about || about.session || about.model.fingerprint !== app.about.model.fingerprint) return;
    const news = about.finding !== app.about.finding || about.model.faces !== app.about.model.faces;
    app.about = about;
    if (news || !about.finding) app.emit('about');
    else {
      show();
      watch();
    }
  }
}
