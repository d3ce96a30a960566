// @ts-check
// Menus close on Escape, on a click elsewhere, and when focus leaves them.

/** @import { Editor } from './types.js' */

/** @param {Editor} editor */
export function startMenus({ root }) {
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (root.querySelectorAll('details.menu'))) {
    const isOutside = (/** @type {EventTarget | null} */ target) => !menu.contains(/** @type {Node | null} */ (target));
    menu.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !menu.open) return;
      menu.open = false;
      menu.querySelector('summary')?.focus();
    });
    document.addEventListener('pointerdown', (event) => { if (isOutside(event.target)) menu.open = false; });
    menu.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget && isOutside(relatedTarget)) menu.open = false;
    });
  }
}
