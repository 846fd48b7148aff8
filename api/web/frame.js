// When something is drawn. A hidden page gets no frames, and what must go on there does so at once.

/** Runs a function before the next frame is drawn. */
export function beforeNextFrame(run) {
  if (document.hidden) setTimeout(run, 0);
  else requestAnimationFrame(run);
}

/** Comes when what was asked to be drawn before has been. */
export const nextFrame = () => new Promise(beforeNextFrame);
