/** The language head: the last row, every token's score, the best token. */
import { matrix, type Matrix } from "./matrix";
import { type Op, product, productTurned, rowOf, turnedProduct } from "./ops_base";
import { cellsOf, made, number, one, products, same, terms } from "./terms";

/** The last token's row: it alone decides what comes next. */
export const LastRow: Op = {
  value: (_, x: Matrix) => ({ rows: 1, columns: x.columns, data: rowOf(x, x.rows - 1) }),
  gradient(_, dOut, _out, x: Matrix) {
    const dX = matrix(x.rows, x.columns);
    rowOf(dX, x.rows - 1).set(dOut.data);
    return [dX];
  },
  terms: (_, cell, x: Matrix) => same(x, 0, x.rows - 1, cell[1]),
  dependents: (_, _input, cell, x: Matrix) => (cell[0] === x.rows - 1 ? one(0, cell[1]) : []),
};

/** Every token's embedding times the predicted one: a column, one score a token. */
export const ScoreTokens: Op = {
  value: (_, table: Matrix, x: Matrix) => productTurned(table, x), // [n_vocab, d], [R, d] -> [n_vocab, R]
  gradient: (_, dOut, _out, table: Matrix, x: Matrix) => [product(dOut, x), turnedProduct(dOut, table)],
  terms(_, [token, row], table: Matrix, x: Matrix) {
    const sum = products(table, cellsOf(0, token, 0, 1, table.columns), x, cellsOf(1, row, 0, 1, table.columns));
    return terms(sum.total, "{sum}", {}, { sum });
  },
  dependents: (_, input, cell, table: Matrix, x: Matrix) =>
    input === 0 ? [[cell[0], 0, 1, x.rows]] : [[0, cell[0], table.rows, 1]],
};

/** The greatest score and its token's id; of equals, the first. */
export const BestToken: Op = {
  value(_, logits: Matrix) { // [n_vocab, R] -> [2, R]
    const out = matrix(2, logits.columns);
    for (let j = 0; j < logits.columns; j++) {
      const best = bestRow(logits, j);
      out.data[j] = logits.data[best * logits.columns + j];
      out.data[logits.columns + j] = best;
    }
    return out;
  },
  gradient: () => [null],
  terms(_, cell, logits: Matrix) {
    const best = bestRow(logits, cell[1]);
    const numbers = { greatest: number(logits, 0, best, cell[1]), id: made(best) };
    const chosenBy = [cellsOf(0, 0, cell[1], logits.rows, 1)];
    const name = cell[0] === 0 ? "greatest" : "id";
    return terms(numbers[name].value, `{${name}}`, numbers, { chosenBy });
  },
  dependents: (_, _input, cell) => [[0, cell[1], 2, 1]],
};

/** The row of a column's greatest number; of equals, the first. */
function bestRow(x: Matrix, column: number): number {
  let best = 0;
  for (let i = 1; i < x.rows; i++) {
    if (x.data[i * x.columns + column] > x.data[best * x.columns + column]) best = i;
  }
  return best;
}
