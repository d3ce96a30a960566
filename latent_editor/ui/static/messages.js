// @ts-check
// Messages shown in place: problems with what to do about them, and short-lived notices.

import { el, icon } from './dom.js';
import { strings } from './strings.js';

/** @import { Slot } from './types.js' */
/** @typedef {ReturnType<typeof createMessages>} Messages */

const NEWS_MS = 8000;

/**
 * @param {HTMLElement} root
 * @param {(problem: any, slot: Slot) => Promise<void>} onExpired Handles a session that the server has forgotten.
 */
export function createMessages(root, onExpired) {
  /** @param {Slot} slot */
  const placeOf = (slot) => /** @type {HTMLElement} */ (root.querySelector(`[data-slot="${slot}"]`));

  return {
    /** @param {Slot} slot */
    clear: (slot) => placeOf(slot).replaceChildren(),

    /**
     * Shows what happened and what to do about it; the last good picture stays.
     * @param {any} problem A Problem, or any other error, which is a bug of the page.
     * @param {Slot} slot
     */
    async problem(problem, slot) {
      if (!problem.what) console.error(problem);
      const { what = strings.problems.page.what, todo = strings.problems.page.todo } = problem;
      const place = placeOf(slot);
      const onclick = () => place.replaceChildren();
      const label = strings.messages.close;
      const close = el('button', { type: 'button', class: 'quiet icon', 'aria-label': label, onclick }, icon('close'));
      const text = el('p', {}, el('b', {}, what), ` ${todo}`);
      place.replaceChildren(el('div', { class: 'problem', role: 'alert' }, text, close));
      if (problem.kind === 'SessionExpired') await onExpired(problem, slot);
    },

    /**
     * Shows good news in the panel for a while.
     * @param {string} text
     */
    notify(text) {
      const news = el('p', { class: 'news', role: 'status' }, text);
      placeOf('panel').replaceChildren(news);
      setTimeout(() => news.remove(), NEWS_MS);
    },
  };
}
