/** The keys that move in a sheet, as a spreadsheet has them. */
import * as state from "./state";

/** In which order a sheet shows its rows. */
interface RowOrder {
  readonly rowAt: (place: number) => number;
  readonly placeOf: (row: number) => number;
  readonly isSorted: () => boolean; // then neighbours on the sheet are none, and a selection is one cell
}

const BY_NUMBER: RowOrder = { rowAt: (place) => place, placeOf: (row) => row, isSorted: () => false };

/** Move the chosen cell, with Shift the other end of the selection. False where the key moves nothing. */
export function moveByKey(event: KeyboardEvent, page: number, order: RowOrder = BY_NUMBER): boolean {
  if (event.altKey) return false;
  const at = state.cell.value;
  const [rows, columns] = state.shapeOf(at.stage);
  const far = event.ctrlKey || event.metaKey;
  const from = event.shiftKey ? state.corner.value : at;
  const end = { row: order.placeOf(from.row), column: from.column };
  const moves: Readonly<Record<string, readonly [number, number]>> = {
    ArrowUp: [far ? 0 : end.row - 1, end.column],
    ArrowDown: [far ? rows - 1 : end.row + 1, end.column],
    ArrowLeft: [end.row, far ? 0 : end.column - 1],
    ArrowRight: [end.row, far ? columns - 1 : end.column + 1],
    Home: [far ? 0 : end.row, 0],
    End: [far ? rows - 1 : end.row, columns - 1],
    PageUp: [end.row - page, end.column],
    PageDown: [end.row + page, end.column],
    Enter: [order.placeOf(at.row) + (event.shiftKey ? -1 : 1), at.column],
  };
  const to = moves[event.key];
  if (!to) return false;
  event.preventDefault();
  const row = order.rowAt(Math.max(0, Math.min(rows - 1, to[0])));
  const place = { stage: at.stage, row, column: Math.max(0, Math.min(columns - 1, to[1])) };
  if (event.shiftKey && event.key !== "Enter" && !order.isSorted()) state.extend(place);
  else state.choose(place);
  return true;
}
