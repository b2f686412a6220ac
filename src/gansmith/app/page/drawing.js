// A canvas to draw on, pixel by pixel: with a mouse, a finger, a pen, or the keys.

import { h } from "./dom.js";

const KEPT = 30; // Drawings that can be brought back.

/** A drawing: {element, canvas, begin, undo, clear, blob}. `changed` is told after each stroke.

    `dab(context, x, y, size)` marks a square of `size` pixels; `size()` is how wide a stroke is. */
export function drawing({ dab, size, changed, label }) {
  const canvas = h("canvas", { tabIndex: 0, role: "img", label, width: 8, height: 8 });
  const cursor = h("span", { class: "cursor", "aria-hidden": "true" });
  const element = h("div", { class: "drawing" }, canvas, cursor);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let past = [];
  let start = null; // What `clear` goes back to.
  let last = null; // Where the stroke is.
  let at = { x: 0, y: 0 }; // Of the keys.

  const whole = () => context.getImageData(0, 0, canvas.width, canvas.height);
  const keep = () => { past = [...past, whole()].slice(-KEPT); };

  function mark({ x, y }) {
    const wide = size();
    const from = last ?? { x, y };
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(x - from.x), Math.abs(y - from.y))));
    for (let step = 0; step <= steps; step += 1) {
      const [px, py] = [from.x + ((x - from.x) * step) / steps, from.y + ((y - from.y) * step) / steps];
      dab(context, Math.round(px - wide / 2), Math.round(py - wide / 2), wide);
    }
    last = { x, y };
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * canvas.width, y: ((event.clientY - box.top) / box.height) * canvas.height };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    keep();
    last = null;
    mark(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const one of event.getCoalescedEvents?.() ?? []) mark(place(one));
    mark(place(event));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { if (last) { last = null; changed(); } });

  canvas.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const dabs = event.key === " " || event.key === "Enter";
    if (!dx && !dy && !dabs) return;
    event.preventDefault();
    const wide = Math.max(1, Math.round(size() / 2));
    const to = { x: Math.min(canvas.width - 1, Math.max(0, at.x + dx * wide)), y: Math.min(canvas.height - 1, Math.max(0, at.y + dy * wide)) };
    if (dabs || event.shiftKey) {
      keep();
      last = at;
      mark(to);
      last = null;
    }
    at = to;
    point();
    if (dabs || event.shiftKey) changed();
  });
  canvas.addEventListener("focus", point);

  function point() {
    const wide = size();
    cursor.style.setProperty("--x", `${((at.x - wide / 2) / canvas.width) * 100}%`);
    cursor.style.setProperty("--y", `${((at.y - wide / 2) / canvas.height) * 100}%`);
    cursor.style.setProperty("--wide", `${(wide / canvas.width) * 100}%`);
    cursor.style.setProperty("--high", `${(wide / canvas.height) * 100}%`);
  }

  return {
    element,
    canvas,
    get touched() { return past.length > 0; },
    /** Begin anew with what `paint(context, width, height)` paints. */
    begin(width, height, paint) {
      canvas.width = width;
      canvas.height = height;
      at = { x: Math.round(width / 2), y: Math.round(height / 2) };
      element.style.setProperty("--ratio", width / height);
      paint(context, width, height);
      start = whole();
      past = [];
      point();
    },
    undo() { if (past.length) { context.putImageData(past.pop(), 0, 0); changed(); } },
    clear() { if (past.length) { past = []; context.putImageData(start, 0, 0); changed(); } },
    blob: () => new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); }),
  };
}
