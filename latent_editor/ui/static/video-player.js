// @ts-check
// Plays the video over the picture, and links to the file.

import { el, icon } from './dom.js';
import { strings } from './strings.js';

/**
 * @param {HTMLElement} picture
 * @param {HTMLAnchorElement} link
 */
export function createPlayer(picture, link) {
  /** @type {{element: HTMLElement, address: string, request: string} | null} */
  let movie = null;

  function drop() {
    if (!movie) return;
    movie.element.remove();
    URL.revokeObjectURL(movie.address);
    movie = null;
  }
  return {
    drop,
    isPlaying: () => movie !== null,
    /** @param {string} request Whether the video playing was made from this request. */
    isFresh: (request) => movie !== null && movie.request === request,
    /**
     * @param {{blob: Blob, name: string}} file
     * @param {{request: string, audible: boolean}} options
     */
    play({ blob, name }, { request, audible }) {
      drop();
      const address = URL.createObjectURL(blob);
      const element = blob.type === 'image/gif' ? createImage(address) : createVideo(address, audible);
      element.addEventListener('pointerdown', (event) => event.stopPropagation());
      picture.append(element);
      movie = { element, address, request };
      link.href = address;
      link.download = name;
      link.replaceChildren(icon('save'), strings.video.save(fileSize(blob.size)));
    },
  };
}

/** @param {string} src */
const createImage = (src) => el('img', { class: 'video-player', alt: strings.video.player, src });

/**
 * @param {string} src
 * @param {boolean} audible
 */
function createVideo(src, audible) {
  const video = el('video', {
    class: 'video-player', loop: true, autoplay: true, playsinline: true, controls: audible,
    'aria-label': strings.video.player,
  });
  video.muted = !audible; // before the source: browsers block autoplay with sound
  video.src = src;
  return video;
}

/** @param {number} bytes */
export function fileSize(bytes) {
  const { kilobytes, megabytes } = strings.units;
  return bytes < 1e6 ? kilobytes(Math.ceil(bytes / 1e3)) : megabytes((bytes / 1e6).toFixed(1));
}
