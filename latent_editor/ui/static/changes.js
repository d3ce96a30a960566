// @ts-check
// Sends the panel's changes to the server one at a time, in order.

import { post } from './api.js';

/** @import { Change, Editor } from './types.js' */
/** @typedef {ReturnType<typeof createChanges>} Changes */

/** @param {Pick<Editor, 'store' | 'events' | 'messages' | 'markBusy'>} editor */
export function createChanges({ store, events, messages, markBusy }) {
  let queue = Promise.resolve();

  /** @param {Change} change */
  async function carryOut(change) {
    markBusy(1);
    try {
      const state = await post(store.path('/change'), change);
      messages.clear('panel');
      store.setState(state);
    } catch (problem) {
      messages.problem(problem, 'panel');
    } finally {
      markBusy(-1);
    }
  }

  return {
    /**
     * Queues a change behind those before it.
     * @param {Change} change
     */
    change(change) {
      if (change.do !== 'move') events.emit('flush');
      queue = queue.then(() => carryOut(change));
      return queue;
    },
    /** Resolves once the server knows every slider's last move. */
    settled() {
      events.emit('flush');
      return queue;
    },
  };
}
