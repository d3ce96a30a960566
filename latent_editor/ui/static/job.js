// Work that takes seconds: what is done, a bar, how long, and a way out, in the place where it was asked for.

import { call, post } from './api.js';
import { el } from './dom.js';

/** Calls an event until its last answer. Gives that, or null where the visitor cancelled; problems are thrown. */
export async function work(app, place, label, event, data) {
  let cancelled = false;
  let leave;
  const left = new Promise((done) => { leave = () => { cancelled = true; done(null); }; });
  const line = createLine(label, () => {
    leave();
    post(app.path('/cancel?keep_photo=true')).catch(() => null);
  });
  const last = async () => {
    let answer = null;
    for await (const told of call(event, data)) {
      if (cancelled) return null;
      if ('fraction' in told) line.tell(told);
      else answer = told;
    }
    return answer;
  };
  place.replaceChildren(line.element);
  try {
    return await Promise.race([left, last()]);
  } finally {
    line.end();
  }
}

function createLine(label, onCancel) {
  const text = el('span', { class: 'what' }, `${label} …`);
  const figures = el('output', { class: 'figures' });
  const bar = el('progress', { max: 1, 'aria-label': label });
  const cancel = el('button', { type: 'button', class: 'quiet', onclick: onCancel }, 'Cancel');
  const element = el('div', { class: 'working', role: 'status' }, text, figures, cancel, bar);
  const began = performance.now();
  let fraction = null;
  const draw = () => {
    const seconds = Math.round((performance.now() - began) / 1000);
    const left = fraction > 0.05 ? Math.ceil(seconds / fraction - seconds) : null;
    figures.textContent = left === null ? `${seconds} s` : `${Math.round(fraction * 100)} % · ${left} s left`;
    if (fraction === null) bar.removeAttribute('value');
    else bar.value = fraction;
  };
  const timer = setInterval(draw, 500);
  draw();
  return {
    element,
    tell(answer) {
      fraction = answer.fraction;
      if (answer.label) text.textContent = `${answer.label} …`;
      draw();
    },
    end() { clearInterval(timer); element.remove(); },
  };
}
