/**
 * What makes one cell, and where a cell goes: what the operations' `terms` and `dependents` answer, and the parts that
 * these are made of. What each field means stands in `ops/base.py`; the operations say which.
 */
import type { Matrix } from "./matrix";

export type Cell = readonly [row: number, column: number];
export type Box = readonly [row: number, column: number, rows: number, columns: number];

/** A box of cells of one input. */
export interface Cells {
  readonly input: number;
  readonly box: Box;
}

export interface Named {
  readonly value: number;
  readonly cells: Cells | null;
  readonly addend: boolean;
}

export interface Factors {
  readonly values: Float64Array;
  readonly cells: Cells | null;
}

export interface Sum {
  readonly values: Float64Array;
  readonly left: Factors;
  readonly right: Factors | null;
  readonly what: string;
  readonly total: number;
}

export interface Terms {
  readonly value: number;
  readonly formula: string;
  readonly numbers: Readonly<Record<string, Named>>;
  readonly sum: Sum | null;
  readonly chosenBy: readonly Cells[];
  readonly source: string;
}

export function terms(value: number, formula: string, numbers: Terms["numbers"] = {}, rest: Partial<Terms> = {}): Terms {
  return { value, formula, numbers, sum: null, chosenBy: [], source: "", ...rest };
}

// ------------------------------------------------------------------------------------------------ parts

export const cellsOf = (input: number, ...box: Box): Cells => ({ input, box });
export const made = (value: number, cells: Cells | null = null): Named => ({ value, cells, addend: false });

/** The numbers of a box, row by row. */
export function taken(x: Matrix, [row, column, rows, columns]: Box): Float64Array {
  const found = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const start = (row + i) * x.columns + column;
    found.set(x.data.subarray(start, start + columns), i * columns);
  }
  return found;
}

/** One cell of the input in that place. */
export function number(x: Matrix, place: number, row: number, column: number, addend = false): Named {
  return { value: x.data[row * x.columns + column], cells: cellsOf(place, row, column, 1, 1), addend };
}

/** One of a list of ids or positions. */
export const entry = (x: Matrix, place: number, index: number): Named => number(x, place, 0, index);

/** The sum of numbers, with what rounding loses carried along (Neumaier). */
export function total(values: Float64Array): number {
  let sum = 0;
  let lost = 0;
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return Number.isFinite(sum) && Number.isFinite(lost) ? sum + lost : sum;
}

export function sumOf(values: Float64Array, left: Factors, right: Factors | null, what: string): Sum {
  return { values, left, right, what, total: total(values) };
}

/** The cells of two boxes multiplied pair by pair. */
export function products(x: Matrix, left: Cells, y: Matrix, right: Cells): Sum {
  const sides = [
    { values: taken(x, left.box), cells: left },
    { values: taken(y, right.box), cells: right },
  ];
  return sumOf(
    sides[0].values.map((value, i) => value * sides[1].values[i]),
    sides[0],
    sides[1],
    "product",
  );
}

/** A cell that is one cell of an input. */
export function same(x: Matrix, place: number, row: number, column: number, ...chosenBy: (Cells | null)[]): Terms {
  const found = number(x, place, row, column);
  return terms(found.value, "{x}", { x: found }, { chosenBy: chosenBy.filter((one) => one !== null) });
}

/** The share of one score among those of a box: its exponential, and the exponentials of all. */
export function softmaxTerms(score: Named, x: Matrix, box: Box): Terms {
  const scores = taken(x, box);
  const greatest = scores.reduce((a, b) => (b > a ? b : a));
  const all = cellsOf(0, ...box);
  const numerator = Math.exp(score.value - greatest);
  const sum = sumOf(
    scores.map((one) => Math.exp(one - greatest)),
    { values: scores, cells: all },
    null,
    "exponential",
  );
  const numbers = { score, greatest: made(greatest, all), numerator: made(numerator), denominator: made(sum.total) };
  return terms(numerator / sum.total, "exp({score} - {greatest}) / {sum}", numbers, { sum, source: "score" });
}

// ------------------------------------------------------------------------------------------------ dependents

export const one = (row: number, column: number): Box[] => [[row, column, 1, 1]];

/** The row of a cell in a value as wide as x. */
export const wholeRow = (cell: Cell, x: Matrix): Box[] => [[cell[0], 0, 1, x.columns]];

/** The row that belongs to one of a list of ids or positions, in a value as wide as x. */
export const rowOfIndex = (cell: Cell, x: Matrix): Box[] => [[cell[1], 0, 1, x.columns]];

/** A column's cell in each row whose index is that row of a table. */
export function rowsWhere(index: Matrix, [row, column]: Cell): Box[] {
  const found: Box[] = [];
  index.data.forEach((value, at) => value === row && found.push([at, column, 1, 1]));
  return found;
}

// ------------------------------------------------------------------------------------------------ readings

/** Every box that enters, each once. */
export function entering(found: Terms): Cells[] {
  const all = [...Object.values(found.numbers).map((one) => one.cells), found.sum?.left.cells, found.sum?.right?.cells, ...found.chosenBy];
  const boxes = new Map(all.filter((one) => one != null).map((one) => [`${one.input},${one.box}`, one]));
  return [...boxes.values()];
}

/** The formula as it is read: `sum of 64 products + bias`. sum: what is added up, and of how many. */
export function inNames(formula: string, sum: { readonly what: string; readonly count: number } | null): string {
  const added = sum && (sum.count === 1 ? sum.what : `sum of ${sum.count} ${sum.what}s`);
  return formula.replace(/\{(\w+)\}/g, (_, name: string) => (name === "sum" && added ? added : name));
}
