/**
 * Attention: who may look where, how well queries fit keys, the weights that follow, and the values mixed by them.
 *
 * A matrix of scores or weights is [queries, heads x keys]: one head's keys stand side by side, then the next head's.
 */
import { matrix, type Matrix } from "./matrix";
import { dot, field, type Op, rowOf } from "./ops_base";
import { cellsOf, entry, number, products, rowOfIndex, softmaxTerms, terms } from "./terms";

const MASKED = -1e10; // added to the scores that look ahead; exp(MASKED) is exactly 0
const MASKED_TEXT = "-1e10"; // the same, as a person writes it
const MASKED_BELOW = -9.9e8; // -1e9 with a score added or as bfloat16 rounds it, -1e10, -inf: as ports mask

/** Does a cell hold a mark of "may not look", or nothing? */
export const isMasked = (x: number): boolean => !(x > MASKED_BELOW);

/** 0 where a token may look (itself and before), -1e10 where it would look ahead. */
export const CausalMask: Op = {
  value(_, positions: Matrix, keys: Matrix) { // [1, Tq], [1, Tk] -> [Tq, Tk]
    const out = matrix(positions.columns, keys.columns);
    positions.data.forEach((query, i) => rowOf(out, i).set(keys.data.map((key) => (key > query ? MASKED : 0))));
    return out;
  },
  gradient: () => [null, null],
  terms(_, cell, positions: Matrix, keys: Matrix) {
    const [query, key] = [entry(positions, 0, cell[0]), entry(keys, 1, cell[1])];
    return terms(key.value > query.value ? MASKED : 0, `if({key} > {query}, ${MASKED_TEXT}, 0)`, { query, key });
  },
  dependents: (_, input, cell, positions: Matrix, keys: Matrix) =>
    input === 0 ? rowOfIndex(cell, keys) : [[0, cell[1], positions.columns, 1]],
};

/** How well each query fits each key, head by head, scaled by the head's size, the mask added. */
export const AttentionScores: Op = {
  value(op, queries: Matrix, keys: Matrix, mask: Matrix) { // [Tq, d], [Tk, d], [Tq, Tk] -> [Tq, H Tk]
    const heads = field(op, "n_head");
    const size = keys.columns / heads;
    const out = matrix(queries.rows, heads * keys.rows);
    for (let i = 0; i < queries.rows; i++) {
      for (let head = 0, at = i * out.columns; head < heads; head++) {
        for (let j = 0; j < keys.rows; j++, at++) {
          const fit = dot(queries.data, i * queries.columns + head * size, keys.data, j * keys.columns + head * size, size);
          out.data[at] = fit / Math.sqrt(size) + mask.data[i * mask.columns + j];
        }
      }
    }
    return out;
  },
  gradient(op, dOut, _out, queries: Matrix, keys: Matrix) {
    const heads = field(op, "n_head");
    const size = keys.columns / heads;
    const [dQueries, dKeys] = [matrix(queries.rows, queries.columns), matrix(keys.rows, keys.columns)];
    for (let i = 0; i < queries.rows; i++) {
      for (let head = 0, at = i * dOut.columns; head < heads; head++) {
        for (let j = 0; j < keys.rows; j++, at++) {
          const d = dOut.data[at] / Math.sqrt(size);
          const [query, key] = [i * queries.columns + head * size, j * keys.columns + head * size];
          addScaled(dQueries.data, query, keys.data, key, size, d);
          addScaled(dKeys.data, key, queries.data, query, size, d);
        }
      }
    }
    return [dQueries, dKeys, null];
  },
  terms(op, [row, column], queries: Matrix, keys: Matrix, masks: Matrix) {
    const size = keys.columns / field(op, "n_head");
    const [head, key] = [Math.floor(column / keys.rows), column % keys.rows];
    const sum = products(queries, cellsOf(0, row, head * size, 1, size), keys, cellsOf(1, key, head * size, 1, size));
    const mask = number(masks, 2, row, key, true);
    return terms(sum.total / Math.sqrt(size) + mask.value, `{sum} / sqrt(${size}) + {mask}`, { mask }, { sum });
  },
  dependents(op, input, [row, column], queries: Matrix, keys: Matrix) {
    const heads = field(op, "n_head");
    if (input === 2) return Array.from({ length: heads }, (_, head) => [row, head * keys.rows + column, 1, 1] as const);
    const first = Math.floor(column / (keys.columns / heads)) * keys.rows; // of its head
    return input === 0 ? [[row, first, 1, keys.rows]] : [[0, first + row, queries.rows, 1]];
  },
};

/** Adds `factor` times some numbers of y to as many of x, in place. */
function addScaled(x: Float64Array, at: number, y: Float64Array, there: number, count: number, factor: number): void {
  for (let i = 0; i < count; i++) x[at + i] += factor * y[there + i];
}

/** Scores to weights that add up to 1, row by row, in each of `groups` equal slices of the columns. */
export const Softmax: Op = {
  value(op, x: Matrix) { // [T, groups n] -> [T, groups n]
    const width = x.columns / field(op, "groups");
    const out = matrix(x.rows, x.columns);
    for (let start = 0; start < x.data.length; start += width) {
      softmaxOf(x.data.subarray(start, start + width), out.data.subarray(start, start + width));
    }
    return out;
  },
  gradient(op, dOut, out) {
    const width = out.columns / field(op, "groups");
    const dX = matrix(out.rows, out.columns);
    for (let start = 0; start < out.data.length; start += width) {
      const along = dot(dOut.data, start, out.data, start, width);
      for (let at = start; at < start + width; at++) dX.data[at] = (dOut.data[at] - along) * out.data[at];
    }
    return [dX];
  },
  terms(op, [row, column], x: Matrix) {
    const width = x.columns / field(op, "groups");
    return softmaxTerms(number(x, 0, row, column), x, [row, Math.floor(column / width) * width, 1, width]);
  },
  dependents(op, _input, [row, column], x: Matrix) {
    const width = x.columns / field(op, "groups");
    return [[row, Math.floor(column / width) * width, 1, width]];
  },
};

function softmaxOf(scores: Float64Array, into: Float64Array): void {
  const greatest = scores.reduce((a, b) => (b > a ? b : a));
  let total = 0;
  for (let i = 0; i < scores.length; i++) total += into[i] = Math.exp(scores[i] - greatest);
  for (let i = 0; i < scores.length; i++) into[i] /= total;
}

/** The values, weighted by the attention, head by head. */
export const AttentionMix: Op = {
  value(op, weights: Matrix, values: Matrix) { // [Tq, H Tk], [Tk, d] -> [Tq, d]
    const out = matrix(weights.rows, values.columns);
    eachWeight(op.n_head as number, weights, values, (at, query, key, size) =>
      addScaled(out.data, query, values.data, key, size, weights.data[at]),
    );
    return out;
  },
  gradient(op, dOut, _out, weights: Matrix, values: Matrix) {
    const [dWeights, dValues] = [matrix(weights.rows, weights.columns), matrix(values.rows, values.columns)];
    eachWeight(op.n_head as number, weights, values, (at, query, key, size) => {
      dWeights.data[at] = dot(dOut.data, query, values.data, key, size);
      addScaled(dValues.data, key, dOut.data, query, size, weights.data[at]);
    });
    return [dWeights, dValues];
  },
  terms(op, [row, column], weights: Matrix, values: Matrix) {
    const head = Math.floor(column / (values.columns / field(op, "n_head")));
    const left = cellsOf(0, row, head * values.rows, 1, values.rows);
    const sum = products(weights, left, values, cellsOf(1, 0, column, values.rows, 1));
    return terms(sum.total, "{sum}", {}, { sum });
  },
  dependents(op, input, [row, column], weights: Matrix, values: Matrix) {
    if (input === 1) return [[0, column, weights.rows, 1]];
    const size = values.columns / field(op, "n_head");
    return [[row, Math.floor(column / values.rows) * size, 1, size]];
  },
};

type Visit = (at: number, query: number, key: number, size: number) => void;

/** For each weight: its place, and where its head's part of the query's row and of the key's row begins. */
function eachWeight(heads: number, weights: Matrix, values: Matrix, visit: Visit): void {
  const width = values.columns;
  const size = width / heads;
  for (let i = 0, at = 0; i < weights.rows; i++) {
    for (let head = 0; head < heads; head++) {
      for (let j = 0; j < values.rows; j++, at++) visit(at, i * width + head * size, j * width + head * size, size);
    }
  }
}
