// @ts-check
// Light or dark theme: the system's, until the visitor chooses.

/** @import { Editor } from './types.js' */

const THEME_KEY = 'latent-editor-theme';

/** @param {Editor} editor */
export function startTheme({ root, elements }) {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    const choice = localStorage.getItem(THEME_KEY) ?? (dark.matches ? 'dark' : 'light');
    root.dataset.theme = choice;
    document.body.classList.toggle('dark', choice === 'dark');
  };
  elements.theme.addEventListener('click', () => {
    localStorage.setItem(THEME_KEY, root.dataset.theme === 'dark' ? 'light' : 'dark');
    apply();
  });
  dark.addEventListener('change', apply);
  apply();
}
