/**
 * A model that is being trained on the page: its weights on their way, the words that it learns from, the course of its
 * loss. What is shown of it stands in `learn.tsx` and beside it.
 */
import { batch, computed, effect, signal } from "@preact/signals";
import type { Matrices } from "./forward";
import type { Matrix } from "./matrix";
import type { Run, Training, Word } from "./source";
import * as state from "./state";
import { NUDGE_SHOWN, nudgedLoss, trainStep, type TrainedStep } from "./training";
import { batchOf, exampleOfIds, type Example } from "./training_examples";
import { DEFAULTS, stateOf, type Settings, type State } from "./training_update";
import { textOf, unspell } from "./words";

const FRAME = 12; // ms of each frame that are for steps
const NUDGES = 25; // and for nudges
const MOST_NUDGED = 400; // weights of a model whose nudges are computed while it runs

// ------------------------------------------------------------------------------------------------ what is learned from

export const training = (): Training => state.facts.training!;

/** A token as a person types it. */
export const readable = (id: number): string => textOf(unspell(state.vocabulary.value[id] ?? `#${id}`));

/** The prompt as a word. */
export const word = computed<Word | null>(() => {
  const run = state.shownRun.value;
  return run && { text: run.prompt ?? run.tokens.join(""), ids: run.ids };
});
export const words = signal<readonly Word[]>([]); // that may be learned together
export const together = signal(false); // are they, or is it the prompt alone?

export const isListed = ({ ids }: Word): boolean => words.value.some((one) => String(one.ids) === String(ids));
export const addWord = (added: Word): void => void (isListed(added) || (words.value = [...words.value, added]));
export const removeWord = (gone: Word): void => void (words.value = words.value.filter((one) => one !== gone));

interface Tried<T> {
  readonly found: T | null;
  readonly error: string | null;
}

function tried<T>(make: () => T): Tried<T> {
  try {
    return { found: make(), error: null };
  } catch (error) {
    return { found: null, error: (error as Error).message };
  }
}

/** Throws where there is nothing to learn from. */
function exampleOfWord({ ids }: Word): Example {
  const { end, characters } = training();
  return exampleOfIds(ids, { end, characters, room: state.facts.model.room, readable });
}

/** The prompt as training sees it; null where it can't be learned. */
export const wordExample = computed<Example | null>(() => word.value && tried(() => exampleOfWord(word.value!)).found);

/** The examples of each step: the prompt's, or those of all words. */
const examples = computed<Tried<readonly Example[]>>(() =>
  tried(() => batchOf((together.value ? words.value : word.value ? [word.value] : []).map(exampleOfWord))),
);

// ------------------------------------------------------------------------------------------------ the model on its way

const first = signal<Matrices | null>(null); // the weights before any step
const now = signal<State | null>(null);
export const settings = signal<Settings>(DEFAULTS);
export const stopped = signal<string | null>(null); // why training went no further

/** The step that would come next: the loss as the weights stand, their gradients, and what they would become. */
const tryNext = computed<Tried<TrainedStep>>(() => {
  const [at, seen] = [now.value, examples.value];
  if (!at || !seen.found?.length) return { found: null, error: seen.error ?? (at ? "there is no word to learn from: add one" : null) };
  return tried(() => trainStep(at, seen.found!, settings.value));
});
export const next = computed(() => tryNext.value.found);
export const refusal = computed(() => tryNext.value.error);
export const weights = computed<Matrices | null>(() => now.value?.model.weights ?? null);
export const stepsDone = computed(() => now.value?.steps ?? 0);

/** The weights as doubles, whichever run the page shows. */
async function firstWeights(run: Run): Promise<Matrices> {
  const ofOne = async ({ name, rows, columns }: { name: string; rows: number; columns: number }): Promise<[string, Matrix]> => [
    name,
    await state.getSource().cells(run, { stage: name, row: 0, column: 0, rows, columns }),
  ];
  return new Map(await Promise.all(state.facts.weights.map(ofOne)));
}

/** Have the weights at hand; once. */
export async function prepare(): Promise<void> {
  const run = state.shownRun.peek();
  if (first.peek() || !run) return;
  const found = await firstWeights(run.before ?? run);
  const { optimizer, words: offered } = training();
  batch(() => {
    settings.value = { ...DEFAULTS, optimizer };
    words.value = offered;
    first.value = found;
    restart();
  });
}

/** The first weights again. */
export function restart(): void {
  stop();
  batch(() => {
    const model = { steps: state.facts.trainingSteps, weights: first.peek()! };
    now.value = stateOf(model, training().decayed);
    course.value = { steps: [], losses: [], of: null };
    stopped.value = null;
  });
}

// ------------------------------------------------------------------------------------------------ steps

/** The loss before each step that was done; a gap where another text is learned from. */
interface Course {
  readonly steps: readonly number[]; // that were done before
  readonly losses: readonly (number | null)[];
  readonly of: readonly Example[] | null; // what the last of them are the loss of
}

const course = signal<Course>({ steps: [], losses: [], of: null });

/** Why the weights after a step can't stay; null where they can. */
function wrongWith({ number, after }: TrainedStep): string | null {
  const isWrong = training().plainShares && [...after.model.weights.values()].some(({ data }) => data.some((value) => !(value > 0)));
  const { kind } = state.facts.model;
  return isWrong ? `a weight of the ${kind} would fall to 0 or below at step ${number}, so it is no share of a sum any more: give a smaller learning rate or fewer steps` : null;
}

/** Steps until `count` are done, time is up, or one can't be; how many were done. */
function advance(count: number, until: number): number {
  const [seen, coming] = [examples.peek().found, next.peek()];
  let at = now.peek();
  const [steps, losses]: [number[], (number | null)[]] = [[], []];
  let why = refusal.peek();
  while (at && seen && why === null && steps.length < count && (steps.length === 0 || performance.now() < until)) {
    const made = coming?.before === at ? { found: coming, error: null } : tried(() => trainStep(at!, seen, settings.peek()));
    why = made.error ?? wrongWith(made.found!);
    if (why !== null) break;
    steps.push(at.steps);
    losses.push(made.found!.loss);
    at = made.found!.after;
  }
  batch(() => {
    if (steps.length) course.value = longer(course.peek(), steps, losses, seen!);
    now.value = at;
    stopped.value = why;
  });
  return steps.length;
}

function longer(before: Course, steps: readonly number[], losses: readonly (number | null)[], of: readonly Example[]): Course {
  const isOther = before.of !== null && !sameTexts(before.of, of);
  const gap = isOther ? [steps[0]!] : [];
  return { steps: [...before.steps, ...gap, ...steps], losses: [...before.losses, ...gap.map(() => null), ...losses], of };
}

export const sameTexts = (one: readonly Example[], other: readonly Example[]): boolean =>
  one.length === other.length && one.every(({ ids }, i) => String(ids) === String(other[i]!.ids));

/** The course as a curve: to its end, the loss as the weights stand. */
export const curve = computed<Course>(() => {
  const [before, coming, of] = [course.value, next.value, examples.value.found];
  return coming && of ? longer(before, [coming.before.steps], [coming.loss], of) : before;
});

// ------------------------------------------------------------------------------------------------ running

export const left = signal<number | null>(null); // steps that are still to be done; Infinity: until it is stopped
export const isRunning = computed(() => left.value !== null);
let frame = 0;

/** Do steps, frame by frame, so that what they do is seen and the page answers. */
export function go(count: number): void {
  stop();
  left.value = count;
  goOn();
}

function goOn(): void {
  const wanted = left.peek();
  if (wanted === null) return;
  const done = advance(wanted, performance.now() + FRAME);
  left.value = done && wanted > done ? wanted - done : null;
  if (left.peek() !== null) frame = requestAnimationFrame(goOn);
}

export function stop(): void {
  cancelAnimationFrame(frame);
  left.value = null;
}

effect(() => void (state.view.value === "learn" || stop()));

// ------------------------------------------------------------------------------------------------ nudges

export const nudge = signal(NUDGE_SHOWN);
const nudgedLosses = new WeakMap<TrainedStep, Map<string, number>>();

/** Nudges of a large model are computed where it rests. */
const isNudged = computed(() => !isRunning.value || state.facts.weights.reduce((sum, { rows, columns }) => sum + rows * columns, 0) <= MOST_NUDGED);
const late = signal(0); // frames that begin with nudges left out by the one before
let [isOpen, isLate, until] = [false, false, 0];

/** Is there time in this frame for another nudge? Where there is none, who asked is drawn again in the next. */
function hasTime(): boolean {
  void late.value;
  if (!isOpen) {
    [isOpen, until] = [true, performance.now() + NUDGES];
    requestAnimationFrame(() => {
      const wasLate = isLate;
      [isOpen, isLate] = [false, false];
      if (wasLate) late.value++;
    });
  }
  isLate ||= performance.now() > until;
  return !isLate;
}

/** The loss if one cell of a weight were `by` more, computed once for weights as they stand; null while it isn't there. */
export function lossIf(step: TrainedStep, name: string, at: number, by: number): number | null {
  const kept = nudgedLosses.get(step) ?? new Map<string, number>();
  nudgedLosses.set(step, kept);
  const key = `${name} ${at} ${by}`;
  const found = kept.get(key);
  if (found !== undefined) return found;
  if (!isNudged.value || !hasTime()) return null;
  const loss = nudgedLoss(step.before.model, step.runs, name, at, by);
  kept.set(key, loss);
  return loss;
}
