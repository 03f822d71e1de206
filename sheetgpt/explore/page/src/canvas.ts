/** A canvas that is drawn when what it shows changes, and when its size does. The browser says the size: asking lays out. */
import { useLayoutEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";

type Draw = (canvas: HTMLCanvasElement) => void;

const draws = new WeakMap<Element, () => void>();
const sizes = new WeakMap<Element, DOMRectReadOnly>(); // of the page's pixels

const watcher = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    sizes.set(target, contentRect);
    draws.get(target)?.();
  }
});

/** A canvas in the device's own pixels, for `draw`, which is called again when one of the inputs is another one. */
export function useCanvas(draw: Draw, inputs: readonly unknown[]): RefObject<HTMLCanvasElement | null> {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const element = canvas.current!;
    watcher.observe(element);
    return () => watcher.unobserve(element);
  }, []);
  useLayoutEffect(() => {
    const element = canvas.current!;
    const drawSized = (): void => void (fit(element) && draw(element));
    draws.set(element, drawSized);
    drawSized();
  }, inputs);
  return canvas;
}

/** Gives the canvas as many pixels as it has on the device; false where its size isn't known yet, or is none. */
function fit(canvas: HTMLCanvasElement): boolean {
  const size = sizes.get(canvas);
  if (!size) return false;
  const scale = devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return width > 0 && height > 0;
}
