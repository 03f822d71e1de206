/** Each prediction's penalty, from the scores or from the probabilities, given the token that came (`targets`). */
import { matrix, type Matrix } from "./matrix";
import { mapped, type Op } from "./ops_base";
import { type Cells, entry, number, one, softmaxTerms, terms } from "./terms";

/** What every penalty is: one number a prediction, and a way back to the probability of the token that came. */
export interface Penalty extends Op {
  readonly inShort: string; // p: the probability of the token that came
  probability(penalty: number): number;
}

const minusLog = { inShort: "-ln p", probability: (penalty: number): number => Math.exp(-penalty) };

const atTarget = (x: Matrix, targets: Matrix, column: number): number => x.data[targets.data[column] * x.columns + column];

/** One number a column. */
const aColumn = (x: Matrix, make: (column: number) => number): Matrix => mapped(matrix(1, x.columns), (_zero, column) => make(column));

/** Zeros but at each prediction's target. */
function spreadAtTargets(targets: Matrix, like: Matrix, make: (column: number) => number): Matrix {
  const spread = matrix(like.rows, like.columns);
  targets.data.forEach((target, column) => (spread.data[target * like.columns + column] = make(column)));
  return spread;
}

/** The target of a penalty, as what chooses its number. */
const target = (targets: Matrix, column: number): Cells[] => [entry(targets, 1, column).cells!];

/** -ln of the probability that the scores give to the token that came. */
export const LogLoss: Penalty = {
  ...minusLog,
  value: (_, logits: Matrix, targets: Matrix) => // [n_vocab, R], [1, R] -> [1, R]
    aColumn(logits, (column) => {
      let [greatest, sum] = [-Infinity, 0];
      for (let at = column; at < logits.data.length; at += logits.columns) greatest = Math.max(greatest, logits.data[at]);
      for (let at = column; at < logits.data.length; at += logits.columns) sum += Math.exp(logits.data[at] - greatest);
      return greatest + Math.log(sum) - atTarget(logits, targets, column);
    }),
  gradient(_, dOut, out, logits: Matrix, targets: Matrix) {
    // the penalty rises by each token's probability and falls by 1 for the token that came
    const dLogits = mapped(logits, (logit, at) => {
      const column = at % logits.columns;
      return Math.exp(logit - out.data[column] - atTarget(logits, targets, column));
    });
    targets.data.forEach((one, column) => (dLogits.data[one * logits.columns + column] -= 1));
    return [mapped(dLogits, (d, at) => d * dOut.data[at % logits.columns]), null];
  },
  terms(_, [, column], logits: Matrix, targets: Matrix) {
    const chosen = number(logits, 0, targets.data[column], column);
    const { sum, numbers } = softmaxTerms(chosen, logits, [0, column, logits.rows, 1]);
    const { greatest, denominator } = numbers;
    const value = Math.log(denominator.value) + greatest.value - chosen.value;
    const rest = { sum, chosenBy: target(targets, column), source: "chosen" };
    return terms(value, "ln({sum}) + {greatest} - {chosen}", { chosen, greatest }, rest);
  },
  dependents: (_, _input, cell) => one(0, cell[1]),
};

/** 1 minus the probability of the token that came: the plainest penalty. */
export const Missed: Penalty = {
  inShort: "1 - p",
  probability: (penalty) => 1 - penalty,
  value: (_, probabilities: Matrix, targets: Matrix) => // [n_vocab, R], [1, R] -> [1, R]
    aColumn(probabilities, (column) => 1 - atTarget(probabilities, targets, column)),
  gradient: (_, dOut, _out, probabilities: Matrix, targets: Matrix) => [
    spreadAtTargets(targets, probabilities, (column) => -dOut.data[column]),
    null,
  ],
  terms(_, [, column], probabilities: Matrix, targets: Matrix) {
    const chosen = number(probabilities, 0, targets.data[column], column);
    return terms(1 - chosen.value, "1 - {chosen}", { chosen }, { chosenBy: target(targets, column) });
  },
  dependents: (_, input, [row, column], _probabilities, targets: Matrix) =>
    input === 1 || targets.data[column] === row ? one(0, column) : [],
};

/** -ln of the probability of the token that came. */
export const Surprise: Penalty = {
  ...minusLog,
  value: (_, probabilities: Matrix, targets: Matrix) => // [n_vocab, R], [1, R] -> [1, R]
    aColumn(probabilities, (column) => -Math.log(atTarget(probabilities, targets, column))),
  gradient: (_, dOut, _out, probabilities: Matrix, targets: Matrix) => [
    spreadAtTargets(targets, probabilities, (column) => -dOut.data[column] / atTarget(probabilities, targets, column)),
    null,
  ],
  terms(_, [, column], probabilities: Matrix, targets: Matrix) {
    const chosen = number(probabilities, 0, targets.data[column], column);
    return terms(-Math.log(chosen.value), "-ln({chosen})", { chosen }, { chosenBy: target(targets, column) });
  },
  dependents: Missed.dependents,
};
