/** What a step of training holds of each matrix, number by number: of weights `train-step`'s columns, of stages two. */
import { computed, signal } from "@preact/signals";
import { known, type Matrices } from "./forward";
import { columnLabels, rowLabels, type Labels } from "./labels";
import * as learning from "./learning";
import type { Matrix } from "./matrix";
import * as numbers from "./numbers";
import type { Step } from "./source";
import * as state from "./state";
import type { TrainedStep } from "./training";

// ------------------------------------------------------------------------------------------------ which matrix

/** A matrix to look at: a weight, or a stage of the word's run. */
interface Shown {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly step: Step | null; // of a stage
}

const chosen = signal<string | null>(null);
export const spot = signal<{ readonly row: number; readonly column: number }>({ row: 0, column: 0 });

export function choose(name: string): void {
  chosen.value = name;
  spot.value = { row: 0, column: 0 };
}

/** The word's part of the next step; none where the word is not among those that are learned. */
const ofWord = computed(() => {
  const word = learning.wordExample.value;
  return (word && learning.next.value?.runs.find(({ example }) => learning.sameTexts([example], [word]))) ?? null;
});

/** The stages that can be looked at. */
export const stages = computed<readonly Step[]>(() => {
  const found = learning.next.value ? ofWord.value : null;
  return state.facts.trainingSteps.filter(({ isGiven, name }) => !isGiven && found?.values.has(name));
});

export const shown = computed<Shown>(() => {
  const { weights } = state.facts;
  const step = stages.value.find((one) => one.name === chosen.value);
  if (step) {
    const { rows, columns } = known(ofWord.value!.values, step.name);
    return { name: step.name, rows, columns, step };
  }
  const { name, rows, columns } = weights.find((one) => one.name === chosen.value) ?? weights[0]!;
  return { name, rows, columns, step: null };
});

/** What its rows and columns are called. */
export function labelsOf({ name, columns, step }: Shown): { rows: ReturnType<typeof rowLabels>; columns: { names: readonly string[]; label: Labels } } {
  const run = { ...state.shownRun.value!, tokens: ofWord.value?.example.context ?? [] };
  const vocabulary = state.vocabulary.value.map((_, id) => learning.readable(id));
  const axis = step ? step.rows : state.facts.weights.find((one) => one.name === name)!.counts;
  return { rows: rowLabels(axis, run, vocabulary), columns: columnLabels(step ?? undefined, run, columns, step?.groups ?? 1, vocabulary) };
}

// ------------------------------------------------------------------------------------------------ its numbers

/** One number of each cell; `at` counts the cells row by row. */
export interface Column {
  readonly name: string;
  readonly title: string;
  readonly digits: number;
  readonly of: (step: TrainedStep, name: string, at: number) => number | null; // null while it isn't there
  readonly end: (step: TrainedStep, name: string) => number; // of the scale of colours
  readonly isNudge?: boolean; // a few digits that stay are what is compared
  readonly isLoss?: boolean; // coloured by how far it is from the loss as it stands
}

const size = ({ data }: Matrix): number => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A column of one matrix of the step. */
const held = (name: string, title: string, of: (step: TrainedStep) => Matrices): Column => ({
  name,
  title,
  digits: 4,
  of: (step, matrix, at) => known(of(step), matrix).data[at]!,
  end: (step, matrix) => size(known(of(step), matrix)),
});

const gradientEnd = ({ gradients }: TrainedStep, name: string): number => size(known(gradients, name));

function nudges(): readonly Column[] {
  const by = learning.nudge.value;
  const loss = (name: string, sign: 1 | -1): Column => ({
    name,
    title: `loss at ${sign > 0 ? "+" : "−"}${numbers.full(by)}`,
    digits: 5,
    of: (step, matrix, at) => learning.lossIf(step, matrix, at, sign * by),
    end: (step, matrix) => gradientEnd(step, matrix) * by,
    isNudge: true,
    isLoss: true,
  });
  const slope = (step: TrainedStep, name: string, at: number): number | null => {
    const found = learning.lossIf(step, name, at, by);
    return found === null ? null : (found - step.loss) / by;
  };
  return [loss("more", 1), loss("less", -1), { name: "slope", title: "slope", digits: 5, of: slope, end: gradientEnd, isNudge: true }];
}

export const changeOf = ({ before, after }: TrainedStep, name: string, at: number): number =>
  known(after.model.weights, name).data[at]! - known(before.model.weights, name).data[at]!;

const OLD = held("old", "old", ({ before }) => before.model.weights);
const GRADIENT = held("gradient", "gradient", ({ gradients }) => gradients);
const MOMENTS = [held("mean", "mean", ({ after }) => after.means), held("square", "square", ({ after }) => after.squares)];
const NEW = held("new", "new", ({ after }) => after.model.weights);
const CHANGE: Column = {
  name: "change",
  title: "change",
  digits: 4,
  of: changeOf,
  end: (step, name) => known(step.before.model.weights, name).data.reduce((most, _, at) => Math.max(most, Math.abs(changeOf(step, name, at))), 0),
};
const OF_STAGES = [held("old", "value", () => ofWord.value!.values), held("gradient", "gradient", () => ofWord.value!.gradients)];

export function columnsOf({ step, name }: Shown): readonly Column[] {
  if (step) return OF_STAGES.filter((column) => column.name !== "gradient" || ofWord.value!.gradients.has(name));
  return [OLD, ...nudges(), GRADIENT, ...(learning.settings.value.optimizer === "adamw" ? MOMENTS : []), NEW, CHANGE];
}

/** As it is shown: nudges with as many digits as they have, others by powers of ten where they are small. */
export function textOf({ of, digits, isNudge }: Column, step: TrainedStep, name: string, at: number): string {
  const found = of(step, name, at);
  return found === null ? "" : isNudge ? numbers.cell(found, digits) : numbers.short(found, digits);
}
