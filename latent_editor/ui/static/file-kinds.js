// @ts-check
// Tells file kinds apart by suffix and size.

/** @typedef {'model' | 'recipe' | 'sliders' | 'latent' | 'photo'} FileKind */

const MAX_LATENT_BYTES = 2 ** 20; // a .safetensors file holds a latent (kB) or a model (MB)

/**
 * @param {{name: string, size: number}} file
 * @returns {FileKind}
 */
export function fileKind({ name, size }) {
  const suffix = /\.([^.]*)$/.exec(name.toLowerCase())?.[1] ?? '';
  if (['pkl', 'pt', 'pth'].includes(suffix)) return 'model';
  if (suffix === 'safetensors') return size > MAX_LATENT_BYTES ? 'model' : 'latent';
  if (suffix === 'latent' || suffix === 'recipe') return suffix;
  return ['sliders', 'npy'].includes(suffix) ? 'sliders' : 'photo';
}

/** @param {number} bytes */
export const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
