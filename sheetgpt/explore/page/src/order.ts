/** The order in which a sheet's rows are shown: a long single column such as the logits by falling value, or by id. */
import { effect, signal } from "@preact/signals";
import type { Run, Step } from "./source";
import * as state from "./state";
import { home } from "./tiles";

export const byValue = signal(true);

/** Of the rows of one stage of one run: the row that is shown at a place, and the place of a row. */
interface Order {
  readonly key: string;
  readonly rows: Uint32Array;
  readonly places: Uint32Array;
}

const order = signal<Order | null>(null);

export const isSortable = (step: Step | undefined): boolean => step?.rows === "vocabulary" && step.columns === "logit";

const keyOf = (run: Run, stage: string): string => `${home(run, stage).id}/${stage}`;

/** Sort the chosen stage whenever it is another, where it is one to be sorted. */
export function watchOrder(): void {
  effect(() => {
    const run = state.run.value;
    const step = state.step.value;
    if (!run?.done || !isSortable(step) || order.peek()?.key === keyOf(run, step!.name)) return;
    const [rows, columns] = state.shapeOf(step!.name, run);
    const key = keyOf(run, step!.name);
    const isNewest = (): boolean => state.run.peek() !== null && state.step.peek() === step && keyOf(state.run.peek()!, step!.name) === key;
    const region = { stage: step!.name, row: 0, column: columns - 1, rows, columns: 1 };
    void state
      .getSource()
      .cells(home(run, step!.name), region)
      .then(({ data }) => isNewest() && (order.value = sorted(key, data)))
      .catch(() => {}); // by id, until the next run
  });
}

function sorted(key: string, values: Float64Array): Order {
  const rows = Uint32Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
  const places = new Uint32Array(rows.length);
  rows.forEach((row, place) => (places[row] = place));
  return { key, rows, places };
}

const chosen = (): Order | null => (byValue.value && isSortable(state.step.value) ? order.value : null);

export const isSorted = (): boolean => chosen() !== null;
export const rowAt = (place: number): number => chosen()?.rows[place] ?? place;
export const placeOf = (row: number): number => chosen()?.places[row] ?? row;
