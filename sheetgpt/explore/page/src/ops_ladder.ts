/** What the models below GPT-2 need besides: scores that ignore the context, a window of rows, plain probabilities. */
import { matrix, type Matrix } from "./matrix";
import { field, mapped, type Op, rowOf, turned } from "./ops_base";
import { type Box, cellsOf, number, one, same, softmaxTerms, sumOf, taken, terms } from "./terms";

/** The same column of scores at every position: a model that doesn't look at what came before. */
export const Spread: Op = {
  value: (_, scores: Matrix, ids: Matrix) => // [n_vocab, 1], [1, T] -> [n_vocab, T]
    mapped(matrix(scores.rows, ids.columns), (_zero, at) => scores.data[Math.floor(at / ids.columns)]),
  gradient(_, dOut, _out, scores: Matrix) {
    const dScores = matrix(scores.rows, 1);
    dOut.data.forEach((d, at) => (dScores.data[Math.floor(at / dOut.columns)] += d));
    return [dScores, null];
  },
  terms: (_, cell, scores: Matrix) => same(scores, 0, cell[0], 0),
  dependents: (_, input, cell, _scores, ids: Matrix) => (input === 0 ? [[cell[0], 0, 1, ids.columns]] : []),
};

/** Rows become columns. */
export const Turn: Op = {
  value: (_, x: Matrix) => turned(x), // [T, n] -> [n, T]
  gradient: (_, dOut) => [turned(dOut)],
  terms: (_, cell, x: Matrix) => same(x, 0, cell[1], cell[0]),
  dependents: (_, _input, cell) => one(cell[1], cell[0]),
};

/**
 * The rows of the last `size` tokens side by side, the oldest first; zeros where there is none.
 * The rows are given twice: those that windows are wanted for, the last ones, and all of them.
 */
export const Window: Op = {
  value(op, wanted: Matrix, x: Matrix) { // [W, d], [T, d] -> [W, size d]
    const size = field(op, "size");
    const out = matrix(wanted.rows, size * x.columns);
    for (let i = 0; i < wanted.rows; i++) {
      for (let place = 0; place < size; place++) {
        const row = x.rows - wanted.rows + i - (size - 1 - place);
        if (row >= 0) rowOf(out, i).set(rowOf(x, row), place * x.columns);
      }
    }
    return out;
  },
  gradient(op, dOut, _out, wanted: Matrix, x: Matrix) {
    const size = field(op, "size");
    const dX = matrix(x.rows, x.columns);
    for (let i = 0; i < wanted.rows; i++) {
      for (let place = 0; place < size; place++) {
        const row = x.rows - wanted.rows + i - (size - 1 - place);
        const start = i * dOut.columns + place * x.columns;
        if (row >= 0) rowOf(dX, row).forEach((_zero, j, into) => (into[j] += dOut.data[start + j]));
      }
    }
    return [null, dX];
  },
  terms(op, cell, wanted: Matrix, x: Matrix) {
    const [place, column] = [Math.floor(cell[1] / x.columns), cell[1] % x.columns];
    const row = x.rows - wanted.rows + cell[0] - (field(op, "size") - 1 - place);
    return row >= 0 ? same(x, 1, row, column) : terms(0, "0");
  },
  dependents(op, input, [row, column], wanted: Matrix, x: Matrix) {
    const [size, first] = [field(op, "size"), x.rows - wanted.rows];
    const boxes = Array.from({ length: size }, (_, back): Box => [row + back - first, (size - 1 - back) * x.columns + column, 1, 1]);
    return input === 1 ? boxes.filter(([at]) => 0 <= at && at < wanted.rows) : [];
  },
};

/** A matrix made column by column. */
function byColumns(x: Matrix, make: (column: Float64Array, place: number) => Float64Array): Matrix {
  const columns = turned(x);
  for (let j = 0; j < columns.rows; j++) rowOf(columns, j).set(make(rowOf(columns, j), j));
  return turned(columns);
}

const sum = (x: Float64Array): number => x.reduce((total, value) => total + value, 0);
const alongColumn = (x: Matrix, y: Matrix): number[] => Array.from({ length: x.columns }, (_, j) => {
  let total = 0;
  for (let at = j; at < x.data.length; at += x.columns) total += x.data[at] * y.data[at];
  return total;
});

/** Each column divided by its sum: weights to probabilities, plainly. */
export const Shares: Op = {
  value: (_, x: Matrix) => // [n_vocab, R] -> [n_vocab, R]
    byColumns(x, (column) => {
      const total = sum(column);
      return column.map((value) => value / total);
    }),
  gradient(_, dOut, out, x: Matrix) {
    const along = alongColumn(dOut, out);
    const columns = turned(x);
    const totals = along.map((_zero, j) => sum(rowOf(columns, j)));
    return [mapped(dOut, (d, at) => (d - along[at % x.columns]) / totals[at % x.columns])];
  },
  terms(_, cell, x: Matrix) {
    const found = number(x, 0, cell[0], cell[1]);
    const cells = cellsOf(0, 0, cell[1], x.rows, 1);
    const values = taken(x, cells.box);
    const all = sumOf(values, { values, cells }, null, "weight");
    return terms(found.value / all.total, "{x} / {sum}", { x: found }, { sum: all, source: "x" });
  },
  dependents: (_, _input, cell, x: Matrix) => [[0, cell[1], x.rows, 1]],
};

/** Each column's exponentials divided by their sum: scores to probabilities. */
export const SoftmaxColumns: Op = {
  value: (_, x: Matrix) => // [n_vocab, R] -> [n_vocab, R]
    byColumns(x, (column) => {
      const greatest = column.reduce((a, b) => (b > a ? b : a));
      const powers = column.map((value) => Math.exp(value - greatest));
      const total = sum(powers);
      return powers.map((power) => power / total);
    }),
  gradient(_, dOut, out) {
    const along = alongColumn(dOut, out);
    return [mapped(out, (share, at) => share * (dOut.data[at] - along[at % out.columns]))];
  },
  terms: (_, cell, x: Matrix) => softmaxTerms(number(x, 0, cell[0], cell[1]), x, [0, cell[1], x.rows, 1]),
  dependents: Shares.dependents,
};

/** The natural logarithm, cell by cell. */
export const Log: Op = {
  value: (_, x: Matrix) => mapped(x, Math.log),
  gradient: (_, dOut, _out, x: Matrix) => [mapped(dOut, (d, at) => d / x.data[at])],
  terms(_, cell, x: Matrix) {
    const found = number(x, 0, cell[0], cell[1]);
    return terms(Math.log(found.value), "ln({x})", { x: found });
  },
  dependents: (_, _input, cell) => one(...cell),
};
