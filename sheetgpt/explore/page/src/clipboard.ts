/** Cells out and in as tab-separated values, with every digit, as spreadsheets take them. */
import * as numbers from "./numbers";
import type { Cell } from "./edits";
import { difference } from "./differences";
import type { Run } from "./source";
import { placeOf, rowAt } from "./order";
import * as state from "./state";
import { home } from "./tiles";

const MOST = 1_000_000; // cells that are copied at once

/** The selection to the clipboard: of a run, or what two runs make of it. */
export async function copy(run = state.run.value, minus: Run | null = null): Promise<void> {
  const region = state.selection.value;
  if (!run) return;
  if (region.rows * region.columns > MOST) return void (state.complaint.value = { at: "cell", text: `${MOST.toLocaleString("en")} cells are copied at most: select fewer.` });
  const found = await state.getSource().cells(home(run, region.stage), region);
  const other = minus && (await state.getSource().cells(home(minus, region.stage), region));
  if (other) found.data.forEach((value, at) => (found.data[at] = difference(other.data[at]!, value)));
  const lines = Array.from({ length: found.rows }, (_, row) =>
    Array.from(found.data.subarray(row * found.columns, (row + 1) * found.columns), numbers.full).join("\t"),
  );
  await toClipboard(lines.join("\n"));
}

export async function toClipboard(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    oldWay(text); // pages from a disk may not use the other
  }
}

function oldWay(text: string): void {
  const area = document.createElement("textarea");
  const active = document.activeElement as HTMLElement | null;
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  active?.focus({ preventScroll: true });
}

/** Numbers over the cells from the selection's corner on: one step that can be undone. False where there are none. */
export function paste(text: string): boolean {
  const { stage, row, column } = state.selection.value;
  const [rows, columns] = state.shapeOf(stage);
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const found: { cell: Cell; value: number }[] = [];
  for (const [down, line] of lines.entries()) {
    for (const [across, typed] of line.split("\t").entries()) {
      const value = numbers.parse(typed);
      if (value === null) return refuse(`what was to be pasted holds ${JSON.stringify(typed)}, no number.`);
      const place = placeOf(row) + down;
      if (place >= rows || column + across >= columns) return refuse(`what was to be pasted is ${lines.length} x ${line.split("\t").length} cells and reaches beyond ${stage}.`);
      found.push({ cell: { stage, row: rowAt(place), column: column + across }, value });
    }
  }
  state.set(found);
  return true;
}

function refuse(text: string): boolean {
  state.complaint.value = { at: "cell", text: `${text[0]!.toUpperCase()}${text.slice(1)}` };
  return false;
}
