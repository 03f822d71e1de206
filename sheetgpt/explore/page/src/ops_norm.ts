/** Rows brought to one size: layer normalisation in its two halves, and the plainer one by the root mean square. */
import { matrix, type Matrix } from "./matrix";
import { columnSums, dot, mapped, type Op, rowOf } from "./ops_base";
import { cellsOf, made, number, one, products, taken, terms, wholeRow } from "./terms";

const EPSILON = 1e-5;
const EPSILON_TEXT = "0.00001"; // as a spreadsheet's user types it

const mean = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;
const meanProduct = (x: Float64Array, y: Float64Array): number => dot(x, 0, y, 0, x.length) / x.length;
const rootMeanSquare = (x: Float64Array): number => Math.sqrt(meanProduct(x, x) + EPSILON);

function centred(x: Float64Array): Float64Array {
  const middle = mean(x);
  return x.map((value) => value - middle);
}

/** A matrix made row by row. */
function byRows(x: Matrix, make: (row: number) => Float64Array): Matrix {
  const out = matrix(x.rows, x.columns);
  for (let i = 0; i < x.rows; i++) rowOf(out, i).set(make(i));
  return out;
}

/** Each row to mean 0 and (population) variance 1, the first half of a layer normalisation. */
export const Normalize: Op = {
  value: (_, x: Matrix) => // [T, d] -> [T, d]
    byRows(x, (i) => {
      const row = centred(rowOf(x, i));
      const deviation = rootMeanSquare(row);
      return row.map((value) => value / deviation);
    }),
  gradient: (_, dOut, out, x: Matrix) => [
    byRows(x, (i) => {
      // out = (x - mean) / deviation, so a step along 1 or along out changes nothing to first order
      const [dRow, made] = [rowOf(dOut, i), rowOf(out, i)];
      const [alongMean, alongOut] = [mean(dRow), meanProduct(dRow, made)];
      const deviation = rootMeanSquare(centred(rowOf(x, i)));
      return dRow.map((d, j) => (d - made[j] * alongOut - alongMean) / deviation);
    }),
  ],
  terms(_, [row, column], x: Matrix) {
    const found = number(x, 0, row, column);
    const cells = cellsOf(0, row, 0, 1, x.columns);
    const numbers = taken(x, cells.box);
    const middle = mean(numbers);
    const from = numbers.map((value) => value - middle);
    const variance = meanProduct(from, from);
    const formula = `({x} - {mean}) / sqrt({variance} + ${EPSILON_TEXT})`;
    const all = { x: found, mean: made(middle, cells), variance: made(variance, cells) };
    return terms((found.value - middle) / Math.sqrt(variance + EPSILON), formula, all);
  },
  dependents: (_, _input, cell, x: Matrix) => wholeRow(cell, x),
};

/** Times the gain, plus the bias, column by column: the second half of a layer normalisation. */
export const ScaleShift: Op = {
  value: (_, x: Matrix, gain: Matrix, bias: Matrix) => // [T, d], [1, d], [1, d] -> [T, d]
    mapped(x, (value, at) => value * gain.data[at % x.columns] + bias.data[at % x.columns]),
  gradient: (_, dOut, _out, x: Matrix, gain: Matrix) => [
    mapped(dOut, (d, at) => d * gain.data[at % x.columns]),
    columnSums(mapped(dOut, (d, at) => d * x.data[at])),
    columnSums(dOut),
  ],
  terms(_, [row, column], x: Matrix, gain: Matrix, shift: Matrix) {
    const bias = number(shift, 2, 0, column, true);
    const sum = products(x, cellsOf(0, row, column, 1, 1), gain, cellsOf(1, 0, column, 1, 1));
    return terms(sum.total + bias.value, "{sum} + {bias}", { bias }, { sum });
  },
  dependents: (_, input, [row, column], x: Matrix) => (input === 0 ? one(row, column) : [[0, column, x.rows, 1]]),
};

/** Each row divided by its root mean square: neither mean nor gain nor bias. (Zhang and Sennrich 2019) */
export const NormalizeRms: Op = {
  value: (_, x: Matrix) => // [T, d] -> [T, d]
    byRows(x, (i) => {
      const root = rootMeanSquare(rowOf(x, i));
      return rowOf(x, i).map((value) => value / root);
    }),
  gradient: (_, dOut, out, x: Matrix) => [
    byRows(x, (i) => {
      // out = x / root, so a step along out changes (almost) nothing to first order
      const [dRow, made] = [rowOf(dOut, i), rowOf(out, i)];
      const along = meanProduct(dRow, made);
      const root = rootMeanSquare(rowOf(x, i));
      return dRow.map((d, j) => (d - made[j] * along) / root);
    }),
  ],
  terms(_, [row, column], x: Matrix) {
    const found = number(x, 0, row, column);
    const cells = cellsOf(0, row, 0, 1, x.columns);
    const numbers = taken(x, cells.box);
    const meanSquare = meanProduct(numbers, numbers);
    const formula = `{x} / sqrt({mean_square} + ${EPSILON_TEXT})`;
    return terms(found.value / Math.sqrt(meanSquare + EPSILON), formula, { x: found, mean_square: made(meanSquare, cells) });
  },
  dependents: Normalize.dependents,
};
