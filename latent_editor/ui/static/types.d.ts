// The shapes that the modules share: what the server sends, and what the parts of the page are given.

import type { Changes } from './changes.js';
import type { Frames } from './frames.js';
import type { Messages } from './messages.js';
import type { Store } from './store.js';
import type { Views } from './views.js';

// ── From the server ──────────────────────────────────────────────────────────────────────────────────────────────────

export interface ProblemInfo { kind?: string; what: string; todo: string }

export interface Axis { key: string; name: string; limit: number }

export interface Model {
  name: string;
  title: string;
  credit: string;
  size_px: number;
  fingerprint: string;
  faces: boolean;
  colorizer: boolean;
  points: [number, number][];
  classes: string[];
  axes: Axis[];
}

export interface Preparation { fraction: number | null; seconds: number; label: string; stopping: boolean }

export interface Direction {
  key: string;
  name: string;
  low: number;
  high: number;
  limit: number;
  source: string;
  detail: string;
  method: string;
  score: number | null;
  leakage: Record<string, number> | null;
  unsure: boolean;
}

export interface Slider extends Direction {
  strength: number;
  layers: string;
  own_layers: boolean;
  muted: boolean;
  region: string | null;
  taken: boolean;
  pinned: boolean;
}

/** What does not change while a model is in use, and how far its preparation is. */
export interface About {
  model: Model;
  directions: Direction[];
  finding: boolean;
  directions_problem: ProblemInfo | null;
  preparing: Preparation | null;
  text_problem: ProblemInfo | null;
  examples: number[];
}

export interface Fidelity { psnr_db: number; dots: number; word: string }

export interface HistoryEntry { id: string; label: string }

export interface SessionState {
  ready: boolean;
  photo: string | null;
  likeness: Fidelity | null;
  revision: number;
  model: string;
  offer: string | null;
  position: Record<string, number>;
  sliders: Slider[];
  kept: number;
  history: HistoryEntry[];
  at: number;
}

export interface UploadedPhoto {
  width: number;
  height: number;
  by_hand: boolean;
  faces: string[];
  problem: ProblemInfo;
}

/** A change of the panel: what to do, to which slider, and the value that this takes. */
export interface Change { do: string; key?: string; value?: unknown }

// ── Inside the page ──────────────────────────────────────────────────────────────────────────────────────────────────

/** A place in a picture: fractions of its width and height. */
export type Point = [x: number, y: number];

/** A stroke of the brush: its radius and points, in fractions of the side. */
export interface Stroke { radius: number; points: Point[] }

/** Words that depend on whether the model shows faces. */
export interface Term<T = string> { faces: T; other: T }

export type ViewName = 'loading' | 'start' | 'choose' | 'crop' | 'reconstruct' | 'edit' | 'repair';

/** Where a message can stand: the data-slot of its place. */
export type Slot = 'start' | 'choose' | 'crop' | 'panel' | 'models' | 'video' | 'repair';

/** The events of the page, and what comes with each. */
export interface EventDetails {
  about: void;
  state: SessionState; // the one before
  superseded: ProblemInfo; // a result came too late and was dropped
  view: ViewName;
  flush: void; // commit every move of a slider that is still pending
  photo: UploadedPhoto;
  'crop-by-hand': void;
  reconstruct: string; // the address of the crop
  'leave-for-repair': void;
  repair: void;
  'paint-region': Slider;
  'model-file': File;
  wipe: number; // percent of the width that shows the result
}

export interface Events<Details extends object> {
  on<K extends keyof Details & string>(name: K, listener: (detail: Details[K]) => void): void;
  emit<K extends keyof Details & string>(name: K, ...detail: Details[K] extends void ? [] : [Details[K]]): void;
}

/** What each part of the page is given. Frozen: parts add nothing to it. */
export interface Editor {
  readonly root: HTMLElement;
  readonly elements: Elements;
  readonly events: Events<EventDetails>;
  readonly store: Store;
  readonly views: Views;
  readonly messages: Messages;
  readonly changes: Changes;
  readonly frames: Frames;
  /** Counts the work on the picture that is under way: +1 as it begins, −1 as it ends. */
  readonly markBusy: (by: number) => void;
}

/** The elements of page.html that are marked with data-hook. */
export interface Elements {
  add: HTMLElement;
  against: HTMLButtonElement;
  back: HTMLButtonElement;
  bar: HTMLProgressElement;
  buttons: HTMLElement;
  'by-hand': HTMLButtonElement;
  camera: HTMLButtonElement;
  cards: HTMLElement;
  choices: HTMLElement;
  choose: HTMLButtonElement;
  class: HTMLSelectElement;
  'close-camera': HTMLButtonElement;
  credit: HTMLElement;
  'crop-photo': HTMLImageElement;
  describe: HTMLFormElement;
  drop: HTMLElement;
  examples: HTMLElement;
  figures: HTMLElement;
  file: HTMLInputElement;
  help: HTMLDetailsElement;
  lead: HTMLElement;
  'leave-choose': HTMLButtonElement;
  'leave-crop': HTMLButtonElement;
  model: HTMLElement;
  'model-list': HTMLElement;
  'model-upload': HTMLElement;
  'model-upload-button': HTMLButtonElement;
  models: HTMLDetailsElement;
  'models-summary': HTMLElement;
  new: HTMLButtonElement;
  'new-slider': HTMLElement;
  'new-slider-buttons': HTMLElement;
  'no-texts': HTMLElement;
  offer: HTMLElement;
  'offer-image': HTMLImageElement;
  'offer-name': HTMLElement;
  'offer-take': HTMLButtonElement;
  'open-file': HTMLButtonElement;
  original: HTMLImageElement;
  'original-tag': HTMLElement;
  photo: HTMLElement;
  'photo-panel': HTMLElement;
  picture: HTMLElement;
  position: HTMLElement;
  preparing: HTMLElement;
  'preparing-bar': HTMLProgressElement;
  'preparing-figures': HTMLElement;
  'preparing-stop': HTMLButtonElement;
  'preparing-text': HTMLElement;
  prompt: HTMLInputElement;
  random: HTMLButtonElement;
  reading: HTMLElement;
  'reading-bar': HTMLProgressElement;
  'reading-stop': HTMLButtonElement;
  'reading-text': HTMLElement;
  recrop: HTMLButtonElement;
  redo: HTMLButtonElement;
  reset: HTMLButtonElement;
  result: HTMLImageElement;
  save: HTMLDetailsElement;
  saves: HTMLElement;
  'scale-note': HTMLElement;
  shutter: HTMLElement;
  similarity: HTMLElement;
  size: HTMLInputElement;
  square: HTMLElement;
  stop: HTMLButtonElement;
  strip: HTMLElement;
  'take-photo': HTMLButtonElement;
  'text-face': HTMLFormElement;
  'text-face-preview': HTMLImageElement;
  'text-face-prompt': HTMLInputElement;
  theme: HTMLButtonElement;
  undo: HTMLButtonElement;
  'use-square': HTMLButtonElement;
  video: HTMLVideoElement;
  'video-open': HTMLButtonElement;
  'video-panel': HTMLElement;
  wipe: HTMLElement;
  'your-crop': HTMLImageElement;
}
