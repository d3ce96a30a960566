// @ts-check
// The video panel.

import { fetchFile } from './api.js';
import { el, focusQuietly, icon } from './dom.js';
import { runJob } from './job.js';
import { strings } from './strings.js';
import { createPlayer } from './video-player.js';
import { createVideoSettings } from './video-settings.js';

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startVideo(editor) {
  const { elements: { 'video-open': opener }, store, events } = editor;
  const panel = new VideoPanel(editor);
  opener.addEventListener('click', () => (panel.isOpen ? panel.leaveByHand() : panel.open()));
  events.on('view', (name) => { if (name !== 'edit') panel.leave(); });
  events.on('state', (before) => {
    if (before.revision === store.state.revision) panel.update();
    else panel.leave();
  });
}

function createParts() {
  const words = strings.video;
  return {
    make: el('button', { type: 'button', class: 'main' }, words.make),
    save: el('a', { class: 'button main', hidden: true }),
    hint: el('p', { class: 'small', role: 'status' }),
    place: el('div', { class: 'place' }),
    close: el('button', { type: 'button', class: 'quiet icon', 'aria-label': words.close }, icon('close')),
  };
}

class VideoPanel {
  #editor;
  #parts = createParts();
  #settings;
  #player;
  #isRendering = false;

  /** @param {Editor} editor */
  constructor(editor) {
    this.#editor = editor;
    const { 'video-panel': panel, picture } = editor.elements;
    const { make, save, hint, place, close } = this.#parts;
    this.#settings = createVideoSettings(editor, () => this.#show());
    this.#player = createPlayer(picture, save);
    const head = el('div', { class: 'row head-row' }, el('h2', {}, strings.video.head), close);
    panel.append(head, el('div', { 'data-slot': 'video' }), place, save, make, hint, ...this.#settings.elements);
    make.addEventListener('click', () => this.#create());
    close.addEventListener('click', () => this.leaveByHand());
    panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.leaveByHand(); });
  }

  get isOpen() {
    return !this.#editor.elements['video-panel'].hidden;
  }

  /** Opens the panel and renders at once if anything moves. */
  open() {
    this.#setOpen(true);
    this.#editor.events.emit('wipe', 100);
    this.#editor.messages.clear('video');
    this.#settings.open();
    this.#show();
    focusQuietly(this.#parts.make);
    if (this.#isMoving) this.#create();
  }

  leave() {
    if (!this.isOpen) return;
    this.#parts.place.querySelector('button')?.click(); // cancels the job under way
    this.#player.drop();
    this.#setOpen(false);
  }

  leaveByHand() {
    this.leave();
    this.#editor.elements['video-open'].focus();
  }

  /** Updates after an edit or a click on the history; an outdated video gives way to the picture. */
  update() {
    if (!this.isOpen) return;
    if (!this.#player.isFresh(this.#request)) this.#player.drop();
    this.#settings.update();
    this.#show();
  }

  /** @param {boolean} on */
  #setOpen(on) {
    const { root, elements: { 'video-panel': panel, 'video-open': opener } } = this.#editor;
    panel.hidden = !on;
    root.classList.toggle('showing-video', on);
    opener.setAttribute('aria-expanded', String(on));
  }

  get #isMoving() {
    return this.#editor.store.isEdited || this.#settings.moves();
  }

  /** Identifies the video that would be rendered now. */
  get #request() {
    const { revision, history, at } = this.#editor.store.state;
    return JSON.stringify([revision, history[at]?.id, this.#settings.request()]);
  }

  #show() {
    const { make, save, hint } = this.#parts;
    const isFresh = this.#player.isFresh(this.#request);
    save.hidden = !isFresh;
    make.hidden = isFresh || this.#isRendering;
    make.disabled = !this.#isMoving;
    hint.textContent = this.#isMoving ? this.#settings.summary() : strings.video.nothing;
  }

  async #create() {
    const { make, save } = this.#parts;
    this.#isRendering = true;
    make.hidden = true;
    this.#editor.messages.clear('video');
    this.#player.drop();
    try {
      await this.#render();
    } catch (problem) {
      this.#editor.messages.problem(problem, 'video');
    }
    this.#isRendering = false;
    this.#show();
    if (this.isOpen) focusQuietly(save.hidden ? make : save);
  }

  async #render() {
    const { store, changes } = this.#editor;
    await changes.settled();
    const request = this.#request;
    const data = [store.session, this.#settings.request()];
    const job = { label: strings.jobs.rendering, event: 'film', data };
    const answer = await runJob(store, this.#parts.place, job);
    if (!answer?.film || !this.isOpen) return;
    const file = await fetchFile(store.path(`/save/film/${answer.film}`));
    if (this.isOpen) this.#player.play(file, { request, audible: this.#settings.isAudible() });
  }
}
