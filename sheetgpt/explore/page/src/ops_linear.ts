/** What is linear in its input: products with a weight matrix, slices of columns, sums, and the plain copy. */
import { matrix, type Matrix } from "./matrix";
import { columnSums, type Fields, field, mapped, type Op, product, productTurned, rowOf, turnedProduct } from "./ops_base";
import { type Cell, cellsOf, number, one, products, same, type Sum, terms, wholeRow } from "./terms";

export const Copy: Op = {
  value: (_, x: Matrix) => x,
  gradient: (_, dOut) => [dOut],
  terms: (_, [row, column], x: Matrix) => same(x, 0, row, column),
  dependents: (_, _input, [row, column]) => one(row, column),
};

/** x @ w + b, with w as [in, out]. */
export const Linear: Op = {
  value(_, x: Matrix, w: Matrix, b: Matrix) { // [T, in], [in, out], [1, out] -> [T, out]
    const out = product(x, w);
    for (let i = 0; i < out.data.length; i++) out.data[i] += b.data[i % b.columns];
    return out;
  },
  gradient: (_, dOut, _out, x: Matrix, w: Matrix) => [productTurned(dOut, w), turnedProduct(x, dOut), columnSums(dOut)],
  terms(_, cell, x: Matrix, w: Matrix, b: Matrix) {
    const sum = productRow(cell, x, w);
    const bias = number(b, 2, 0, cell[1], true);
    return terms(sum.total + bias.value, "{sum} + {bias}", { bias }, { sum });
  },
  dependents: (_, input, cell, x: Matrix, w: Matrix) => (input === 0 ? wholeRow(cell, w) : [[0, cell[1], x.rows, 1]]),
};

/** x @ w without a bias, with w as [in, out]. */
export const Project: Op = {
  value: (_, x: Matrix, w: Matrix) => product(x, w),
  gradient: (_, dOut, _out, x: Matrix, w: Matrix) => [productTurned(dOut, w), turnedProduct(x, dOut)],
  terms(_, cell, x: Matrix, w: Matrix) {
    const sum = productRow(cell, x, w);
    return terms(sum.total, "{sum}", {}, { sum });
  },
  dependents: Linear.dependents,
};

/** The products that a cell of x @ w adds up. */
function productRow([row, column]: Cell, x: Matrix, w: Matrix): Sum {
  return products(x, cellsOf(0, row, 0, 1, w.rows), w, cellsOf(1, 0, column, w.rows, 1));
}

/** One of several equal slices of the columns, such as the queries of queries, keys, values. */
export const Columns: Op = {
  value(op, x: Matrix) { // [T, count n] -> [T, n]
    const [start, size] = slice(op, x);
    const out = matrix(x.rows, size);
    for (let i = 0; i < x.rows; i++) rowOf(out, i).set(rowOf(x, i).subarray(start, start + size));
    return out;
  },
  gradient(op, dOut, _out, x: Matrix) {
    const [start] = slice(op, x);
    const dX = matrix(x.rows, x.columns);
    for (let i = 0; i < x.rows; i++) rowOf(dX, i).set(rowOf(dOut, i), start);
    return [dX];
  },
  terms: (op, [row, column], x: Matrix) => same(x, 0, row, column + slice(op, x)[0]),
  dependents(op, _input, [row, column], x: Matrix) {
    const [start, size] = slice(op, x);
    return start <= column && column < start + size ? one(row, column - start) : [];
  },
};

function slice(op: Fields, x: Matrix): [start: number, size: number] {
  const size = Math.floor(x.columns / field(op, "count"));
  return [field(op, "index") * size, size];
}

/** The residual: what came in is added to what was made of it. */
export const Add: Op = {
  value: (_, x: Matrix, y: Matrix) => mapped(x, (value, at) => value + y.data[at]),
  gradient: (_, dOut) => [dOut, dOut],
  terms(_, [row, column], x: Matrix, y: Matrix) {
    const left = number(x, 0, row, column, true);
    const right = number(y, 1, row, column, true);
    return terms(left.value + right.value, "{left} + {right}", { left, right });
  },
  dependents: (_, _input, [row, column]) => one(row, column),
};
