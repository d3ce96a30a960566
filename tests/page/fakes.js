// What the tests of the page's modules stand on: no browser, no clock.

/** Lets promises that are already settled go on. */
export async function settle() {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

/** A promise that a test settles when it likes. */
export function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

/** A WebSocket without a network; `FakeSocket.all` holds every one that was opened. */
export class FakeSocket extends EventTarget {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    super();
    this.url = url;
    FakeSocket.all.push(this);
  }

  static get last() {
    return FakeSocket.all.at(-1);
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }

  /** Sends what the server answers. */
  receive(data) {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }

  /** The connection is gone. */
  drop() {
    this.readyState = 3;
    this.dispatchEvent(new Event('close'));
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 2; // a real one may take its time to tell
  }
}

/** A frame as the server sends it: its number, then the picture. */
export function frame(number, text) {
  const picture = new TextEncoder().encode(text);
  const data = new Uint8Array(4 + picture.length);
  new DataView(data.buffer).setUint32(0, number);
  data.set(picture, 4);
  return data.buffer;
}
