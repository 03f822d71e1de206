/** The same list in reverse: the gradient of every stage and every weight, by name. */
import { known, type Matrices, type Model } from "./forward";
import type { Matrix } from "./matrix";
import { opOf } from "./ops";
import { mapped } from "./ops_base";

/**
 * The gradient of each stage and weight on which a seeded stage depends.
 *
 * values: every stage's matrix, from `forward` with the same model, and the run's inputs.
 * seeds: the gradient at the stages where the chain begins.
 */
export function backward({ steps, weights }: Model, values: Matrices, seeds: Matrices): Map<string, Matrix> {
  const gradients = new Map(seeds);
  for (const step of [...steps].reverse()) {
    const dOut = gradients.get(step.name);
    if (step.isGiven || !dOut) continue;
    const inputs = step.inputs.map((name) => values.get(name) ?? known(weights, name));
    const made = opOf(step.op).gradient(step.op, dOut, known(values, step.name), ...inputs);
    step.inputs.forEach((name, place) => {
      const before = gradients.get(name);
      const found = made[place];
      if (found) gradients.set(name, before ? mapped(before, (value, at) => value + found.data[at]) : found);
    });
  }
  return gradients;
}
