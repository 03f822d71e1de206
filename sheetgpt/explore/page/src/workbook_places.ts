/** Cells of a run by their addresses in the live workbook, such as `block_1!E95`, there and back. */
import type { Cell } from "./edits";
import type { Place, Run } from "./source";

type Shape = (stage: string) => readonly [number, number];

const letters = (column: number): string => (column < 0 ? "" : letters(Math.floor(column / 26) - 1) + String.fromCharCode(65 + (column % 26)));
const number = (text: string): number => [...text.toUpperCase()].reduce((sum, c) => sum * 26 + c.charCodeAt(0) - 64, 0) - 1;

/** Where a cell stands; empty where it has no place. */
export function inWorkbook(at: Cell, run: Run): string {
  const place = run.places[at.stage];
  return place ? `${place[0]}!${letters(place[2] + columnThere(at.column, place, run))}${place[1] + at.row + 1}` : "";
}

/** Heads have room for more keys there than the prompt has. */
const columnThere = (column: number, [, , , keys]: Place, { tokens }: Run): number =>
  keys ? Math.floor(column / tokens.length) * keys + (column % tokens.length) : column;

/** The cell at an address; without a tab on that of the stage. Null where there is none. */
export function fromWorkbook(text: string, run: Run, stage: string, shapeOf: Shape): Cell | null {
  const found = /^\s*(?:'?([^'!]+)'?!)?\$?([A-Za-z]{1,3})\$?(\d{1,7})\s*$/.exec(text);
  if (!found) return null;
  const tab = found[1] ?? run.places[stage]?.[0];
  const [row, column] = [Number(found[3]) - 1, number(found[2]!)];
  for (const [name, place] of Object.entries(run.places)) {
    const [rows, columns] = shapeOf(name);
    if (place[0] !== tab || row < place[1] || row >= place[1] + rows) continue;
    for (let i = 0; i < columns; i++) {
      if (column === place[2] + columnThere(i, place, run)) return { stage: name, row: row - place[1], column: i };
    }
  }
  return null;
}
