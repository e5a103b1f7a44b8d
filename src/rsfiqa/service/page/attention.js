/* The attention map as heat over the picture. */

import { grey16 } from "./grey16.js";
import { HEAT } from "./scales.js";

const PERCENTILE = 0.997; // where the scale ends: a few pixels would else darken all others
const OPACITY = [0.45, 0.85]; // of none and of most

/**
 * Draw the map of an answer into a canvas.
 *
 * @param {HTMLCanvasElement} canvas takes the map's size.
 * @param {{png: string, maximum: number}} map `maps.attention` of an answer; its values sum to 1.
 * @returns {Promise<number>} where the scale ends, as a multiple of an even share.
 */
export async function drawAttention(canvas, map) {
  const { width, height, values } = await grey16(map.png);
  const even = 65535 / map.maximum / values.length; // the grey of a pixel with its share by area
  const most = Math.max(even, values.toSorted()[Math.floor(PERCENTILE * (values.length - 1))]);
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => {
    const share = Math.min(1, value / most);
    const alpha = 255 * (OPACITY[0] + share * (OPACITY[1] - OPACITY[0]));
    pixels.data.set([...HEAT.color(share), alpha], 4 * i);
  });
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return most / even;
}
