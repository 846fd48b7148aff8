// Makes a file ready to be a picture of a person: its middle as the server will draw it, and the file to send. A large
// one is made smaller here, so that a phone need not send a whole photograph. It knows no account.

import { el } from './dom.js';

/** What the server reads. */
export const TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'];

/** The side of what is drawn here, in pixels: twice that of what the server keeps, so that making it small twice does no harm. */
const SIDE = 512;
/** A file of so many bytes goes as it is. */
const AS_IT_IS = 512 * 1024;

/** The first file of a choice, a drop or a paste that is a picture, whatever its kind; else undefined. */
export function pictureIn(files) {
  return [...(files ?? [])].find((file) => file.type.startsWith('image/'));
}

/** Whether a file of this type and size goes as it is. `pixels` is width times height; `limits` are the server's. */
export function goesAsItIs({ type, size }, pixels, limits) {
  return TYPES.includes(type) && size <= Math.min(AS_IT_IS, limits.max_bytes) && pixels <= limits.max_pixels;
}

/** `{canvas, file}`: what it will look like, and what to send. Null when the browser cannot read it. */
export async function prepare(file, limits) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const { width, height } = bitmap;
  const canvas = square(bitmap);
  bitmap.close();
  if (goesAsItIs(file, width * height, limits)) return { canvas, file };
  const small = await new Promise((resolve) => {
    canvas.toBlob(resolve, 'image/jpeg', 0.92);
  });
  return small && { canvas, file: small };
}

/** Its middle, on white as the server draws it. */
function square(bitmap) {
  const canvas = el('canvas', { width: String(SIDE), height: String(SIDE) });
  const side = Math.min(bitmap.width, bitmap.height);
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.imageSmoothingQuality = 'high';
  pen.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return canvas;
}
