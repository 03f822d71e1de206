/** The keys that move in a sheet, as a spreadsheet has them. */
import * as state from "./state";

/** Move the chosen cell, with Shift the other end of the selection. False where the key moves nothing. */
export function moveByKey(event: KeyboardEvent, page: number): boolean {
  if (event.altKey) return false;
  const at = state.cell.value;
  const [rows, columns] = state.shapeOf(at.stage);
  const far = event.ctrlKey || event.metaKey;
  const end = event.shiftKey ? state.corner.value : at;
  const moves: Readonly<Record<string, readonly [number, number]>> = {
    ArrowUp: [far ? 0 : end.row - 1, end.column],
    ArrowDown: [far ? rows - 1 : end.row + 1, end.column],
    ArrowLeft: [end.row, far ? 0 : end.column - 1],
    ArrowRight: [end.row, far ? columns - 1 : end.column + 1],
    Home: [far ? 0 : end.row, 0],
    End: [far ? rows - 1 : end.row, columns - 1],
    PageUp: [end.row - page, end.column],
    PageDown: [end.row + page, end.column],
    Enter: [at.row + (event.shiftKey ? -1 : 1), at.column],
  };
  const to = moves[event.key];
  if (!to) return false;
  event.preventDefault();
  const place = { stage: at.stage, row: Math.max(0, Math.min(rows - 1, to[0])), column: Math.max(0, Math.min(columns - 1, to[1])) };
  if (event.shiftKey && event.key !== "Enter") state.extend(place);
  else state.choose(place);
  return true;
}
