// One connection for frames: wishes go out as JSON, JPEGs come back behind the number of the wish that they answer.

import { Problem } from './api.js';

const PAUSES_MS = [300, 1000, 3000, 10000, 30000]; // before each new try; the last again and again
const TRIES = 2; // so often in vain, and never once open: something on the way lets no WebSocket pass
const SILENCE_MS = 12000; // a wish without an answer for so long: the connection is as good as broken

/**
 * Opens a line and opens it again when it breaks.
 * `onFrame(number, jpeg)`, `onProblem(number or null, problem)`; `onBreak()` when what was asked for will not come.
 */
export function openLine(path, { onFrame, onProblem, onBreak }) {
  let socket = null;
  let everOpen = false;
  let tries = 0;
  let ended = false;
  let again = 0;
  let silence = 0;

  function connect() {
    const address = new URL(path, document.baseURI);
    address.protocol = address.protocol.replace('http', 'ws');
    try {
      socket = new WebSocket(address);
    } catch { // not allowed on this page
      return;
    }
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => { everOpen = true; tries = 0; });
    socket.addEventListener('message', ({ data }) => {
      clearTimeout(silence);
      if (typeof data === 'string') {
        const { sequence, error } = JSON.parse(data);
        onProblem(sequence, new Problem(error));
      } else onFrame(new DataView(data).getUint32(0), new Blob([new Uint8Array(data, 4)], { type: 'image/jpeg' }));
    });
    const mine = socket;
    socket.addEventListener('close', () => { if (mine === socket) broken(); });
  }

  function broken() {
    clearTimeout(silence);
    socket = null;
    if (ended) return;
    onBreak();
    tries += 1;
    if (!everOpen && tries >= TRIES) return;
    again = setTimeout(connect, PAUSES_MS[Math.min(tries, PAUSES_MS.length) - 1]);
  }

  const ready = () => socket !== null && socket.readyState === WebSocket.OPEN;
  /** A line that says nothing is left at once; closing it in good order could take a minute. */
  function leave() {
    socket?.close();
    broken();
  }
  connect();
  return {
    ready,
    ask(wish, shown) {
      clearTimeout(silence);
      silence = setTimeout(leave, SILENCE_MS);
      socket.send(JSON.stringify({ wish, shown }));
    },
    saw(shown) {
      if (ready()) socket.send(JSON.stringify({ shown }));
    },
    end() {
      ended = true;
      clearTimeout(again);
      clearTimeout(silence);
      socket?.close();
    },
  };
}
