/** What an operation of the page is, and the products of matrices that several are made of. */
import { matrix, type Matrix } from "./matrix";
import type { Box, Cell, Terms } from "./terms";

export type Gradients = (Matrix | null)[]; // one an input, null where it has none

/** The fields that make an operation, as the list of steps has them: `{ name: "Softmax", groups: 4 }`. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * An operation: the views of `ops/base.py` that a page needs, each given the operation's fields first. No view changes
 * its inputs. Ids, positions and targets are matrices of one row.
 */
export interface Op {
  value(op: Fields, ...inputs: Matrix[]): Matrix;
  gradient(op: Fields, dOut: Matrix, out: Matrix, ...inputs: Matrix[]): Gradients;
  terms(op: Fields, cell: Cell, ...inputs: Matrix[]): Terms;
  dependents(op: Fields, input: number, cell: Cell, ...inputs: Matrix[]): Box[];
}

/** A field that is a whole number. */
export const field = (op: Fields, name: string): number => op[name] as number;

export const mapped = (x: Matrix, f: (value: number, at: number) => number): Matrix => matrix(x.rows, x.columns, x.data.map(f));

export const rowOf = (x: Matrix, row: number): Float64Array => x.data.subarray(row * x.columns, (row + 1) * x.columns);

/** Row `id` of a table. Throws RangeError where it has none. */
export function tableRow(table: Matrix, id: number): Float64Array {
  if (!(id >= 0 && id < table.rows)) throw new RangeError(`there is no row ${id}: rows are 0 to ${table.rows - 1}`);
  return rowOf(table, id);
}

/** x @ w */
export function product(x: Matrix, w: Matrix): Matrix { // [m, k], [k, n] -> [m, n]
  const out = matrix(x.rows, w.columns);
  for (let i = 0; i < x.rows; i++) {
    const row = rowOf(out, i);
    for (let k = 0; k < w.rows; k++) {
      const factor = x.data[i * x.columns + k];
      const start = k * w.columns;
      for (let j = 0; j < w.columns; j++) row[j] += factor * w.data[start + j];
    }
  }
  return out;
}

/** x @ y^T */
export function productTurned(x: Matrix, y: Matrix): Matrix { // [m, k], [n, k] -> [m, n]
  const out = matrix(x.rows, y.rows);
  const n = x.columns;
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < y.rows; j++) out.data[i * y.rows + j] = dot(x.data, i * n, y.data, j * n, n);
  }
  return out;
}

/** x^T @ y */
export function turnedProduct(x: Matrix, y: Matrix): Matrix { // [k, m], [k, n] -> [m, n]
  const out = matrix(x.columns, y.columns);
  for (let k = 0; k < x.rows; k++) {
    for (let i = 0; i < x.columns; i++) {
      const factor = x.data[k * x.columns + i];
      for (let j = 0; j < y.columns; j++) out.data[i * y.columns + j] += factor * y.data[k * y.columns + j];
    }
  }
  return out;
}

export function dot(x: Float64Array, at: number, y: Float64Array, there: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += x[at + i] * y[there + i];
  return sum;
}

export function turned(x: Matrix): Matrix { // [m, n] -> [n, m]
  const out = matrix(x.columns, x.rows);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < x.columns; j++) out.data[j * x.rows + i] = x.data[i * x.columns + j];
  }
  return out;
}

export function columnSums(x: Matrix): Matrix { // [m, n] -> [1, n]
  const out = matrix(1, x.columns);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < x.columns; j++) out.data[j] += x.data[i * x.columns + j];
  }
  return out;
}
