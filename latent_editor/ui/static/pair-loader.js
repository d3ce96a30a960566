// @ts-check
// Loads thumbnail pairs one at a time, so that they fill in from the top and leave bandwidth to the picture.

/** @typedef {(source: string) => void} Show */

/**
 * @param {(key: string) => string} addressOf
 * @param {(source: string) => Promise<boolean>} load True if the picture loaded.
 */
export function createPairLoader(addressOf, load = loadImage) {
  /** @type {Map<string, Show>} */
  const wanted = new Map(); // in order; the first is loading
  /** @type {Map<string, string>} */
  const loaded = new Map();
  let age = 0; // counts faces: pictures of an earlier one are not shown
  let running = false;

  async function run() {
    running = true;
    while (wanted.size) {
      const [key] = wanted.keys();
      const mine = age;
      const source = addressOf(key);
      const came = await load(source);
      if (mine !== age) continue;
      const show = wanted.get(key); // may have been replaced meanwhile
      wanted.delete(key);
      if (!came) continue;
      loaded.set(key, source);
      show?.(source);
    }
    running = false;
  }
  return {
    /** Forgets the pictures of an earlier face. */
    forget() {
      age += 1;
      wanted.clear();
      loaded.clear();
    },
    /**
     * @param {string} key
     * @param {Show} show
     */
    want(key, show) {
      const source = loaded.get(key);
      if (source) show(source);
      else wanted.set(key, show);
      if (wanted.size && !running) run();
    },
  };
}

/** @param {string} source */
function loadImage(source) {
  const image = new Image();
  image.src = source;
  return image.decode().then(() => true, () => false);
}
