// @ts-check
// The session's state, as the server last sent it.

/** @import { About, EventDetails, Events, ProblemInfo, SessionState, Term } from './types.js' */

/** @type {SessionState} */
const NO_STATE = {
  ready: false, photo: null, likeness: null, revision: -1, model: '', offer: null,
  position: {}, sliders: [], kept: 1, history: [], at: 0,
};

/** @type {About} */
const NO_MODEL = {
  model: {
    name: '', title: '', credit: '', size_px: 0, fingerprint: '', faces: true, colorizer: false,
    points: [], classes: [], axes: [],
  },
  directions: [], finding: false, directions_problem: null, preparing: null, text_problem: null, examples: [],
};

export class Store {
  session = '';
  about = NO_MODEL;
  state = NO_STATE;
  #events;

  /** @param {Events<EventDetails>} events */
  constructor(events) {
    this.#events = events;
  }

  /** @param {About} about */
  setAbout(about) {
    this.about = about;
    this.#events.emit('about');
  }

  /**
   * The server's answer to a change: the session as it is now, with a problem if the change came too late for it.
   * @param {SessionState & {problem?: ProblemInfo}} answer
   */
  setState({ problem, ...state }) {
    const before = this.state;
    this.state = state;
    this.#events.emit('state', before);
    if (problem) this.#events.emit('superseded', problem);
  }

  /** An address within this session. */
  path(rest = '') {
    return `editor/s/${this.session}${rest}`;
  }

  /**
   * The address of a picture; it changes with the face, so that caches never mix faces up.
   * @param {string} rest
   */
  pictureUrl(rest) {
    return `${this.path(`/${rest}`)}?r=${this.state.revision}`;
  }

  /**
   * The address of an example's thumbnail.
   * @param {number} seed
   */
  exampleUrl(seed) {
    return this.path(`/face/${seed}.jpg?m=${this.about.model.fingerprint}`);
  }

  /**
   * Picks the wording for the current model.
   * @template T
   * @param {Term<T>} term
   */
  term({ faces, other }) {
    return this.about.model.faces ? faces : other;
  }

  get isEdited() {
    return this.state.sliders.some(({ strength, muted }) => strength !== 0 && !muted);
  }
}
