/** Where the chosen cell comes from and where it goes: asked for when it is chosen, kept until the next answer. */
import { computed, effect, signal } from "@preact/signals";
import type { Origin, Region, Run, Summand } from "./source";
import * as state from "./state";

export interface Found extends Origin {
  readonly run: Run;
  readonly stage: string;
  readonly row: number;
  readonly column: number;
}

export const origin = signal<Found | null>(null);
/** The same of the chosen stage: not the last one's, while the answer is awaited. */
export const here = computed(() => (origin.value?.stage === state.cell.value.stage ? origin.value : null));
let last = "";

/** Ask whenever another cell is chosen, or the run is another. */
export function watch(): void {
  effect(() => {
    const { stage, row, column } = state.cell.value;
    const run = state.run.value;
    if (!run?.done || !stage || state.step.value?.isGiven || state.facts.compare) {
      last = "";
      return void (origin.value = null);
    }
    const key = `${run.id}/${stage}/${row}/${column}`;
    if (key === last || state.busy.value) return; // the next run will have another origin
    last = key;
    state
      .getSource()
      .origin(run, stage, row, column)
      .then((found) => last === key && (origin.value = { ...found, run, stage, row, column }))
      .catch(() => last === key && ([last, origin.value] = ["", null]));
  });
}

/** The stages and weights that a cell is made of, or goes into. */
export const stagesOf = (regions: readonly Region[]): string[] => [...new Set(regions.map((region) => region.stage))];

/** The cell of a region that is the i-th, counted row by row. */
export const nth = (region: Region, i: number): Region => ({
  ...region,
  row: region.row + Math.floor(i / region.columns),
  column: region.column + (i % region.columns),
  rows: 1,
  columns: 1,
});

/** Running sums of summands: each bar begins where the last ended. */
export function running(summands: readonly { readonly value: number }[]): { readonly from: number; readonly to: number }[] {
  let sum = 0;
  return summands.map(({ value }) => ({ from: sum, to: (sum += value) }));
}

export const rest = (total: number, summands: readonly Summand[]): number => total - summands.reduce((sum, one) => sum + one.value, 0);
