// @ts-check
// Assembles the context that every part of the page receives.

import { postFor } from './api.js';
import { createChanges } from './changes.js';
import { hooks } from './dom.js';
import { createEvents } from './events.js';
import { FrameSocket } from './frame-socket.js';
import { Frames } from './frames.js';
import { createMessages } from './messages.js';
import { adopt, newSession } from './session.js';
import { Store } from './store.js';
import { createViews } from './views.js';

/** @import { Editor, EventDetails, Events } from './types.js' */

/**
 * @param {HTMLElement} root
 * @returns {Editor}
 */
export function createEditor(root) {
  const elements = hooks(root);
  /** @type {Events<EventDetails>} */
  const events = createEvents();
  const store = new Store(events);
  const markBusy = createBusyMark(elements.picture);
  const views = createViews({ root, elements, store, events });
  const messages = createMessages(root, async (problem, place) => {
    adopt({ store, views }, await newSession(store));
    if (place !== 'start') await messages.problem(problem, 'start');
  });
  const slot = () => (store.state.ready ? 'panel' : 'start');
  events.on('superseded', (problem) => { messages.problem(problem, slot()); });
  const frames = new Frames({
    openSocket: (handlers) => new FrameSocket(socketUrl(store.path('/drag')), handlers),
    requestFrame: async (request) => (await postFor(store.path('/frame'), request)).blob(),
    put: createPut(elements.result, () => views.current() !== 'reconstruct'),
    markBusy,
    onProblem: (problem) => messages.problem(problem, 'panel'),
  });
  followSession({ store, events, frames });
  const changes = createChanges({ store, events, messages, markBusy });
  return Object.freeze({ root, elements, events, store, views, messages, changes, frames, markBusy });
}

/** @param {Pick<Editor, 'store' | 'events' | 'frames'>} editor */
function followSession({ store, events, frames }) {
  let connected = '';
  events.on('state', (before) => {
    if (before.revision !== store.state.revision) frames.forget();
    if (connected === store.session) return;
    connected = store.session;
    frames.connect();
  });
}

/** @param {string} path */
function socketUrl(path) {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

/**
 * @param {HTMLImageElement} image
 * @param {() => boolean} isWanted False while the reconstruction shows its own pictures there.
 */
function createPut(image, isWanted) {
  let address = '';
  return async (/** @type {Blob} */ jpeg) => {
    if (!isWanted()) return;
    const old = address;
    address = URL.createObjectURL(jpeg);
    image.src = address; // the old picture stays until the new one is decoded
    await image.decode().catch(() => null);
    if (old) URL.revokeObjectURL(old);
  };
}

/** @param {HTMLElement} picture */
function createBusyMark(picture) {
  let busy = 0;
  return (/** @type {number} */ by) => {
    busy += by;
    picture.setAttribute('aria-busy', String(busy > 0));
  };
}
