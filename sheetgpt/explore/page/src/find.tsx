/** Find a token, or a value, in the sheet: from the chosen cell on, row by row. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { columnLabels, rowLabels } from "./labels";
import * as numbers from "./numbers";
import { focusSheet } from "./sheet";
import * as state from "./state";
import { home } from "./tiles";

const MOST = 4_000_000; // cells that are searched
export const finding = signal(false);
const message = signal("");

export function Find() {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => box.current?.focus(), [finding.value]);
  if (!finding.value) return null;
  const close = (): void => {
    finding.value = false;
    message.value = "";
    focusSheet();
  };
  return (
    <div class="find" role="search">
      <input
        ref={box}
        aria-label="find a token or a value"
        placeholder="a token or a value"
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape") close();
          if (event.key === "Enter") void find(event.currentTarget.value);
        }}
      />
      <span aria-live="polite">{message.value}</span>
      <button aria-label="close" onClick={close}>
        ×
      </button>
    </div>
  );
}

async function find(text: string): Promise<void> {
  const value = numbers.parse(text);
  const found = value === null ? token(text) : await number(value, text);
  message.value = found ? "" : "not found";
  if (found) state.choose({ stage: state.cell.value.stage, ...found });
}

interface Place {
  readonly row: number;
  readonly column: number;
}

/** The next row or column whose token holds the text. */
function token(text: string): Place | null {
  const [run, at] = [state.run.value, state.cell.value];
  if (!run) return null;
  const [rows, columns] = state.shapeOf(at.stage);
  const wanted = text.replace(/ /g, "·");
  const down = rowLabels(state.step.value?.rows ?? state.weight.value?.counts ?? null, run, state.vocabulary.value).label;
  const across = columnLabels(state.step.value, run, columns, state.facts.model.n_head, state.vocabulary.value).label;
  for (let i = 1; i <= rows; i++) {
    const row = (at.row + i) % rows;
    if (down(row).token.includes(wanted)) return { row, column: at.column };
  }
  for (let i = 1; i <= columns; i++) {
    const column = (at.column + i) % columns;
    if (across(column).token.includes(wanted)) return { row: at.row, column };
  }
  return null;
}

/** The next cell that shows the number, to as many decimals as were typed. */
async function number(value: number, text: string): Promise<Place | null> {
  const [run, at] = [state.run.value!, state.cell.value];
  const [rows, columns] = state.shapeOf(at.stage);
  if (rows * columns > MOST) return null;
  const { data } = await state.getSource().cells(home(run, at.stage), { stage: at.stage, row: 0, column: 0, rows, columns });
  const near = 0.5 * 10 ** -(text.split(/[.,]/)[1]?.length ?? 0);
  const from = at.row * columns + at.column;
  for (let i = 1; i <= data.length; i++) {
    const place = (from + i) % data.length;
    if (Math.abs(data[place]! - value) <= near) return { row: Math.floor(place / columns), column: place % columns };
  }
  return null;
}
