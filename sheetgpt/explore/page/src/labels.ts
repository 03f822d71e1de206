/** What rows and columns of a stage or weight are called, from what their axis counts. */
import type { Axis, Facts, Run, Step, Weight } from "./source";
import { shown } from "./tokens";

/** The label of one row or column: a number, and the token where it has one. */
export interface Label {
  readonly number: number;
  readonly token: string;
  readonly head?: number;
}

export type Labels = (index: number) => Label;

export const stepOf = (facts: Facts, name: string): Step | undefined => facts.steps.find((step) => step.name === name);
/** A stage's name where its block is known; of a weight that it is one. */
export const shortOf = (facts: Facts, name: string): string => stepOf(facts, name)?.withinBlock ?? "weight";

export const weightOf = (facts: Facts, name: string): Weight | undefined => facts.weights.find((weight) => weight.name === name);

/** What the rows are labelled by, and what these labels are called. */
export function rowLabels(axis: Axis | null, run: Run, vocabulary: readonly string[]): { names: readonly [string, string]; label: Labels } {
  const token = (i: number): string => shown(run.tokens[i] ?? "");
  switch (axis) {
    case "tokens":
      return { names: ["position", "token"], label: (i) => ({ number: i, token: token(i) }) };
    case "last token":
      return { names: ["position", "token"], label: () => ({ number: run.tokens.length - 1, token: token(run.tokens.length - 1) }) };
    case "vocabulary":
      return { names: ["id", "token"], label: (i) => ({ number: i, token: shown(vocabulary[i] ?? "") }) };
    case "positions":
      return { names: ["position", ""], label: (i) => ({ number: i, token: "" }) };
    default:
      return { names: ["row", ""], label: (i) => ({ number: i, token: "" }) };
  }
}

/** The same of columns; those of heads say which head. */
export function columnLabels(step: Step | undefined, run: Run, columns: number, heads: number, vocabulary: readonly string[]): { names: readonly string[]; label: Labels } {
  const token = (i: number): string => shown(run.tokens[i] ?? "");
  const axis = step?.columns ?? null;
  if (step?.byHead) {
    const keys = columns / step.groups;
    return { names: ["head", "key", "token"], label: (i) => ({ head: Math.floor(i / keys), number: i % keys, token: token(i % keys) }) };
  }
  if (axis === "heads x dimensions") {
    return { names: ["head", "dimension"], label: (i) => ({ head: Math.floor((i * heads) / columns), number: i, token: "" }) };
  }
  if (axis === "keys") return { names: ["key", "token"], label: (i) => ({ number: i, token: token(i) }) };
  if (axis === "tokens" || axis === "vocabulary") {
    return { names: [axis === "tokens" ? "position" : "id", "token"], label: (i) => ({ number: i, token: axis === "tokens" ? token(i) : shown(vocabulary[i] ?? "") }) };
  }
  return { names: [axis === "dimensions" ? "dimension" : step ? axis ?? "column" : "column"], label: (i) => ({ number: i, token: "" }) };
}
