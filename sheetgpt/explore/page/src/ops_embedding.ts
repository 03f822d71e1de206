/** Tokens and positions to rows: looked up in tables, or computed from the position alone. */
import { matrix, type Matrix } from "./matrix";
import { type Fields, field, mapped, type Op, rowOf, tableRow } from "./ops_base";
import { entry, made, number, one, rowOfIndex, rowsWhere, same, terms } from "./terms";

const POSITION_BASE = 10000; // of the angles by which sinusoidal and rotary positions turn

/** A matrix of zeros with each row of `rows` added at its index; an index may repeat. */
function addAtRows(like: Matrix, index: Matrix, rows: Matrix): Matrix {
  const total = matrix(like.rows, like.columns);
  index.data.forEach((at, i) => {
    const row = tableRow(total, at);
    for (let j = 0; j < row.length; j++) row[j] += rows.data[i * rows.columns + j];
  });
  return total;
}

/** The angle of the pair that a column is in, position / 10000^(2i / size): slower from pair to pair. */
const angle = (position: number, column: number, size: number): number =>
  position / POSITION_BASE ** ((column - (column % 2)) / size);

/** The same over a number called position. */
const angleInWords = (column: number, size: number): string => `{position} / ${POSITION_BASE}^(${column - (column % 2)} / ${size})`;

/** Row `id` of a table for each token id. */
export const TakeRows: Op = {
  value(_, table: Matrix, ids: Matrix) { // [n, d], [1, T] -> [T, d]
    const out = matrix(ids.columns, table.columns);
    ids.data.forEach((id, i) => rowOf(out, i).set(tableRow(table, id)));
    return out;
  },
  gradient: (_, dOut, _out, table: Matrix, ids: Matrix) => [addAtRows(table, ids, dOut), null],
  terms: (_, [row, column], table: Matrix, ids: Matrix) => same(table, 0, ids.data[row], column, entry(ids, 1, row).cells),
  dependents: (_, input, cell, table: Matrix, ids: Matrix) => (input === 0 ? rowsWhere(ids, cell) : rowOfIndex(cell, table)),
};

/** Each row plus the table's row for its position. */
export const AddRows: Op = {
  value(_, x: Matrix, table: Matrix, positions: Matrix) { // [T, d], [n_ctx, d], [1, T] -> [T, d]
    const out = matrix(x.rows, x.columns);
    for (let i = 0; i < x.rows; i++) {
      const [row, place, start] = [rowOf(out, i), tableRow(table, positions.data[i]), i * x.columns];
      for (let j = 0; j < row.length; j++) row[j] = x.data[start + j] + place[j];
    }
    return out;
  },
  gradient: (_, dOut, _out, _x, table: Matrix, positions: Matrix) => [dOut, addAtRows(table, positions, dOut), null],
  terms(_, [row, column], x: Matrix, table: Matrix, positions: Matrix) {
    const left = number(x, 0, row, column, true);
    const right = number(table, 1, positions.data[row], column, true);
    const chosenBy = [entry(positions, 2, row).cells!];
    return terms(left.value + right.value, "{left} + {right}", { left, right }, { chosenBy });
  },
  dependents(_, input, cell, x: Matrix, _table, positions: Matrix) {
    if (input === 1) return rowsWhere(positions, cell);
    return input === 0 ? one(...cell) : rowOfIndex(cell, x);
  },
};

/** The position table of "Attention Is All You Need" (3.5), as wide as x: sine and cosine of the pair's angle. */
export const Sinusoids: Op = {
  value(_, x: Matrix, positions: Matrix) { // [T, d], [1, T] -> [T, d]
    const width = x.columns + (x.columns % 2);
    return mapped(matrix(positions.columns, x.columns), (_zero, at) => {
      const column = at % x.columns;
      const turn = angle(positions.data[Math.floor(at / x.columns)], column, width);
      return column % 2 ? Math.cos(turn) : Math.sin(turn);
    });
  },
  gradient: () => [null, null],
  terms(_, [row, column], x: Matrix, positions: Matrix) {
    const width = x.columns + (x.columns % 2);
    const position = entry(positions, 1, row);
    const name = column % 2 ? "cos" : "sin";
    return terms(Math[name](angle(position.value, column, width)), `${name}(${angleInWords(column, width)})`, { position });
  },
  dependents: (_, input, cell, x: Matrix) => (input === 1 ? rowOfIndex(cell, x) : []),
};

/**
 * Each pair of columns (2i, 2i + 1) of a head turned by position / 10000^(2i / head size): RoFormer's positions.
 * After it, a query and a key meet at an angle that tells how far apart they are.
 */
export const Rotate: Op = {
  value: (op, x: Matrix, positions: Matrix) => turnedBy(op, x, positions, 1), // [T, d], [1, T] -> [T, d]
  gradient: (op, dOut, _out, _x, positions: Matrix) => [turnedBy(op, dOut, positions, -1), null],
  terms(op, [row, column], x: Matrix, positions: Matrix) {
    const size = headSize(op, x);
    const sign = column % 2 ? 1 : -1;
    const turn = angle(positions.data[row], column % size, size);
    const [itself, partner] = [number(x, 0, row, column), number(x, 0, row, column - sign)];
    const words = angleInWords(column % size, size);
    const formula = `{x} * cos(${words}) ${sign > 0 ? "+" : "-"} {partner} * sin(${words})`;
    const value = itself.value * Math.cos(turn) + sign * partner.value * Math.sin(turn);
    return terms(value, formula, { x: itself, partner, position: entry(positions, 1, row), angle: made(turn) });
  },
  dependents: (_, input, cell, x: Matrix) => (input === 0 ? [[cell[0], cell[1] - (cell[1] % 2), 1, 2]] : rowOfIndex(cell, x)),
};

const headSize = (op: Fields, x: Matrix): number => Math.floor(x.columns / field(op, "n_head"));

function turnedBy(op: Fields, x: Matrix, positions: Matrix, direction: 1 | -1): Matrix {
  const size = headSize(op, x);
  const out = matrix(x.rows, x.columns);
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j + 1 < x.columns; j += 2) {
      const turn = direction * angle(positions.data[i], j % size, size);
      const [cos, sin, at] = [Math.cos(turn), Math.sin(turn), i * x.columns + j];
      out.data[at] = x.data[at] * cos - x.data[at + 1] * sin;
      out.data[at + 1] = x.data[at + 1] * cos + x.data[at] * sin;
    }
  }
  return out;
}
