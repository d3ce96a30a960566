// The brush: strokes painted on a canvas, to say where something is missing or where a slider shall act.

export const CANVAS_PX = 512;
const KEY_STEP = 0.02;

/** Strokes on a canvas: pointer of any kind, or the keyboard. Each is {radius, points} in fractions of the side. */
export function createBrush(canvas, size, changed) {
  const list = [];
  let at = null; // of the keyboard's brush
  const context = canvas.getContext('2d');
  const radius = () => Number(size.value) / 100;
  const accent = () => getComputedStyle(canvas).getPropertyValue('--accent');

  function draw() {
    context.clearRect(0, 0, CANVAS_PX, CANVAS_PX);
    context.lineCap = context.lineJoin = 'round';
    context.strokeStyle = accent();
    for (const stroke of list) {
      context.lineWidth = 2 * stroke.radius * CANVAS_PX;
      context.beginPath();
      stroke.points.forEach(([x, y], i) => context[i ? 'lineTo' : 'moveTo'](x * CANVAS_PX, y * CANVAS_PX + (i ? 0 : 0.01)));
      const [x, y] = stroke.points[0];
      context.lineTo(...(stroke.points.length > 1 ? stroke.points.at(-1) : [x, y]).map((v) => v * CANVAS_PX));
      context.stroke();
    }
    if (!at) return;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(at[0] * CANVAS_PX, at[1] * CANVAS_PX, radius() * CANVAS_PX, 0, 2 * Math.PI);
    context.stroke();
  }
  const update = () => { draw(); changed(); };
  const place = (event) => {
    const area = canvas.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height].map((v) => Math.min(Math.max(v, 0), 1));
  };
  const undo = () => { list.pop(); update(); };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    at = null;
    list.push({ radius: radius(), points: [place(event)] });
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    update();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    list.at(-1).points.push(place(event));
    draw();
  });
  canvas.addEventListener('keydown', (event) => {
    const step = event.shiftKey ? 3 * KEY_STEP : KEY_STEP;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) at = (at ?? [0.5, 0.5]).map((value, i) => Math.min(Math.max(value + moves[event.key][i], 0), 1));
    else if (event.key === 'Enter' || event.key === ' ') list.push({ radius: radius(), points: [at ??= [0.5, 0.5]] });
    else if (event.key === 'Backspace' || (event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey))) list.pop();
    else return;
    event.preventDefault();
    event.stopPropagation();
    update();
  });
  canvas.addEventListener('blur', () => { at = null; draw(); });
  size.addEventListener('input', draw);
  return { list, undo, clear() { list.length = 0; draw(); } };
}
