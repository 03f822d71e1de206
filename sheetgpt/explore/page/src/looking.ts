/** Which head, token and cell the view of attention is about: what was chosen, and what the pointer rests on. */
import { effect, signal } from "@preact/signals";
import { attentionSteps, largest, MOST_TOKENS, sharesOf } from "./heads";
import type { Run, Step } from "./source";
import * as state from "./state";

export interface Looked {
  readonly step: Step;
  readonly head: number;
  readonly row: number; // the token that looks
  readonly key: number; // the token that is looked at
}

/** What the pointer or the focus rests on; of a token alone there is no key. */
interface Pointed {
  readonly step: Step | null;
  readonly head: number | null;
  readonly row: number;
  readonly key: number | null;
}

const from = signal<number | null>(null); // the token that was chosen in this view
export const pointed = signal<Pointed | null>(null);

/** Where the pointer has stayed for a moment: rows of many tokens are fetched for these alone. */
const rested = signal<Pointed | null>(null);
const REST = 120; // ms
let timer = 0;
effect(() => {
  const at = pointed.value;
  clearTimeout(timer);
  timer = window.setTimeout(() => (rested.value = at), REST);
});

/** The last whole run: what is shown until the next is there. */
export const runInView = (): Run | null => (state.run.value?.done ? state.run.value : state.shownRun.value);

/** Forget what was chosen here: the view begins with the chosen cell of the sheet. */
export function begin(): void {
  from.value = null;
  pointed.value = null;
}

/** The chosen head and cell: the sheet's, where it is a cell of attention; else the last token in the nearest block. */
export function chosen(run: Run): Looked {
  const steps = attentionSteps();
  const at = state.cell.value;
  const tokens = run.tokens.length;
  const block = state.step.value?.block ?? null;
  const own = steps.find((step) => step.name === at.stage);
  const step = own ?? steps.find((one) => one.block === block) ?? steps.at(-1)!;
  const head = own ? Math.min(step.groups - 1, Math.floor(at.column / tokens)) : 0;
  const sheetRow = own && at.row > 0 ? at.row : tokens - 1; // the first token sees itself alone: nothing to begin with
  const row = Math.min(from.value ?? sheetRow, tokens - 1);
  return { step, head, row, key: own && at.row === row ? at.column % tokens : best(run, step, head, row) };
}

/** The token whose looks are shown: the one under the pointer, else the chosen one. */
export function rowInView(run: Run, looked: Looked): number {
  const tokens = run.tokens.length;
  const at = tokens > MOST_TOKENS ? rested.value : pointed.value;
  return Math.min(at?.row ?? looked.row, tokens - 1);
}

/** What a token looks at most in a head. */
export function best(run: Run, step: Step, head: number, row: number): number {
  const shares = sharesOf(run, step, head, row);
  return shares ? largest(shares) : row;
}

export function choose(run: Run, { step, head, row, key }: Looked): void {
  from.value = row;
  state.choose({ stage: step.name, row, column: head * run.tokens.length + key });
}

/** Look at a cell in its sheet. */
export function open(run: Run, looked: Looked): void {
  choose(run, looked);
  state.view.value = "run";
}
