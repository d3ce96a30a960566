// Connects the parts of the page. Each part gets `app`: the elements, the session, what the server last said of it.

import { get, post } from './api.js';
import { startBar } from './history-bar.js';
import { startCrop } from './crop.js';
import { el, fillIcons, hooks, icon } from './dom.js';
import { startFilm } from './video.js';
import { startHandles } from './point-drag.js';
import { startImagine } from './text-face.js';
import { startLikeness } from './similarity.js';
import { startMaking } from './new-slider.js';
import { startModels } from './model-picker.js';
import { startPanel } from './panel.js';
import { startPosition } from './position.js';
import { startReconstruction } from './reconstruction.js';
import { startRegion } from './region.js';
import { startRepair } from './repair.js';
import { startStage } from './stage.js';
import { startStart } from './landing.js';

const SESSION_KEY = 'latent-editor-session';
const THEME_KEY = 'latent-editor-theme';
const NEWS_MS = 8000;

export async function start(element) {
  const root = element.querySelector('.le');
  if (root.dataset.started) return;
  root.dataset.started = 'yes';
  fillIcons(root);
  const app = createApp(root);
  app.on('about', () => speak(app));
  startTheme(app);
  startMenus(root);
  for (const startPart of [startStage, startHandles, startRegion, startLikeness, startPanel, startMaking, startFilm, startPosition, startBar, startModels, startStart, startImagine, startCrop, startReconstruction, startRepair]) startPart(app);
  try {
    const { problem, ...answer } = await openSession(app);
    app.adopt(answer);
    if (problem) app.problem(problem, answer.session.ready ? 'panel' : 'start');
  } catch (problem) {
    app.view('start');
    app.problem(problem, 'start');
  }
}

function createApp(root) {
  const bus = new EventTarget();
  let busy = 0;
  let queue = Promise.resolve();
  const app = {
    root,
    elements: hooks(root),
    about: null,
    state: null,
    session: null,
    on: (name, action) => bus.addEventListener(name, (event) => action(event.detail)),
    emit: (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail })),
    path: (rest = '') => `editor/s/${app.session}${rest}`,
    picture: (rest) => `${app.path(`/${rest}`)}?r=${app.state.revision}`,
    view(name) {
      root.dataset.view = name;
      const { back, new: fresh } = app.elements;
      back.hidden = name === 'edit' || !app.state?.ready;
      fresh.hidden = name !== 'edit';
      app.elements.likeness.hidden = name !== 'edit' || !app.state?.likeness;
      app.emit('view', name);
    },
    /** Shows a session with what belongs to it: its model. */
    adopt({ about, session }) {
      app.about = about;
      app.emit('about');
      app.set(session);
      app.view(session.ready ? 'edit' : 'start');
    },
    /** What fits the model: words for faces, or for anything else. */
    word: (ofFaces, ofOthers) => (app.about?.model.faces === false ? ofOthers : ofFaces),
    set(state) {
      const before = app.state;
      app.state = state;
      app.emit('state', before);
    },
    problem: (problem, slot) => showProblem(app, problem, slot),
    /** Good news, in the panel, for a while. */
    say: (text) => showNews(app, text),
    clear: (slot) => root.querySelector(`[data-slot="${slot}"]`).replaceChildren(),
    /** Carries out a change of the panel, after those that were asked for before. */
    change(change) {
      if (change.do !== 'move') app.emit('flush');
      queue = queue.then(() => carryOut(app, change));
      return queue;
    },
    /** Once every slider's last move is known to the server. */
    settled() {
      app.emit('flush');
      return queue;
    },
    /** Work on the picture that is under way: the picture is marked as busy from the first to the last. */
    busy(by) {
      busy += by;
      app.elements.picture.setAttribute('aria-busy', String(busy > 0));
    },
  };
  app.elements.back.addEventListener('click', () => { app.view('edit'); app.emit('state', app.state); });
  app.elements.new.addEventListener('click', () => app.view('start'));
  return app;
}

/** Words of the page that are of faces, or of anything else. */
function speak(app) {
  for (const element of app.root.querySelectorAll('[data-other]')) {
    element.dataset.usual ??= element.textContent;
    element.textContent = app.word(element.dataset.usual, element.dataset.other);
  }
}

/** A problem is shown where the panel shows them. */
async function carryOut(app, change) {
  app.busy(1);
  try {
    app.set(await post(app.path('/change'), change));
    app.clear('panel');
  } catch (problem) {
    app.problem(problem, 'panel');
  } finally {
    app.busy(-1);
  }
}

async function openSession(app) {
  const known = sessionStorage.getItem(SESSION_KEY);
  if (known) {
    try {
      app.session = known;
      const [session, about] = await Promise.all([get(app.path()), get(app.path('/about'))]);
      return about.session ? about : { session, about }; // its model may be gone: then the server chose another
    } catch (problem) {
      if (problem.kind !== 'SessionExpired') throw problem;
    }
  }
  return newSession(app);
}

async function newSession(app) {
  const [{ id, ...session }, about] = await Promise.all([post('editor/sessions'), get('editor/about')]);
  app.session = id;
  sessionStorage.setItem(SESSION_KEY, id);
  return { session, about };
}

/** One sentence of what happened, one of what to do, in its place; the last good picture stays. */
async function showProblem(app, problem, slot) {
  if (!problem.what) console.error(problem);
  const what = problem.what ?? 'Something went wrong on this page.';
  const todo = problem.todo ?? 'Try again, or reload the page.';
  const place = app.root.querySelector(`[data-slot="${slot}"]`);
  const close = el('button', { type: 'button', class: 'quiet icon', 'aria-label': 'Close this message', onclick: () => place.replaceChildren() }, icon('close'));
  place.replaceChildren(el('div', { class: 'problem', role: 'alert' }, el('p', {}, el('b', {}, what), ` ${todo}`), close));
  if (problem.kind === 'SessionExpired') {
    app.adopt(await newSession(app));
    if (slot !== 'start') app.problem(problem, 'start');
  }
}

function showNews(app, text) {
  const news = el('p', { class: 'news', role: 'status' }, text);
  app.root.querySelector('[data-slot="panel"]').replaceChildren(news);
  setTimeout(() => news.remove(), NEWS_MS);
}

function startTheme(app) {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    const choice = localStorage.getItem(THEME_KEY) ?? (dark.matches ? 'dark' : 'light');
    app.root.dataset.theme = choice;
    document.body.classList.toggle('dark', choice === 'dark');
  };
  app.elements.theme.addEventListener('click', () => {
    localStorage.setItem(THEME_KEY, app.root.dataset.theme === 'dark' ? 'light' : 'dark');
    apply();
  });
  dark.addEventListener('change', apply);
  apply();
}

/** Menus close with Escape, by a click elsewhere, or when the focus leaves them. */
function startMenus(root) {
  for (const menu of root.querySelectorAll('details.menu')) {
    menu.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !menu.open) return;
      menu.open = false;
      menu.querySelector('summary').focus();
    });
    document.addEventListener('pointerdown', (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener('focusout', (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
  }
}
