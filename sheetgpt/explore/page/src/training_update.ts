/** From gradients to new weights: AdamW or SGD, and what decays; the learning rate stays, and nothing is clipped. */
import { known, type Matrices, type Model } from "./forward";
import { matrix, type Matrix } from "./matrix";
import { mapped } from "./ops_base";

/** How a model is trained: the options of `sheetgpt train-step`. */
export interface Settings {
  readonly optimizer: "sgd" | "adamw";
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly gradient: "backprop" | "numeric";
}

export const DEFAULTS: Settings = {
  optimizer: "adamw",
  learningRate: 0.1,
  weightDecay: 0,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  gradient: "backprop",
};

/** A model on its way: the list of steps up to the penalties, the weights, and what AdamW keeps of their gradients. */
export interface State {
  readonly model: Model;
  readonly decayed: ReadonlySet<string>; // the weights on which decay pulls: all but gains and biases
  readonly steps: number; // that were done
  readonly means: Matrices;
  readonly squares: Matrices;
}

export function stateOf(model: Model, decayed: Iterable<string>): State {
  const zeros = (): Matrices => new Map(Array.from(model.weights, ([name, { rows, columns }]) => [name, matrix(rows, columns)]));
  return { model, decayed: new Set(decayed), steps: 0, means: zeros(), squares: zeros() };
}

/** The state after a step by these gradients. */
export function updated(state: State, gradients: Matrices, settings: Settings): State {
  const update = settings.optimizer === "sgd" ? sgd : adamw;
  const [weights, means, squares] = [new Map<string, Matrix>(), new Map(state.means), new Map(state.squares)];
  for (const [name, weight] of state.model.weights) {
    const kept = state.decayed.has(name) ? 1 - settings.learningRate * settings.weightDecay : 1;
    const moments = { mean: known(means, name), square: known(squares, name) };
    const made = update(mapped(weight, (value) => value * kept), known(gradients, name), moments, settings, state.steps + 1);
    weights.set(name, made.weight);
    means.set(name, made.mean);
    squares.set(name, made.square);
  }
  return { ...state, model: { ...state.model, weights }, steps: state.steps + 1, means, squares };
}

interface Moments {
  readonly mean: Matrix;
  readonly square: Matrix;
}

type Update = (weight: Matrix, gradient: Matrix, moments: Moments, settings: Settings, step: number) => Moments & { weight: Matrix };

const sgd: Update = (weight, gradient, moments, { learningRate }) => ({
  ...moments,
  weight: mapped(weight, (value, at) => value - learningRate * gradient.data[at]),
});

const adamw: Update = (weight, gradient, moments, { learningRate, beta1, beta2, epsilon }, step) => {
  const mean = mapped(moments.mean, (value, at) => value * beta1 + (1 - beta1) * gradient.data[at]);
  const square = mapped(moments.square, (value, at) => value * beta2 + (1 - beta2) * gradient.data[at] ** 2);
  const ofRoot = 1 / Math.sqrt(1 - beta2 ** step);
  const rate = learningRate / (1 - beta1 ** step);
  const moved = (value: number, at: number): number => value - (mean.data[at] / (Math.sqrt(square.data[at]) * ofRoot + epsilon)) * rate;
  return { weight: mapped(weight, moved), mean, square };
};
