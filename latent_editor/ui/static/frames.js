// The picture's frames: the newest values go to the server at once, and no old frame is ever shown over a newer one.

import { postFor } from './api.js';
import { openLine } from './frame-socket.js';

export function startFrames(app) {
  const dragged = new Map(); // key → strength not yet told to the server
  const screen = startScreen(app, (number) => { line?.saw(number); settle(number); });
  let line = null;
  let session = null;
  let sequence = 0; // of the newest wish
  let settled = 0; // up to here wishes are answered, and what came is on the screen
  let moving = false; // smaller pictures while a slider moves; the state that follows asks for a full one
  let posting = false;

  app.drag = (key, strength) => { dragged.set(key, strength); ask(true); };
  app.dragged = (key) => dragged.delete(key);
  app.refresh = () => ask(false);
  app.on('state', (before) => {
    if (before?.revision !== app.state.revision) dragged.clear();
    if (session === app.session) return;
    session = app.session;
    line?.end();
    line = openLine(app.path('/drag'), {
      onFrame: screen.show,
      onProblem: (number, problem) => { app.problem(problem, 'panel'); settle(number ?? sequence); },
      onBreak: () => { if (settled < sequence) post(); },
    });
  });

  function ask(inMotion) {
    if (settled === sequence) app.busy(1);
    sequence += 1;
    moving = inMotion;
    if (line?.ready()) line.ask(wish(), screen.shown());
    else post();
  }

  const wish = () => ({ sequence, strengths: Object.fromEntries(dragged), moving });

  function settle(number) {
    if (number <= settled) return;
    settled = number;
    if (settled === sequence) app.busy(-1);
  }

  /** Where there is no line: one request at a time, each with the newest values. */
  async function post() {
    if (posting) return;
    posting = true;
    while (settled < sequence) {
      if (line?.ready()) { // it is back
        line.ask(wish(), screen.shown());
        break;
      }
      const wanted = wish();
      try {
        const response = await postFor(app.path('/frame'), wanted);
        await screen.show(wanted.sequence, await response.blob());
      } catch (problem) {
        app.problem(problem, 'panel');
      }
      settle(wanted.sequence);
    }
    posting = false;
  }
}

/** Shows frames one after another; of those that come while one is being unpacked only the newest is shown. */
function startScreen(app, onShown) {
  const { result } = app.elements;
  let taken = 0; // the number of the newest frame that came, and of the one on the screen
  let shown = 0;
  let next = null;
  let showing = null;
  let address = null;

  async function run() {
    while (next) {
      const [number, jpeg] = next;
      next = null;
      if (app.root.dataset.view !== 'reconstruct') await put(jpeg);
      shown = number;
      onShown(number);
      app.emit('frame', number);
    }
    showing = null;
  }

  async function put(jpeg) {
    const old = address;
    address = URL.createObjectURL(jpeg);
    result.src = address; // browsers keep the old picture until the new one is there
    await result.decode().catch(() => null);
    if (old) URL.revokeObjectURL(old);
  }

  return {
    shown: () => shown,
    /** Ends when this frame, or a newer one, is on the screen. */
    show(number, jpeg) {
      if (number <= taken) return showing;
      taken = number;
      next = [number, jpeg];
      showing ??= run();
      return showing;
    },
  };
}
