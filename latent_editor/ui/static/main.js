// @ts-check
// Entry point: starts the parts of the page, then opens a session.

import { startCrop } from './crop.js';
import { startDescribe } from './describe.js';
import { fillIcons } from './dom.js';
import { createEditor } from './editor.js';
import { startHistoryBar } from './history-bar.js';
import { startLanding } from './landing.js';
import { startMenus } from './menus.js';
import { startModelPicker } from './model-picker.js';
import { startModelPreparation } from './model-preparation.js';
import { startNewSlider } from './new-slider.js';
import { applyTerms } from './page-text.js';
import { startPanel } from './panel.js';
import { startPointDrag } from './point-drag.js';
import { startPosition } from './position.js';
import { startReconstruction } from './reconstruction.js';
import { startRegionBrush } from './region-brush.js';
import { startRepair } from './repair.js';
import { startSaveMenu } from './save-menu.js';
import { adopt, openSession } from './session.js';
import { startSimilarity } from './similarity.js';
import { startStage } from './stage.js';
import { startTextFace } from './text-face.js';
import { startTheme } from './theme.js';
import { startVideo } from './video.js';

const PARTS = [
  startTheme, startMenus, startStage, startPointDrag, startRegionBrush, startSimilarity, startDescribe, startPanel,
  startNewSlider, startVideo, startPosition, startHistoryBar, startSaveMenu, startModelPicker, startModelPreparation,
  startLanding, startTextFace, startCrop, startReconstruction, startRepair,
];

/** @param {HTMLElement} element The page's gradio component. */
export async function start(element) {
  const root = /** @type {HTMLElement} */ (element.querySelector('.le'));
  if (root.dataset.started) return;
  root.dataset.started = 'yes';
  fillIcons(root);
  const editor = createEditor(root);
  const { store, views, events, messages } = editor;
  const fillText = () => applyTerms(root, (term) => store.term(term));
  fillText();
  events.on('about', fillText);
  for (const startPart of PARTS) startPart(editor);
  try {
    const opened = await openSession(store);
    adopt(editor, opened);
    if (opened.problem) messages.problem(opened.problem, opened.session.ready ? 'panel' : 'start');
  } catch (problem) {
    views.show('start');
    messages.problem(problem, 'start');
  }
}
