/** A matrix of a training step as a sheet of one of its numbers, and everything of the chosen cell. */
import { signal } from "@preact/signals";
import { css, diverging, inkOn, share } from "./colours";
import { classes, Grid, type CellLook } from "./grid";
import { columnsOf, labelsOf, shown, spot, textOf, type Column } from "./learn_matrices";
import * as state from "./state";
import type { TrainedStep } from "./training";

const ROW = 21;
const COLUMN = 62;
const LABELS = [48, 62] as const;

const wanted = signal("old"); // the column that is shown

interface Props {
  readonly step: TrainedStep;
}

export function LearnSheet({ step }: Props) {
  const { name, rows, columns: wide, step: stage } = shown.value;
  const [all, labels, now] = [columnsOf(shown.value), labelsOf(shown.value), state.theme.value];
  const column = all.find((one) => one.name === wanted.value) ?? all[0]!;
  const end = column.end(step, name);
  const look = (row: number, place: number): CellLook => {
    const value = column.of(step, name, row * wide + place);
    if (value === null) return { text: "", classes: "unknown" };
    const fill = stage?.shares && column.name === "old" ? share(now, value) : diverging(now, column.isLoss ? value - step.loss : value, end);
    return { text: textOf(column, step, name, row * wide + place), style: { background: css(fill), color: inkOn(now, fill) }, classes: classes(value === 0 && "zero") };
  };
  return (
    <>
      <Quantities all={all} column={column} />
      <div class="weight-sheet">
        <Grid
          id="learn-sheet"
          name={`${name}: ${column.title}`}
          rows={rows}
          columns={wide}
          rowHeight={ROW}
          columnWidth={COLUMN}
          labelWidths={LABELS}
          rowNames={labels.rows.names}
          columnNames={labels.columns.names}
          rowLabel={labels.rows.label}
          columnLabel={labels.columns.label}
          look={look}
          at={spot.value}
          height="fit"
          onPick={(row, place) => (spot.value = { row, column: place })}
          onKeyDown={(event) => move(event, rows, wide)}
        />
      </div>
      <Detail step={step} all={all} />
    </>
  );
}

function move(event: KeyboardEvent, rows: number, columns: number): void {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!by) return;
  event.preventDefault();
  const within = (i: number, count: number): number => Math.max(0, Math.min(count - 1, i));
  spot.value = { row: within(spot.value.row + by[0]!, rows), column: within(spot.value.column + by[1]!, columns) };
}

const Quantities = ({ all, column }: { readonly all: readonly Column[]; readonly column: Column }) => (
  <div class="buttons quantities" role="group" aria-label="which number">
    {all.map((one) => (
      <button key={one.name} class={classes(one.name === column.name && "on")} aria-pressed={one.name === column.name} onClick={() => (wanted.value = one.name)}>
        {one.title}
      </button>
    ))}
  </div>
);

/** Every number of the chosen cell. */
function Detail({ step, all }: Props & { readonly all: readonly Column[] }) {
  const [{ name, columns: wide, rows }, { row, column: place }] = [shown.value, spot.value];
  if (row >= rows || place >= wide) return null;
  return (
    <dl class="detail" aria-label="the chosen cell">
      <div>
        <dt>cell</dt>
        <dd class="stage">
          {row},{place} {labelsOf(shown.value).rows.label(row).token}
        </dd>
      </div>
      {all.map((column) => (
        <div key={column.name}>
          <dt>{column.title}</dt>
          <dd>{textOf(column, step, name, row * wide + place)}</dd>
        </div>
      ))}
    </dl>
  );
}
