/**
 * The weights with what the next step does to each: the loss after nudging it, the gradient, the new weight; and the
 * word's stages with their gradients.
 *
 * A weight stands as a list, a row a cell, as `sheetgpt train-step` prints it, or as a sheet of one of these numbers.
 */
import { computed, signal } from "@preact/signals";
import { known } from "./forward";
import { classes } from "./grid";
import { NumberField } from "./learn_fields";
import { changeOf, choose, columnsOf, labelsOf, shown, spot, stages, textOf } from "./learn_matrices";
import { LearnSheet } from "./learn_sheet";
import * as learning from "./learning";
import type { Matrix } from "./matrix";
import * as state from "./state";
import type { TrainedStep } from "./training";
import { Worked } from "./worked";

const MOST_LISTED = 30; // of a larger matrix those with the largest gradients, as train-step shows them

const asSheet = signal<boolean | null>(null); // null: as suits the matrix
const isSheet = computed(() => shown.value.step !== null || (asSheet.value ?? shown.value.columns > 1));

export function LearnWeights() {
  const step = learning.next.value;
  return (
    <section class="learn-weights" aria-label="weights">
      <header>
        <Choice />
        <span class="space" />
        <NumberField name="nudge ±" value={learning.nudge.peek()} isRight={(x) => x > 0} onValue={(x) => (learning.nudge.value = x)} />
        {!shown.value.step && <Layout />}
      </header>
      {step && (isSheet.value ? <LearnSheet step={step} /> : <List step={step} />)}
      {step && !shown.value.step && <Worked step={step} />}
    </section>
  );
}

const Layout = () => (
  <div class="buttons" role="group" aria-label="laid out as">
    {["list", "sheet"].map((name) => (
      <button key={name} class={classes(isSheet.value === (name === "sheet") && "on")} aria-pressed={isSheet.value === (name === "sheet")} onClick={() => (asSheet.value = name === "sheet")}>
        {name}
      </button>
    ))}
  </div>
);

function Choice() {
  const { name, rows, columns, step } = shown.value;
  return (
    <>
      <select aria-label="matrix" value={name} onChange={(event) => choose(event.currentTarget.value)}>
        <optgroup label="weights">
          {state.facts.weights.map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </optgroup>
        <optgroup label="stages of the word">
          {stages.value.map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </optgroup>
      </select>
      <span class="mute" title={step?.words}>
        {rows} × {columns} {step?.title}
      </span>
    </>
  );
}

// ------------------------------------------------------------------------------------------------ as a list

/** The places of the cells that are listed: all, or those with the largest gradients first. */
function listed(gradient: Matrix): readonly number[] {
  const places = Array.from(gradient.data.keys());
  if (places.length <= MOST_LISTED) return places;
  return places.sort((one, other) => Math.abs(gradient.data[other]!) - Math.abs(gradient.data[one]!) || one - other).slice(0, MOST_LISTED);
}

function List({ step }: { readonly step: TrainedStep }) {
  const { name, rows, columns: wide } = shown.value;
  const columns = columnsOf(shown.value).filter((column) => column.name !== "change");
  const labels = labelsOf(shown.value);
  const places = listed(known(step.gradients, name));
  const pick = (place: number): void => void (spot.value = { row: Math.floor(place / wide), column: place % wide });
  const isChosen = (place: number): boolean => place === spot.value.row * wide + spot.value.column;
  return (
    <div class="weight-list">
      <table>
        <thead>
          <tr>
            <th class="token">cell</th>
            {columns.map((column) => (
              <th key={column.name}>{column.title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {places.map((place) => (
            <tr key={place} class={classes(isChosen(place) && "chosen")} aria-current={isChosen(place)} tabIndex={0} onClick={() => pick(place)} onFocus={() => pick(place)}>
              <td class="token">
                {Math.floor(place / wide)},{place % wide} <b>{labels.rows.label(Math.floor(place / wide)).token}</b>
              </td>
              {columns.map((column) => (
                <td key={column.name} class={column.name}>
                  {column.name === "new" && <span class="glyph">{direction(changeOf(step, name, place))}</span>}
                  {textOf(column, step, name, place)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows * wide > places.length && <p class="note">{(rows * wide - places.length).toLocaleString("en")} weights more, with smaller gradients</p>}
    </div>
  );
}

const direction = (change: number): string => (change > 0 ? "▲" : change < 0 ? "▼" : "");
