// @ts-check
// Shows frames one after another. Of those that arrive while one is decoding, only the newest is shown.

/**
 * @param {(jpeg: Blob) => Promise<void>} put Shows a picture; resolves once it is decoded.
 * @param {(number: number) => void} onShown
 */
export function createScreen(put, onShown) {
  let taken = 0; // number of the newest frame received
  let shown = 0; // number of the frame on the screen
  /** @type {[number: number, jpeg: Blob] | null} */
  let next = null;
  /** @type {Promise<void> | null} */
  let showing = null;

  async function run() {
    while (next) {
      const [number, jpeg] = next;
      next = null;
      await put(jpeg);
      shown = number;
      onShown(number);
    }
    showing = null;
  }

  return {
    shown: () => shown,
    /**
     * Resolves once this frame, or a newer one, is on the screen.
     * @param {number} number
     * @param {Blob} jpeg
     */
    async show(number, jpeg) {
      if (number > taken) {
        taken = number;
        next = [number, jpeg];
        showing ??= run();
      }
      await showing;
    },
  };
}
