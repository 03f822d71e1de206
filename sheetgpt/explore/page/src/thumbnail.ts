/**
 * A matrix as a small picture and a few numbers, for a page that computes by itself: what `explore/pictures.py` does
 * where a server has the matrix.
 */
import { matrix, type Matrix } from "./matrix";
import { isMasked } from "./ops";
import { isMasked as isMark } from "./numbers";
import { mapped, rowOf, turned } from "./ops_base";
import type { Change, Picture, StageInfo, Statistics } from "./source";

const [WIDTH, HEIGHT] = [208, 22]; // pixels of a picture
const TALL = 4; // times as tall as wide: then it lies on its side
export const [FULL, MASKED] = [127, -128]; // a pixel at the scale's end; where a cell is masked
const PERCENTILE = 99; // of the sizes: the end of a scale, which one outlier doesn't set
const BINS = 40;

/** Columns over the width, rows over the height, `end` in full colour. */
export function picture(x: Matrix, end: number): Picture {
  const lying = laid(x);
  const height = Math.min(lying.rows, HEIGHT);
  const line = (i: number): Float64Array => rowOf(lying, Math.floor(((i + 0.5) * lying.rows) / height));
  return drawn(pooled(height, lying.columns, line), end, (value) => (isMasked(value) ? MASKED : rounded(part(value, end))));
}

/** The same of differences: each one that is not 0 is in it, whichever row it is in; NaN is the largest. */
export function pictureOfDifferences(x: Matrix, end: number): Picture {
  const lying = laid(mapped(x, (value) => (Number.isNaN(value) ? Infinity : value)));
  const height = Math.min(lying.rows, HEIGHT);
  const starts = startsOf(lying.rows, height);
  const line = (i: number): Float64Array => largestOfRows(lying, starts[i], starts[i + 1]);
  return drawn(pooled(height, lying.columns, line), end, (value) => seen(part(value, end)));
}

function drawn({ rows, columns, data }: Matrix, end: number, pixel: (value: number) => number): Picture {
  return { width: columns, height: rows, pixels: Int8Array.from(data, pixel), end };
}

/** A tall matrix on its side. */
const laid = (x: Matrix): Matrix => (x.rows > TALL * x.columns ? turned(x) : x);

/** Where each of `count` pixels begins, and the end. */
const startsOf = (length: number, count: number): number[] =>
  Array.from({ length: count + 1 }, (_, at) => Math.floor((at * length) / count));

/** Lines of at most WIDTH numbers: of the columns that share a pixel the number largest in size. */
function pooled(height: number, columns: number, lineOf: (i: number) => Float64Array): Matrix {
  const out = matrix(height, Math.min(columns, WIDTH));
  const starts = startsOf(columns, out.columns);
  for (let i = 0; i < height; i++) {
    const line = lineOf(i);
    rowOf(out, i).forEach((_zero, j, into) => (into[j] = line.subarray(starts[j], starts[j + 1]).reduce(larger)));
  }
  return out;
}

/** Column by column, of the rows between two places. */
function largestOfRows(x: Matrix, begin: number, end: number): Float64Array {
  const found = rowOf(x, begin).slice();
  for (let i = begin + 1; i < end; i++) rowOf(x, i).forEach((value, j) => (found[j] = larger(found[j], value)));
  return found;
}

/** The number larger in size, of equals the positive one. */
function larger(found: number, value: number): number {
  const [size, before] = [Math.abs(value), Math.abs(found)];
  return size > before || (size === before && value > 0) || Number.isNaN(found) ? value : found;
}

/** As a pixel, before it is rounded. */
const part = (value: number, end: number): number => Math.max(-1, Math.min(1, value / (end || 1))) * FULL;

/** Halves go to the even one. */
function rounded(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below & 1) : Math.round(value);
}

/** What is not 0 stays so. */
const seen = (value: number): number => Math.sign(value) * Math.max(rounded(Math.abs(value)), value === 0 ? 0 : 1);

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
  const perNumber = BINS / (greatest - least || 1);
  for (const value of numbers) bins[Math.min(Math.floor((value - least) * perNumber) || 0, BINS - 1)]++; // 0: too near for parts
  const mean = meanOf(numbers);
  return { least, mean, greatest, deviation: Math.sqrt(meanOf(numbers.map((value) => (value - mean) ** 2))), bins };
}

const meanOf = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;

/** What was added: 0 where both are masked or no number; infinite where one of them is no number. */
export function changeOf(before: number, after: number): number {
  if (before === after || (Number.isNaN(before) && Number.isNaN(after)) || (isMark(before) && isMark(after))) return 0;
  const found = after - before;
  return Number.isNaN(found) ? Infinity : found;
}

/** How a stage differs from the run without changes; null where nothing changed. `end`: of the stage's values. */
export function change(before: Matrix, after: Matrix, end: number): Change | null {
  const difference = mapped(after, (value, at) => changeOf(before.data[at], value));
  if (difference.data.every((value) => value === 0)) return null;
  const [size, moved] = [rootMeanSquare(unmasked(before)), rootMeanSquare(difference.data)];
  const ratio = moved === Infinity ? Infinity : size ? moved / size : 1;
  const largest = difference.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { picture: pictureOfDifferences(difference, end / 2), largest, ratio };
}

const rootMeanSquare = (x: Float64Array): number => (x.length ? Math.sqrt(meanOf(x.map((value) => value * value))) : 0);

/** All that a view of stages shows of one. before: of the run without changes; null where there is none. */
export function stageInfo(name: string, x: Matrix, before: Matrix | null): StageInfo {
  const end = scaleEnd(before ?? x);
  const changed = before && before !== x ? change(before, x, end) : null;
  return { name, rows: x.rows, columns: x.columns, picture: picture(x, end), end, statistics: statistics(x), change: changed };
}
