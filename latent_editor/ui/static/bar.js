// Below the picture: undo, redo, the history as small pictures, and files to save.

import { fetchFile } from './api.js';
import { el } from './dom.js';

export function startBar(app) {
  const { undo, redo, strip } = app.elements;
  undo.addEventListener('click', () => app.change({ do: 'undo' }));
  redo.addEventListener('click', () => app.change({ do: 'redo' }));
  document.addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || app.root.dataset.view !== 'edit') return;
    if (event.target.closest('input[type=text]')) return;
    const key = event.key.toLowerCase();
    const change = key === 'z' ? (event.shiftKey ? 'redo' : 'undo') : key === 'y' ? 'redo' : null;
    if (!change) return;
    event.preventDefault();
    app.change({ do: change });
  });

  const entries = new Map();
  let revision = null;
  app.on('state', () => {
    if (!app.state.ready) return;
    const { history, at } = app.state;
    undo.disabled = at === 0;
    redo.disabled = at === history.length - 1;
    if (revision !== app.state.revision) {
      entries.clear();
      revision = app.state.revision;
    }
    strip.replaceChildren(...history.map((moment, i) => {
      if (!entries.has(moment.id)) entries.set(moment.id, createEntry(app, moment));
      const entry = entries.get(moment.id);
      entry.classList.toggle('later', i > at);
      if (i === at) entry.setAttribute('aria-current', 'true');
      else entry.removeAttribute('aria-current');
      return entry;
    }));
    const current = strip.children[at];
    current.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  });
  startSaving(app);
}

function createEntry(app, moment) {
  const image = el('img', { src: app.picture(`moment/${moment.id}.jpg`), alt: moment.label, width: 40, height: 40, loading: 'lazy' });
  return el('button', { type: 'button', title: moment.label, onclick: () => app.change({ do: 'goto', value: moment.id }) }, image);
}

function startSaving(app) {
  const { save, saves } = app.elements;
  const whole = saves.querySelector('[data-save="photo.png"]');
  app.on('state', () => {
    const none = !app.state.photo;
    whole.toggleAttribute('aria-disabled', none);
    whole.querySelector('span').textContent = none ? 'only where a photo was used' : 'with the square put back in its place, PNG';
    const unchanged = !app.state.sliders?.some((slider) => slider.strength !== 0);
    for (const link of saves.querySelectorAll('[data-edited]')) link.toggleAttribute('aria-disabled', unchanged);
    for (const link of saves.children) link.href = app.path(`/save/${link.dataset.save}`);
  });
  saves.addEventListener('click', async (event) => {
    const link = event.target.closest('a');
    if (!link) return;
    event.preventDefault();
    if (link.hasAttribute('aria-disabled')) return;
    link.classList.add('waiting');
    try {
      await app.settled();
      const { blob, name } = await fetchFile(app.path(`/save/${link.dataset.save}`));
      const address = URL.createObjectURL(blob);
      el('a', { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      app.clear('panel');
    } catch (problem) {
      app.problem(problem, 'panel');
    } finally {
      link.classList.remove('waiting');
      save.open = false;
    }
  });
}
