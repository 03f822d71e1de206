/** What is typed over, and the lists before and after it that undo and redo lead to. */
import { batch, computed, signal } from "@preact/signals";
import { without, type Cell, type Edit } from "./edits";

type List = readonly Edit[];

export const edits = signal<List>([]);
const past = signal<readonly List[]>([]);
const future = signal<readonly List[]>([]);
export const canUndo = computed(() => past.value.length > 0);
export const canRedo = computed(() => future.value.length > 0);

/** One step that can be undone. */
export function change(next: List): void {
  batch(() => {
    past.value = [...past.value, edits.value];
    future.value = [];
    edits.value = next;
  });
}

export const takeOut = (gone: List): void => change(without(edits.value, gone));

/** False where there is nothing to undo. */
export function goBack(): boolean {
  const last = past.value.at(-1);
  if (!last) return false;
  batch(() => {
    future.value = [edits.value, ...future.value];
    past.value = past.value.slice(0, -1);
    edits.value = last;
  });
  return true;
}

/** False where there is nothing to do again. */
export function goForward(): boolean {
  const next = future.value[0];
  if (!next) return false;
  batch(() => {
    past.value = [...past.value, edits.value];
    future.value = future.value.slice(1);
    edits.value = next;
  });
  return true;
}

/** Keep only the edits that `stays` holds of; where the lists hold others they can't be gone back to. */
export function keep(stays: (edit: Edit) => boolean): void {
  const all = [edits.value, ...past.value, ...future.value];
  if (all.every((list) => list.every(stays))) return;
  begin(edits.value.filter(stays));
}

/** A list with nothing before or after it. */
export function begin(list: List): void {
  batch(() => ([edits.value, past.value, future.value] = [list, [], []]));
}

export const editAt = (at: Cell): Edit | undefined =>
  edits.value.find(({ cell }) => cell?.stage === at.stage && cell.row === at.row && cell.column === at.column);
