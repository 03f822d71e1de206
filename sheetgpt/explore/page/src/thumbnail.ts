/**
 * A matrix as a small picture and a few numbers, for a page that computes by itself: what `explore/pictures.py` does
 * where a server has the matrix.
 */
import { matrix, type Matrix } from "./matrix";
import { isMasked } from "./ops";
import { mapped, rowOf, turned } from "./ops_base";
import type { Change, Picture, StageInfo, Statistics } from "./source";

const [WIDTH, HEIGHT] = [208, 22]; // pixels of a picture
const TALL = 4; // times as tall as wide: then it lies on its side
const [FULL, MASKED] = [127, -128]; // a pixel at the scale's end; where a cell is masked
const PERCENTILE = 99; // of the sizes: the end of a scale, which one outlier doesn't set
const BINS = 40;

/** Columns over the width, rows over the height, `end` in full colour. */
export function picture(x: Matrix, end: number): Picture {
  const pixels = pooled(x);
  const scaled = Int8Array.from(pixels.data, (value) => (isMasked(value) ? MASKED : pixel(value / (end || 1))));
  return { width: pixels.columns, height: pixels.rows, pixels: scaled, end };
}

/** The nearest row for each line, and of the columns that share a pixel the number largest in size. */
function pooled(x: Matrix): Matrix { // [rows, columns] -> [at most HEIGHT, at most WIDTH]
  const lying = x.rows > TALL * x.columns ? turned(x) : x;
  const out = matrix(Math.min(lying.rows, HEIGHT), Math.min(lying.columns, WIDTH));
  const starts = Array.from({ length: out.columns + 1 }, (_, j) => Math.floor((j * lying.columns) / out.columns));
  for (let i = 0; i < out.rows; i++) {
    const line = rowOf(lying, Math.floor(((i + 0.5) * lying.rows) / out.rows));
    rowOf(out, i).forEach((_zero, j, into) => (into[j] = largest(line, starts[j], starts[j + 1])));
  }
  return out;
}

/** The number largest in size between two places, of equals the positive one. */
function largest(line: Float64Array, begin: number, end: number): number {
  let found = line[begin];
  for (let at = begin + 1; at < end; at++) {
    const [size, before] = [Math.abs(line[at]), Math.abs(found)];
    if (size > before || (size === before && line[at] > 0) || Number.isNaN(found)) found = line[at];
  }
  return found;
}

/** A part of the end as a pixel; halves go to the even one. */
function pixel(part: number): number {
  const value = Math.max(-1, Math.min(1, part)) * FULL;
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below & 1) : Math.round(value);
}

// ------------------------------------------------------------------------------------------------ numbers

/** The numbers that count: neither masked nor none. */
const unmasked = ({ data }: Matrix): Float64Array => data.filter((value) => Number.isFinite(value) && !isMasked(value));

/** Where a stage's scale of values ends. */
export function scaleEnd(x: Matrix): number {
  const sizes = unmasked(x).map(Math.abs).sort();
  const at = Math.min(sizes.length - 1, Math.floor((PERCENTILE * sizes.length) / 100));
  return sizes.length ? sizes[at] || sizes[sizes.length - 1] || 1 : 1;
}

export function statistics(x: Matrix): Statistics {
  const numbers = unmasked(x);
  const bins = new Array<number>(BINS).fill(0);
  if (!numbers.length) return { least: 0, mean: 0, greatest: 0, deviation: 0, bins };
  const least = numbers.reduce((a, b) => Math.min(a, b));
  const greatest = numbers.reduce((a, b) => Math.max(a, b));
  const span = greatest - least || 1;
  for (const value of numbers) bins[Math.min(Math.floor((value - least) * (BINS / span)), BINS - 1)]++;
  const mean = meanOf(numbers);
  return { least, mean, greatest, deviation: Math.sqrt(meanOf(numbers.map((value) => (value - mean) ** 2))), bins };
}

const meanOf = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;

/** How a stage differs from the run without changes; null where nothing changed. `end`: of the stage's values. */
export function change(before: Matrix, after: Matrix, end: number): Change | null {
  const difference = mapped(after, (value, at) => (isMasked(value) || isMasked(before.data[at]) ? 0 : value - before.data[at]));
  if (difference.data.every((value) => value === 0)) return null;
  const size = rootMeanSquare(unmasked(before));
  const largest = difference.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { picture: picture(difference, end / 2), largest, ratio: size ? rootMeanSquare(difference.data) / size : 1 };
}

const rootMeanSquare = (x: Float64Array): number => (x.length ? Math.sqrt(meanOf(x.map((value) => value * value))) : 0);

/** All that a view of stages shows of one. before: of the run without changes; null where there is none. */
export function stageInfo(name: string, x: Matrix, before: Matrix | null): StageInfo {
  const end = scaleEnd(before ?? x);
  const changed = before && before !== x ? change(before, x, end) : null;
  return { name, rows: x.rows, columns: x.columns, picture: picture(x, end), end, statistics: statistics(x), change: changed };
}
