/** What is compared: two sides that the server holds, or the run without changes and with them; and what is looked at. */
import { computed, effect, signal } from "@preact/signals";
import { changes, differences, textDifferences } from "./differences";
import type { Scrolled } from "./grid";
import { sideOf } from "./sides";
import type { Comparison, Differences, Run, StageDiff, TextTable } from "./source";
import { ROW, widthOf } from "./sheet";
import * as state from "./state";

export const DECIMALS = 6;
export const COLUMN = widthOf(DECIMALS);
const [ABOVE, BEFORE] = [3, 5]; // rows and columns that stay in view before the worst cell

export interface Both {
  readonly comparison: Comparison;
  readonly left: Run;
  readonly right: Run;
}

/** One stage of both. */
export interface Sheets extends Both {
  readonly stage: StageDiff;
  readonly differences: Differences | null;
}

/** The comparison and its two runs; null where nothing is compared. */
export const compared = computed<Both | null>(() => {
  const { compare } = state.facts;
  if (compare) return { comparison: compare, left: sideOf(compare, "left"), right: state.run.value! };
  const right = state.shownRun.value;
  return right?.before ? { comparison: changes(state.facts, right.before, right), left: right.before, right } : null;
});

export const stage = computed<StageDiff | undefined>(() => compared.value?.comparison.stages.find((one) => one.stage === state.cell.value.stage));
export const found = signal<{ readonly stage: StageDiff; readonly differences: Differences } | null>(null);
export const scrolled = signal<Scrolled>({ top: 0, left: 0 });

/** Asks for the differences of the chosen stage while the view is open. */
export const watch = (): (() => void) =>
  effect(() => {
    const [both, chosen] = [compared.value, stage.value];
    if (!both || !chosen || chosen.verdict === "missing") return;
    let isOver = false;
    ask(both.left, both.right, chosen).then(
      (differences) => !isOver && arrive(chosen, differences),
      (error: Error) => (state.complaint.value = { at: "cell", text: error.message }),
    );
    return () => void (isOver = true);
  });

async function ask(left: Run, right: Run, { stage, shape }: StageDiff): Promise<Differences> {
  const source = state.getSource();
  if (state.facts.compare) return source.differences!(stage);
  if (!shape) return textDifferences(tableOf(left, stage), tableOf(right, stage));
  const whole = { stage, row: 0, column: 0, rows: shape[0], columns: shape[1] };
  return differences(...(await Promise.all([source.cells(left, whole), source.cells(right, whole)])));
}

const tableOf = (run: Run, stage: string): TextTable => run.tables[stage] ?? [];

let isAtStart = true;

function arrive(stage: StageDiff, differences: Differences): void {
  found.value = { stage, differences };
  if (isAtStart && location.hash === "") goToWorst(0);
  isAtStart = false;
}

// ------------------------------------------------------------------------------------------------ going on

const gone = signal<{ readonly stage: string; readonly nth: number }>({ stage: "", nth: -1 }); // where the last jump led

/** Which of the worst cells is chosen, by a jump; -1 where none is. */
export const nthWorst = computed(() => {
  const { stage, row, column } = state.cell.value;
  const at = found.value?.differences.worst[gone.value.nth];
  return gone.value.stage === stage && at?.[0] === row && at[1] === column ? gone.value.nth : -1;
});

/** The worst cell, or the one after it. */
export function goToWorst(which = nthWorst.peek() + 1): void {
  const { stage, differences } = found.peek() ?? {};
  const nth = which % (differences?.worst.length || 1);
  const at = differences?.worst[nth];
  if (!at || !stage?.picture || stage.stage !== state.cell.peek().stage) return;
  state.choose({ stage: stage.stage, row: at[0], column: at[1] });
  gone.value = { stage: stage.stage, nth };
  scrolled.value = { top: Math.max(0, at[0] - ABOVE) * ROW, left: Math.max(0, at[1] - BEFORE) * COLUMN };
}

/** The next stage that differs, or the one before. */
export function goToDifferent(by: 1 | -1): void {
  const stages = compared.peek()?.comparison.stages ?? [];
  const at = stages.findIndex((one) => one.stage === state.cell.peek().stage);
  const rest = by > 0 ? stages.slice(at + 1) : stages.slice(0, Math.max(0, at)).reverse();
  const next = rest.find((one) => one.verdict === "different");
  if (next) state.chooseStage(next.stage);
}

export function goToNeighbour(by: 1 | -1): void {
  const stages = compared.peek()?.comparison.stages ?? [];
  const next = stages[stages.findIndex((one) => one.stage === state.cell.peek().stage) + by];
  if (next) state.chooseStage(next.stage);
}
