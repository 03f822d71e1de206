/**
 * The weights with what the next step does to each: the loss after nudging it, the gradient, the new weight.
 *
 * A matrix stands as a list, a row a cell, as `sheetgpt train-step` prints it, or as a sheet of one of these numbers.
 */
import { computed, signal } from "@preact/signals";
import { css, diverging, inkOn } from "./colours";
import { known } from "./forward";
import { Grid, type CellLook } from "./grid";
import { columnLabels, rowLabels } from "./labels";
import { NumberField } from "./learn";
import * as learning from "./learning";
import type { Matrix } from "./matrix";
import * as numbers from "./numbers";
import type { Weight } from "./source";
import * as state from "./state";
import { shown } from "./tokens";
import type { TrainedStep } from "./training";

const MOST_LISTED = 30; // of a larger matrix those with the largest gradients, as train-step shows them
const MOST_NUDGED = 400; // weights of a model whose nudges are computed while it runs
const ROW = 21;
const COLUMN = 62;

const chosen = signal<string | null>(null);
const asSheet = signal<boolean | null>(null); // null: as suits the matrix
const spot = signal<{ readonly row: number; readonly column: number }>({ row: 0, column: 0 });
const shownColumn = signal("old");

const weight = computed<Weight>(() => state.facts.weights.find((one) => one.name === chosen.value) ?? state.facts.weights[0]!);
const isSheet = computed(() => asSheet.value ?? weight.value.columns > 1);

// ------------------------------------------------------------------------------------------------ the numbers

/** One number of each cell of a weight: `train-step`'s columns. */
interface Column {
  readonly name: string;
  readonly title: string;
  readonly digits: number;
  readonly of: (step: TrainedStep, name: string, at: number) => number;
  readonly isNudge?: boolean;
  readonly isLoss?: boolean;
}

const at = (matrices: ReadonlyMap<string, Matrix>, name: string, place: number): number => known(matrices, name).data[place]!;

function columns(): readonly Column[] {
  const by = learning.nudge.value;
  const shownBy = numbers.full(by);
  const moments: readonly Column[] = [
    { name: "mean", title: "mean", digits: 4, of: ({ after }, name, place) => at(after.means, name, place) },
    { name: "square", title: "square", digits: 4, of: ({ after }, name, place) => at(after.squares, name, place) },
  ];
  return [
    { name: "old", title: "old", digits: 4, of: ({ before }, name, place) => at(before.model.weights, name, place) },
    { name: "more", title: `loss at +${shownBy}`, digits: 5, isNudge: true, isLoss: true, of: (step, name, place) => learning.lossIf(step, name, place, by) },
    { name: "less", title: `loss at −${shownBy}`, digits: 5, isNudge: true, isLoss: true, of: (step, name, place) => learning.lossIf(step, name, place, -by) },
    { name: "slope", title: "slope", digits: 5, isNudge: true, of: (step, name, place) => (learning.lossIf(step, name, place, by) - step.loss) / by },
    { name: "gradient", title: "gradient", digits: 4, of: ({ gradients }, name, place) => at(gradients, name, place) },
    ...(learning.settings.value.optimizer === "adamw" ? moments : []),
    { name: "new", title: "new", digits: 4, of: ({ after }, name, place) => at(after.model.weights, name, place) },
    { name: "change", title: "change", digits: 4, of: ({ before, after }, name, place) => at(after.model.weights, name, place) - at(before.model.weights, name, place) },
  ];
}

/** Nudges of a large model are computed where it rests. */
const isNudged = computed(() => !learning.isRunning.value || state.facts.weights.reduce((sum, { rows, columns: wide }) => sum + rows * wide, 0) <= MOST_NUDGED);

const text = (column: Column, step: TrainedStep, name: string, place: number): string =>
  column.isNudge && !isNudged.value ? "" : numbers.cell(column.of(step, name, place), column.digits);

const direction = (step: TrainedStep, name: string, place: number): string => {
  const change = at(step.after.model.weights, name, place) - at(step.before.model.weights, name, place);
  return change > 0 ? "▲" : change < 0 ? "▼" : "";
};

// ------------------------------------------------------------------------------------------------ the view

export function LearnWeights() {
  const step = learning.next.value;
  return (
    <section class="learn-weights" aria-label="weights">
      <header>
        <Choice />
        <span class="space" />
        <NudgeSize />
        <div class="buttons" role="group" aria-label="laid out as">
          <button class={isSheet.value ? "" : "on"} aria-pressed={!isSheet.value} onClick={() => (asSheet.value = false)}>
            list
          </button>
          <button class={isSheet.value ? "on" : ""} aria-pressed={isSheet.value} onClick={() => (asSheet.value = true)}>
            sheet
          </button>
        </div>
      </header>
      {step && (isSheet.value ? <Sheet step={step} /> : <List step={step} />)}
    </section>
  );
}

function Choice() {
  const { weights } = state.facts;
  const { name, rows, columns: wide } = weight.value;
  return (
    <>
      {weights.length > 1 ? (
        <select aria-label="weights" value={name} onChange={(event) => ((chosen.value = event.currentTarget.value), (spot.value = { row: 0, column: 0 }))}>
          {weights.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
      ) : (
        <b class="stage">{name}</b>
      )}
      <span class="mute">
        {rows} × {wide}
      </span>
    </>
  );
}

const NudgeSize = () => (
  <div class="nudge">
    <NumberField name="nudge ±" value={learning.nudge.peek()} isRight={(x) => x > 0} onValue={(x) => (learning.nudge.value = x)} />
  </div>
);

function useLabels() {
  const run = state.shownRun.value!;
  const { counts, columns: wide, block } = weight.value;
  const vocabulary = state.vocabulary.value.map((_, id) => learning.readable(id));
  const heads = block === null ? 1 : state.facts.model.n_head;
  return { rows: rowLabels(counts, run, vocabulary), columns: columnLabels(undefined, run, wide, heads, vocabulary) };
}

/** The places of the cells that are listed: all, or those with the largest gradients first. */
function listed(gradient: Matrix): readonly number[] {
  const places = Array.from(gradient.data.keys());
  if (places.length <= MOST_LISTED) return places;
  return places.sort((one, other) => Math.abs(gradient.data[other]!) - Math.abs(gradient.data[one]!) || one - other).slice(0, MOST_LISTED);
}

function List({ step }: { readonly step: TrainedStep }) {
  const { name, columns: wide, rows } = weight.value;
  const labels = useLabels();
  const shownColumns = columns().filter((column) => column.name !== "change");
  const places = listed(known(step.gradients, name));
  return (
    <div class="weight-list">
      <table>
        <thead>
          <tr>
            <th class="token">cell</th>
            {shownColumns.map((column) => (
              <th key={column.name}>{column.title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {places.map((place) => {
            const row = Math.floor(place / wide);
            return (
              <tr key={place}>
                <td class="token">
                  {row},{place % wide} <b>{labels.rows.label(row).token}</b>
                </td>
                {shownColumns.map((column) => (
                  <td key={column.name} class={column.name}>
                    {column.name === "new" && <span class="glyph">{direction(step, name, place)}</span>}
                    {text(column, step, name, place)}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows * wide > places.length && <p class="note">{(rows * wide - places.length).toLocaleString("en")} weights more, with smaller gradients</p>}
    </div>
  );
}

// ------------------------------------------------------------------------------------------------ as a sheet

const size = ({ data }: Matrix): number => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Where the scale of colours ends; losses are coloured by how far they are from the loss as it stands. */
function endOf({ name: column, isLoss }: Column, step: TrainedStep, name: string): number {
  if (isLoss) return size(known(step.gradients, name)) * learning.nudge.value;
  if (column === "slope" || column === "gradient") return size(known(step.gradients, name));
  if (column === "mean" || column === "square") return size(known(column === "mean" ? step.after.means : step.after.squares, name));
  const [old, made] = [known(step.before.model.weights, name), known(step.after.model.weights, name)];
  return column === "change" ? old.data.reduce((most, value, i) => Math.max(most, Math.abs(made.data[i]! - value)), 0) : size(old);
}

function Sheet({ step }: { readonly step: TrainedStep }) {
  const [{ name, rows, columns: wide }, labels, now] = [weight.value, useLabels(), state.theme.value];
  const all = columns();
  const column = all.find((one) => one.name === shownColumn.value) ?? all[0]!;
  const end = endOf(column, step, name);
  const look = (row: number, place: number): CellLook => {
    if (column.isNudge && !isNudged.value) return { text: "", classes: "unknown" };
    const value = column.of(step, name, row * wide + place);
    const fill = diverging(now, column.isLoss ? value - step.loss : value, end);
    return { text: numbers.cell(value, column.digits), style: { background: css(fill), color: inkOn(now, fill) }, classes: value === 0 ? "zero" : "" };
  };
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    spot.value = { row: within(spot.value.row + by[0]!, rows), column: within(spot.value.column + by[1]!, wide) };
  };
  return (
    <>
      <div class="buttons quantities" role="group" aria-label="which number">
        {all.map((one) => (
          <button key={one.name} class={one === column ? "on" : ""} aria-pressed={one === column} onClick={() => (shownColumn.value = one.name)}>
            {one.title}
          </button>
        ))}
      </div>
      <div class="weight-sheet">
        <Grid
          id="learn-sheet"
          name={`${name}: ${column.title}`}
          rows={rows}
          columns={wide}
          rowHeight={ROW}
          columnWidth={COLUMN}
          labelWidths={[34, 40]}
          rowNames={labels.rows.names}
          columnNames={labels.columns.names}
          rowLabel={labels.rows.label}
          columnLabel={labels.columns.label}
          look={look}
          at={spot.value}
          height="fit"
          onPick={(row, place) => (spot.value = { row, column: place })}
          onKeyDown={move}
        />
      </div>
      <Detail step={step} all={all} />
    </>
  );
}

const within = (i: number, count: number): number => Math.max(0, Math.min(count - 1, i));

/** Everything of the chosen cell. */
function Detail({ step, all }: { readonly step: TrainedStep; readonly all: readonly Column[] }) {
  const [{ name, columns: wide, rows, counts }, { row, column: place }] = [weight.value, spot.value];
  if (row >= rows || place >= wide) return null;
  const token = counts === "vocabulary" ? shown(learning.readable(row)) : "";
  return (
    <dl class="detail" aria-label="the chosen weight">
      <div>
        <dt>cell</dt>
        <dd class="stage">
          {row},{place} {token}
        </dd>
      </div>
      {all.map((column) => (
        <div key={column.name}>
          <dt>{column.title}</dt>
          <dd>{text(column, step, name, row * wide + place)}</dd>
        </div>
      ))}
    </dl>
  );
}
