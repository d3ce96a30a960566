// @ts-check
// Low-priority requests: they wait until nothing moves, and yield to everything else.

import { get } from './api.js';

const REST_MS = 350;
const LEARNING_MS = 5000;
const MAX_TRIES = 12;

/**
 * A request that waits for a pause and is aborted by the next one. Its errors are only logged.
 * @param {(signal: AbortSignal) => Promise<void>} action
 */
export function createIdleRequest(action) {
  let timer = 0;
  /** @type {AbortController | null} */
  let running = null;
  const stop = () => {
    clearTimeout(timer);
    running?.abort();
    running = null;
  };
  const run = () => {
    const mine = new AbortController();
    running = mine;
    action(mine.signal).catch((problem) => {
      if (!mine.signal.aborted) console.info(problem.what ?? problem);
    });
  };
  return {
    stop,
    soon() {
      stop();
      timer = setTimeout(run, REST_MS);
    },
  };
}

/**
 * Polls until the server has gathered its statistics of the model. Null if aborted.
 * @param {string} address
 * @param {AbortSignal} signal
 */
export async function getWhenLearned(address, signal) {
  for (let tries = 0; tries < MAX_TRIES && !signal.aborted; tries += 1) {
    const answer = await get(address, signal);
    if (!answer.learning) return signal.aborted ? null : answer;
    await new Promise((later) => { setTimeout(later, LEARNING_MS); });
  }
  return null;
}
