// A finger that rests on something, as on the systems' own lists, to see what can be done with it. Not every system
// says so itself.

/** How long it rests: as long as there. */
const PRESS_MS = 500;
/** A finger is never quite still. */
const STILL_PX = 10;

/** Calls `act(element, place)` when a finger rests on an element in `parent`: `find(target)` answers which, or null. */
export function onPress(parent, find, act) {
  let timer = null;
  let begun = null;
  let pressed = false;
  const end = () => clearTimeout(timer);
  parent.addEventListener('pointerdown', (event) => {
    end();
    pressed = false;
    const element = event.pointerType === 'touch' && event.isPrimary ? find(event.target) : null;
    if (!element) return;
    begun = new DOMRect(event.clientX, event.clientY, 0, 0);
    timer = setTimeout(() => {
      pressed = true;
      act(element, begun);
    }, PRESS_MS);
  });
  parent.addEventListener('pointermove', (event) => {
    if (begun && Math.hypot(event.clientX - begun.x, event.clientY - begun.y) > STILL_PX) end();
  });
  for (const name of ['pointerup', 'pointercancel', 'pointerleave']) parent.addEventListener(name, end);
  parent.addEventListener('click', (event) => {
    if (pressed) event.preventDefault();
    pressed = false;
  });
}
