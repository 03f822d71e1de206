/** What bends a hidden layer, cell by cell: GPT-2's GELU, and the plainer ReLU. */
import type { Matrix } from "./matrix";
import { mapped, type Op } from "./ops_base";
import { number, one, terms } from "./terms";

const CUBIC = 0.044715;
const SLOPE = Math.sqrt(2 / Math.PI);

const bend = (x: number): number => Math.tanh(SLOPE * (x + CUBIC * x * x * x));

/** GPT-2's activation: the tanh approximation of x times the normal distribution's cumulative function. */
export const Gelu: Op = {
  value: (_, x: Matrix) => mapped(x, (value) => 0.5 * value * (1 + bend(value))),
  gradient: (_, dOut, _out, x: Matrix) => [
    mapped(dOut, (d, at) => {
      // in the forward pass this was 0.5 x (1 + t), t = tanh(u), u = SLOPE (x + CUBIC x^3)
      const value = x.data[at];
      const t = bend(value);
      const du = SLOPE * (1 + 3 * CUBIC * value * value);
      return d * 0.5 * (1 + t) * (1 + value * (1 - t) * du);
    }),
  ],
  terms(_, [row, column], x: Matrix) {
    const found = number(x, 0, row, column);
    const formula = `0.5 * {x} * (1 + tanh(sqrt(2 / pi) * ({x} + ${CUBIC} * {x}^3)))`;
    return terms(0.5 * found.value * (1 + bend(found.value)), formula, { x: found });
  },
  dependents: (_, _input, [row, column]) => one(row, column),
};

/** What is above 0 stays, all else becomes 0. */
export const Relu: Op = {
  value: (_, x: Matrix) => mapped(x, (value) => Math.max(value, 0)),
  gradient: (_, dOut, _out, x: Matrix) => [mapped(dOut, (d, at) => (x.data[at] > 0 ? d : 0))],
  terms(_, [row, column], x: Matrix) {
    const found = number(x, 0, row, column);
    return terms(Math.max(found.value, 0), "max({x}, 0)", { x: found });
  },
  dependents: Gelu.dependents,
};
