// @ts-check
// A visitor's session: restored after a reload, or new.

import { get, post } from './api.js';

/** @import { About, Editor, SessionState } from './types.js' */
/** @import { Store } from './store.js' */
/** @typedef {{session: SessionState, about: About, problem?: any}} Opened */

const SESSION_KEY = 'latent-editor-session';

/**
 * @param {Store} store
 * @returns {Promise<Opened>}
 */
export async function openSession(store) {
  const known = sessionStorage.getItem(SESSION_KEY);
  if (!known) return newSession(store);
  try {
    store.session = known;
    const [session, about] = await Promise.all([get(store.path()), get(store.path('/about'))]);
    return about.session ? about : { session, about }; // the server chose another model if this one is gone
  } catch (problem) {
    if (problem.kind !== 'SessionExpired') throw problem;
    return newSession(store);
  }
}

/**
 * @param {Store} store
 * @returns {Promise<Opened>}
 */
export async function newSession(store) {
  const [{ id, ...session }, about] = await Promise.all([post('editor/sessions'), get('editor/about')]);
  store.session = id;
  sessionStorage.setItem(SESSION_KEY, id);
  return { session, about };
}

/**
 * Shows a session and its model.
 * @param {Pick<Editor, 'store' | 'views'>} editor
 * @param {Opened} opened
 */
export function adopt({ store, views }, { about, session }) {
  store.setAbout(about);
  store.setState(session);
  views.show(session.ready ? 'edit' : 'start');
}
