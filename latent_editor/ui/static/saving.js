// Files to keep: the menu *Save*, and any file of the server that the browser shall save.

import { fetchFile } from './api.js';
import { el } from './dom.js';

export function startSaving(app) {
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
    await saveFile(app, link.dataset.save);
    link.classList.remove('waiting');
    save.open = false;
  });
}

/** Lets the browser save a file; a problem is shown in the panel. */
export async function saveFile(app, name) {
  try {
    await app.settled();
    const file = await fetchFile(app.path(`/save/${name}`));
    const address = URL.createObjectURL(file.blob);
    el('a', { href: address, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    app.clear('panel');
  } catch (problem) {
    app.problem(problem, 'panel');
  }
}
