// Below the picture: undo, redo, the history as small pictures.

import { el } from './dom.js';
import { startSaving } from './saving.js';

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
