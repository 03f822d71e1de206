/** A pointer that turns to a target between 0 and 1: once around and on, slower and slower. */
import { signal, type Signal } from "@preact/signals";

/** Where a pointer is while it turns; null where it stands at its target. */
export const turning = (): Signal<number | null> => signal<number | null>(null);

/** Turn it; at once where motion is not wanted. Resolves when it stands. */
export function turn(pointer: Signal<number | null>, from: number, to: number, milliseconds: number): Promise<void> {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return Promise.resolve();
  const begun = performance.now();
  return new Promise((stands) => {
    const draw = (now: number): void => {
      const part = Math.min(1, (now - begun) / milliseconds);
      pointer.value = part < 1 ? (from + (to + 1 - from) * (1 - (1 - part) ** 3)) % 1 : null;
      if (part < 1) requestAnimationFrame(draw);
      else stands();
    };
    requestAnimationFrame(draw);
  });
}
