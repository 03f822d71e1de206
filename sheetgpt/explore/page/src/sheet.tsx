/** The chosen stage or weight as a sheet: numbers, colours, what changed, what is typed over; keys as in a spreadsheet. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { changed, css, diverging, inkOn, share, type Rgb } from "./colours";
import type { Cell } from "./edits";
import { Grid, type CellLook } from "./grid";
import { columnLabels, rowLabels, stepOf, weightOf } from "./labels";
import * as numbers from "./numbers";
import type { Run } from "./source";
import { isSorted, placeOf, rowAt } from "./order";
import * as state from "./state";
import { changeOf } from "./thumbnail";
import { copy, paste } from "./clipboard";
import { moveByKey } from "./moves";
import { shown } from "./tokens";
import { weightInfo } from "./weight_info";
import { px } from "./px";

export const ROW = 21;
export const editing = signal<string | null>(null); // what is being typed; null: nothing is
const typed = signal<{ readonly at: Cell; readonly inCell: boolean } | null>(null); // over which cell, and where

/** Wide enough for a number of so many decimals. */
export const widthOf = (decimals: number): number => 54 + 7.4 * (decimals - 3);
export const isNarrow = (): boolean => innerWidth <= 700;

/** How every cell of a matrix looks: its number on its colour, what changed, what is typed, what is chosen. */
export function looks(run: Run, name: string, options: { readonly plain?: boolean } = {}): (row: number, column: number) => CellLook {
  const theme = state.theme.value;
  const [step, mode, decimals] = [stepOf(state.facts, name), state.show.value, state.decimals.value];
  const info = state.infoOf(name).info;
  const end = info?.end ?? (weightOf(state.facts, name) && weightInfo(name)?.end) ?? 1;
  const change = options.plain ? null : info?.change ?? null;
  const changeEnd = change ? change.largest : 1;
  const old = state.shownRun.value;
  return (row, column) => {
    const value = state.tiles.at(run, name, row, column) ?? (old && old !== run ? state.tiles.at(old, name, row, column) : undefined);
    if (value === undefined) return { text: "", classes: "unknown" };
    const typed = options.plain ? undefined : state.editAt({ stage: name, row, column });
    const text = mode === "colours" ? "" : numbers.cell(value, decimals);
    if (typed) return { text, classes: "typed" };
    const moved = change && run.before ? changeOf(state.tiles.at(run.before, name, row, column) ?? value, value) : 0;
    if (moved) {
      const fill = changed(theme, moved, changeEnd);
      return { text, style: { background: css(fill), color: inkOn(theme, fill) }, classes: "changed", glyph: moved > 0 ? "▲" : "▼" };
    }
    if (numbers.isMasked(value)) return { text, classes: "masked" };
    const isZero = value === 0;
    if (change || mode === "numbers") return { text, classes: isZero ? "zero" : "" };
    const fill: Rgb = step?.shares ? share(theme, value) : diverging(theme, value, end);
    return { text, style: { background: css(fill), color: isZero ? undefined : inkOn(theme, fill) }, classes: isZero ? "zero" : "" };
  };
}

export function Sheet({ fit }: { readonly fit: boolean }) {
  const run = state.run.value;
  const at = state.cell.value;
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (editing.value !== null) input.current?.focus();
  }, [editing.value === null]);
  if (!run) return null;
  const step = stepOf(state.facts, at.stage);
  if (step && (step.isGiven || step.role === "PREDICTION")) return <TextSheet run={run} name={at.stage} />;
  const [rows, columns] = state.shapeOf(at.stage, run);
  const weight = weightOf(state.facts, at.stage);
  const rowAxis = rowLabels(step?.rows ?? weight?.counts ?? null, run, state.vocabulary.value);
  const columnAxis = columnLabels(step, run, columns, state.facts.model.n_head, state.vocabulary.value);
  const look = looks(run, at.stage);
  const narrow = isNarrow();
  const columnWidth = narrow ? 49 + widthOf(state.decimals.value) - 54 : widthOf(state.decimals.value);
  const rowHeight = narrow ? 30 : ROW;
  const labelWidths: [number, number] = narrow ? [26, 62] : [46, 71];
  const keys = columns / (step?.groups ?? 1);
  const selected = state.selection.value;
  const isBordered = step?.byHead ? (column: number): boolean => column > 0 && column % keys === 0 : undefined;
  return (
    <Grid
      id={`sheet-${at.stage}`}
      name={`${step?.title ?? "weight"}, ${at.stage}`}
      rows={rows}
      columns={columns}
      rowHeight={rowHeight}
      columnWidth={columnWidth}
      labelWidths={labelWidths}
      rowNames={rowAxis.names}
      columnNames={columnAxis.names}
      rowLabel={(place) => rowAxis.label(rowAt(place))}
      columnLabel={columnAxis.label}
      {...(isBordered ? { bordered: isBordered } : {})}
      look={(place, column) => {
        const row = rowAt(place);
        const found = look(row, column);
        const within = row >= selected.row && row < selected.row + selected.rows && column >= selected.column && column < selected.column + selected.columns;
        return within && selected.rows * selected.columns > 1 ? { ...found, classes: `${found.classes ?? ""} selected` } : found;
      }}
      at={{ row: placeOf(at.row), column: at.column }}
      height={fit ? "fit" : "100%"}
      describe={(place, column) => described(run, at.stage, rowAt(place), column)}
      onPick={(place, column, extend) => {
        if (!commit()) return;
        pick({ stage: at.stage, row: rowAt(place), column }, extend);
      }}
      onOpen={() => begin()}
      onKeyDown={(event, page) => sheetKey(event, page)}
      over={
        editing.value !== null &&
        typed.value?.inCell && (
          <input
            ref={input}
            class="overlay"
            aria-label={`value of ${state.addressOf(at)}`}
            inputMode="decimal"
            style={px({ left: labelWidths[0] + labelWidths[1] + at.column * columnWidth, top: columnAxis.names.length * 17 + placeOf(at.row) * rowHeight, minWidth: columnWidth, height: rowHeight })}
            value={editing.value}
            onInput={(event) => (editing.value = event.currentTarget.value)}
            onKeyDown={inputKey}
            onBlur={() => commit()}
          />
        )
      }
    />
  );
}

/** Choose a cell, or extend the selection to it; sorted rows are no neighbours, so there is nothing to extend. */
function pick(at: Cell, extend: boolean): void {
  if (extend && !isSorted()) state.extend(at);
  else state.choose(at);
}

/** What a reader is told of a cell. */
export function described(run: Run, name: string, row: number, column: number): string {
  const value = state.tiles.at(run, name, row, column);
  const step = stepOf(state.facts, name);
  const text = value === undefined ? "" : numbers.long(value);
  const old = run.before && value !== undefined ? state.tiles.at(run.before, name, row, column) : undefined;
  const was = old !== undefined && old !== value ? `, was ${numbers.long(old)}` : "";
  const rowLabel = rowLabels(step?.rows ?? weightOf(state.facts, name)?.counts ?? null, run, state.vocabulary.value).label(row);
  const columnLabel = columnLabels(step, run, state.shapeOf(name, run)[1], state.facts.model.n_head, state.vocabulary.value).label(column);
  if (step?.byHead) {
    return `head ${columnLabel.head}, ${rowLabel.token} ${step.shares ? "looks at" : "and"} ${columnLabel.token}, ${text}${was}`;
  }
  const head = columnLabel.head === undefined ? "" : `head ${columnLabel.head}, `;
  return `${rowLabel.token || `row ${rowLabel.number}`}, ${head}${columnLabel.token || `column ${columnLabel.number}`}, ${text}${was}`;
}

// ------------------------------------------------------------------------------------------------ typing

/** Type over the chosen cell, beginning with `text`, or with the number that stands there. */
export function begin(text?: string, inCell = true): void {
  const at = state.cell.value;
  const refusal = state.whyNot([at.stage]);
  if (refusal) return void (state.complaint.value = { at: "cell", text: refusal });
  const value = state.tiles.at(state.run.value!, at.stage, at.row, at.column);
  typed.value = { at, inCell };
  editing.value = text ?? (value === undefined ? "" : numbers.full(value));
}

/** Take what was typed. False where it is no number: then it stays. */
export function commit(): boolean {
  const text = editing.peek();
  const at = typed.peek()?.at;
  if (text === null || !at) return true;
  const value = numbers.parse(text);
  const now = state.tiles.at(state.run.peek()!, at.stage, at.row, at.column);
  if (text.trim() !== "" && value === null) {
    state.complaint.value = { at: "cell", text: `${JSON.stringify(text)} is no number: type one such as 0.5 or -1e10.` };
    return false;
  }
  editing.value = null;
  if (value !== null && value !== now) state.set([{ cell: at, value }]);
  return true;
}

function inputKey(event: KeyboardEvent): void {
  const moves: Record<string, [number, number]> = { Enter: [event.shiftKey ? -1 : 1, 0], Tab: [0, event.shiftKey ? -1 : 1] };
  event.stopPropagation();
  if (event.key === "Escape") {
    editing.value = null;
    focusSheet();
  }
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  if (!commit()) return;
  const at = state.cell.value;
  const [rows, columns] = state.shapeOf(at.stage);
  const [place, column] = [placeOf(at.row) + move[0], at.column + move[1]];
  if (place >= 0 && place < rows && column >= 0 && column < columns) state.choose({ ...at, row: rowAt(place), column });
  focusSheet();
}

export const focusSheet = (): void => document.querySelector<HTMLElement>(".main-sheet .grid")?.focus({ preventScroll: true });

function sheetKey(event: KeyboardEvent, page: number): void {
  if (editing.peek() !== null && typed.peek()?.inCell) return beforeTheInput(event);
  if (moveByKey(event, page, { rowAt, placeOf, isSorted })) return;
  if (event.altKey) return;
  const at = state.cell.value;
  const far = event.ctrlKey || event.metaKey;
  switch (event.key) {
    case "F2":
      event.preventDefault();
      return begin();
    case "Delete":
    case "Backspace":
      event.preventDefault();
      return clear();
    case "Escape":
      return state.choose(at);
    default:
      break;
  }
  if (far && event.key.toLowerCase() === "c") return void (event.preventDefault(), copy());
  if (far && event.key.toLowerCase() === "v") return; // the paste event follows
  if (!far && /^[-+.,0-9−]$/.test(event.key)) {
    event.preventDefault();
    begin(event.key);
  }
}

/** Keys that come before the input is there: quick fingers are quicker than a frame. */
function beforeTheInput(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.length === 1) {
    event.preventDefault();
    editing.value += event.key;
  } else inputKey(event);
}

/** The original numbers back, in all of the selection. */
function clear(): void {
  const { stage, row, column, rows, columns } = state.selection.value;
  state.reset(
    state.edits.value.filter(
      ({ cell }) => cell?.stage === stage && cell.row >= row && cell.row < row + rows && cell.column >= column && cell.column < column + columns,
    ),
  );
}

addEventListener("paste", (event) => {
  if (!state.hasSheet() || (event.target as HTMLElement).closest("input, textarea")) return;
  if (paste(event.clipboardData?.getData("text/plain") ?? "")) event.preventDefault();
});

// ------------------------------------------------------------------------------------------------ tables of text

/** Words, merges and tokens as the reference lays them out. */
function TextSheet({ run, name }: { readonly run: Run; readonly name: string }) {
  const table = run.tables[name] ?? [];
  return (
    <div class="texts" role="region" aria-label={name} tabIndex={0}>
      <table>
        <tbody>
          {table.map((row, i) => (
            <tr key={i}>
              {row.map((one, j) => (
                <td key={j} class={typeof one === "number" ? "number" : ""}>
                  {one === null || one === undefined ? "" : typeof one === "number" ? one : shown(String(one))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
