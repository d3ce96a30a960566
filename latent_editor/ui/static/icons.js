// @ts-check
// Icons as strokes on a 24 by 24 grid; parts with the class "fill" are filled.

/** @type {Record<string, string>} */
export const ICONS = {
  logo: '<path d="M3 8h18M3 16h18"/><circle cx="15" cy="8" r="2.6" class="fill"/><circle cx="9" cy="16" r="2.6" class="fill"/>',
  theme: '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" class="fill"/>',
  help: '<circle cx="12" cy="12" r="9"/><path d="M9.4 9.3a2.7 2.7 0 1 1 3.9 2.6c-.9.5-1.3 1-1.3 2"/><path d="M12 17.2v.1"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  camera: '<path d="M4 8h3l1.6-2.5h6.8L17 8h3v11H4z"/><circle cx="12" cy="13" r="3.4"/>',
  dice: '<rect x="4.5" y="4.5" width="15" height="15" rx="3"/><path d="M9 9v.1M15 9v.1M9 15v.1M15 15v.1M12 12v.1" stroke-width="2.4"/>',
  portrait: '<rect x="3.5" y="3.5" width="17" height="17" rx="2.5"/><circle cx="12" cy="10.2" r="3.2"/><path d="M6 20c.6-3.4 3-5 6-5s5.4 1.6 6 5"/>',
  wipe: '<path d="M9 7l-5 5 5 5M15 7l5 5-5 5"/>',
  enter: '<path d="M19 6v6H6M10 8l-4 4 4 4"/>',
  undo: '<path d="M9 6L4.5 10.5 9 15"/><path d="M5 10.5h9a5 5 0 0 1 0 10h-3"/>',
  redo: '<path d="M15 6l4.5 4.5L15 15"/><path d="M19 10.5h-9a5 5 0 0 0 0 10h3"/>',
  save: '<path d="M12 4v11M7.5 10.5L12 15l4.5-4.5M4.5 19.5h15"/>',
  down: '<path d="M7.5 10l4.5 4.5 4.5-4.5"/>',
  check: '<path d="M5.5 12.5l4.2 4.2 8.8-9.4"/>',
  file: '<path d="M7 3.8h7l4 4v12.4H7z"/><path d="M13.6 4v4.2H18M12.5 17v-5M10.2 14.2l2.3-2.3 2.3 2.3"/>',
  eye: '<path d="M2.5 12S6 5.8 12 5.8 21.5 12 21.5 12 18 18.2 12 18.2 2.5 12 2.5 12z"/><circle cx="12" cy="12" r="2.8"/>',
  'eye-off': '<path d="M3 10c2 3 5 4.8 9 4.8S19 13 21 10M12 15v3M6.5 13.5L5 16M17.5 13.5L19 16"/>',
  more: '<path d="M5.5 12v.1M12 12v.1M18.5 12v.1" stroke-width="3"/>',
  video: '<rect x="3.5" y="5" width="17" height="14" rx="2"/><path d="M10 9.2v5.6l4.8-2.8z" class="fill"/>',
  close: '<path d="M6 6l12 12M18 6L6 18"/>',
};
