// @ts-check
// Takes a photo with the camera.

import { Problem } from './api.js';
import { el } from './dom.js';
import { strings } from './strings.js';

/** @import { Editor } from './types.js' */

const IDEAL_WIDTH_PX = 1280;
const JPEG_QUALITY = 0.95;

/**
 * @param {Editor} editor
 * @param {(photo: File) => void} onPhoto
 */
export function startCamera({ elements, events, messages }, onPhoto) {
  const { camera, video, buttons, shutter, drop, 'take-photo': takePhoto, 'close-camera': closeCamera } = elements;
  /** @type {MediaStream | null} */
  let media = null;
  /** @param {boolean} on */
  const show = (on) => {
    video.hidden = shutter.hidden = !on;
    buttons.hidden = on;
    drop.classList.toggle('camera-on', on);
  };
  const close = () => {
    media?.getTracks().forEach((track) => track.stop());
    media = null;
    show(false);
  };
  const open = async () => {
    if (!navigator.mediaDevices) throw new Problem(strings.problems.cameraNeedsHttps);
    const wanted = { facingMode: 'user', width: { ideal: IDEAL_WIDTH_PX } };
    media = await navigator.mediaDevices.getUserMedia({ video: wanted });
    video.srcObject = media;
    show(true);
    await video.play();
    takePhoto.focus();
  };
  camera.addEventListener('click', async () => {
    messages.clear('start');
    try {
      await open();
    } catch (error) {
      close();
      messages.problem(error.what ? error : new Problem(strings.problems.cameraRefused), 'start');
    }
  });
  takePhoto.addEventListener('click', () => {
    const canvas = el('canvas', { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    close();
    const take = (/** @type {Blob | null} */ blob) => {
      if (blob) onPhoto(new File([blob], 'camera.jpg', { type: 'image/jpeg' }));
    };
    canvas.toBlob(take, 'image/jpeg', JPEG_QUALITY);
  });
  closeCamera.addEventListener('click', close);
  events.on('view', (name) => { if (name !== 'start') close(); });
}
