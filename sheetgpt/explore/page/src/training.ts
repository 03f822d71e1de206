/**
 * A step of training with every number kept, as `sheetgpt train-step` does it: loss, gradients, update.
 *
 * The list of steps up to the penalties comes as data, the gradient of a list from `backward`. What is learned from
 * stands in `training_examples`, the optimisers in `training_update`.
 */
import { backward } from "./backward";
import { forward, inputsOf, known, type Matrices, type Model, nameOf, row } from "./forward";
import { matrix, type Matrix } from "./matrix";
import { type Penalty, penaltyOf } from "./ops";
import { dot, mapped } from "./ops_base";
import type { Example } from "./training_examples";
import { type Settings, type State, updated } from "./training_update";

const NUDGE = 1e-6; // of one weight, where the gradient is numeric
export const NUDGE_SHOWN = 0.01; // where the effect of a nudge is shown

/** One example in a step: every stage before it, and the gradient of each. */
export interface ExampleRun {
  readonly example: Example;
  readonly values: Matrices;
  readonly gradients: Matrices; // of stages and weights; empty where the gradient is numeric
}

/** One step of training: all that takes part. */
export interface TrainedStep {
  readonly number: number; // from 1
  readonly loss: number; // before the step
  readonly runs: readonly ExampleRun[];
  readonly gradients: Matrices; // of the weights, over all examples
  readonly before: State;
  readonly after: State;
}

/** The operation that makes a model's penalties. */
export function penaltyOfModel({ steps }: Model): Penalty {
  return penaltyOf(steps.find((step) => step.role === "PENALTIES")!.op);
}

/** Every stage of one example. */
export const runOf = (model: Model, { ids, targets }: Example): Map<string, Matrix> => forward(model, inputsOf(model.steps, ids, targets));

/** The loss of one example: its penalties, each times its share. */
function lossIn(model: Model, { share }: Example, values: Matrices): number {
  const penalties = known(values, nameOf("PENALTIES", model.steps)).data;
  return dot(penalties, 0, Float64Array.from(share), 0, share.length);
}

/** The loss of a model: the examples' penalties, each times its share. */
export function lossOf(model: Model, examples: readonly Example[]): number {
  return examples.reduce((sum, example) => sum + lossIn(model, example, runOf(model, example)), 0);
}

/** The step that follows from a state. Throws where the loss is no number. */
export function trainStep(before: State, examples: readonly Example[], settings: Settings): TrainedStep {
  const { model } = before;
  const penalties = nameOf("PENALTIES", model.steps);
  const runs = examples.map((example): ExampleRun => {
    const values = runOf(model, example);
    const seeds = new Map([[penalties, row(example.share)]]);
    return { example, values, gradients: settings.gradient === "numeric" ? new Map() : backward(model, values, seeds) };
  });
  const number = before.steps + 1;
  const loss = runs.reduce((sum, { example, values }) => sum + lossIn(model, example, values), 0);
  if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss} at step ${number}: try a smaller learning rate`);
  const gradients = settings.gradient === "numeric" ? numericGradients(model, examples) : added(model, runs);
  return { number, loss, runs, gradients, before, after: updated(before, gradients, settings) };
}

/** The gradients of the weights over all examples. */
function added(model: Model, runs: readonly ExampleRun[]): Map<string, Matrix> {
  return new Map(
    Array.from(model.weights, ([name, weight]) => {
      const parts = runs.map(({ gradients }) => gradients.get(name)).filter((one) => one !== undefined);
      return [name, parts.slice(1).reduce(plus, parts[0] ?? matrix(weight.rows, weight.columns))];
    }),
  );
}

const plus = (x: Matrix, y: Matrix): Matrix => mapped(x, (value, at) => value + y.data[at]);

// ------------------------------------------------------------------------------------------------ nudges

/** The loss after nudging each cell of a weight by itself, and the slope from there. */
export interface Nudged {
  readonly losses: Matrix;
  readonly slopes: Matrix;
}

/** An example and its stages before a nudge. */
type Seen = Pick<ExampleRun, "example" | "values">;

export function nudged(model: Model, examples: readonly Example[], name: string, by = NUDGE_SHOWN): Nudged {
  const runs = examples.map((example) => ({ example, values: runOf(model, example) }));
  const before = runs.reduce((sum, { example, values }) => sum + lossIn(model, example, values), 0);
  const losses = mapped(known(model.weights, name), (_, at) => nudgedLoss(model, runs, name, at, by));
  return { losses, slopes: mapped(losses, (loss) => (loss - before) / by) };
}

/** The loss after nudging one cell of a weight; `at` counts the cells row by row. */
export function nudgedLoss(model: Model, runs: readonly Seen[], name: string, at: number, by = NUDGE_SHOWN): number {
  const weight = mapped(known(model.weights, name), (value, i) => (i === at ? value + by : value));
  return runs.reduce((sum, { example, values }) => sum + lossWith(model, example, values, name, weight), 0);
}

/** The loss of an example with another matrix in place of a weight; what that doesn't reach is taken. */
function lossWith(model: Model, example: Example, base: Matrices, name: string, weight: Matrix): number {
  const given = inputsOf(model.steps, example.ids, example.targets);
  return lossIn(model, example, forward(model, given, { overrides: new Map([[name, weight]]), base }));
}

/** The gradient of every weight by nudging one at a time. */
export function numericGradients(model: Model, examples: readonly Example[], by = NUDGE): Map<string, Matrix> {
  return new Map(Array.from(model.weights.keys(), (name) => [name, nudged(model, examples, name, by).slopes]));
}

/** The share of all positions at which each token came: [n_vocab, 1]. */
export function targetShares(examples: readonly Example[], nVocab: number): Matrix {
  const shares = matrix(nVocab, 1);
  for (const { targets, share } of examples) targets.forEach((target, i) => (shares.data[target] += share[i]));
  return shares;
}

// ------------------------------------------------------------------------------------------------ as a table

/** One prediction: what stood before, what came, how probable the model thought it. */
export interface LossRow {
  readonly position: number;
  readonly context: string;
  readonly target: string;
  readonly probability: number;
  readonly penalty: number;
  readonly share: number;
}

export function lossTable(model: Model, { example, values }: Pick<ExampleRun, "example" | "values">): LossRow[] {
  const penalties = known(values, nameOf("PENALTIES", model.steps)).data;
  const { probability } = penaltyOfModel(model);
  const { context, coming, share } = example;
  return share.map((one, position) => ({
    position,
    context: context[position],
    target: coming[position],
    probability: probability(penalties[position]),
    penalty: penalties[position],
    share: one,
  }));
}
