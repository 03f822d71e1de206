/** Where a cell of a run comes from and where it goes: `terms` and `dependents` as cells of stages and weights. */
import { known, type Model, type Run, type Step } from "./forward";
import type { Matrix } from "./matrix";
import { opOf } from "./ops";
import type { Origin, Region, Summand, Terms as Shown } from "./source";
import { type Box, type Cell, type Cells, entering, type Sum, type Terms } from "./terms";

const MOST_SUMMANDS = 12; // that are shown one by one
const TOKEN_IDS_ROW = 1; // of the stage of tokens, as it is addressed
type At = (cells: Cells | null | undefined) => Region | null;

/** What a cell of a stage or weight is made of and goes into; the workbook's formula is left to others. */
export function originOf(model: Model, run: Run, stage: string, row: number, column: number): Omit<Origin, "formula"> {
  const step = model.steps.find((one) => one.name === stage);
  const found = step && !step.isGiven ? termsOf(model, run, step, [row, column]) : null;
  const at: At = (cells) => (cells ? regionOf(model, step!.inputs[cells.input], cells.box) : null);
  return {
    terms: found && shown(found, at),
    precedents: found ? widest(present(entering(found).map(at))) : [],
    dependents: dependentsOf(model, run, stage, [row, column]),
  };
}

/** What makes a cell of a computed stage, by its operation. */
export function termsOf(model: Model, run: Run, step: Step, cell: Cell): Terms {
  return opOf(step.op).terms(step.op, step.role === "PREDICTION" ? [0, 0] : cell, ...inputsOfStep(model, run, step));
}

function dependentsOf(model: Model, run: Run, stage: string, [row, column]: Cell): Region[] {
  const cell: Cell = [roleOf(model, stage) === "TOKENS" ? 0 : row, column];
  const readers = model.steps.filter((step) => !step.isGiven && step.inputs.includes(stage));
  const boxes = readers.flatMap((step) => {
    const inputs = inputsOfStep(model, run, step);
    const places = step.inputs.flatMap((name, place) => (name === stage ? [place] : []));
    return places.flatMap((place) => opOf(step.op).dependents(step.op, place, cell, ...inputs)).map((box) => regionOf(model, step.name, box));
  });
  return unique(present(boxes));
}

function inputsOfStep(model: Model, run: Run, step: Step): Matrix[] {
  return step.inputs.map((name) => run.values.get(name) ?? run.overrides.get(name) ?? known(model.weights, name));
}

const roleOf = (model: Model, name: string): string | null => model.steps.find((step) => step.name === name)?.role ?? null;

/** A box of an operation's input or value as cells of the stage or weight; null of what has none, as positions. */
function regionOf(model: Model, stage: string, [row, column, rows, columns]: Box): Region | null {
  const role = roleOf(model, stage);
  if (role === "TOKENS") return { stage, row: TOKEN_IDS_ROW, column, rows: 1, columns };
  if (role === "PREDICTION") return { stage, row: 0, column: 1, rows: 3, columns: 1 }; // as the reference lays it out
  const isKnown = model.weights.has(stage) || model.steps.some((step) => step.name === stage);
  return isKnown ? { stage, row, column, rows, columns } : null;
}

const present = (regions: readonly (Region | null)[]): Region[] => regions.filter((one) => one !== null);
const unique = (regions: readonly Region[]): Region[] => [...new Map(regions.map((one) => [Object.values(one).join(), one])).values()];

/** Those that are not part of another. */
function widest(regions: readonly Region[]): Region[] {
  const all = unique(regions);
  return all.filter((one) => !all.some((other) => other !== one && isWithin(one, other)));
}

const isWithin = (one: Region, other: Region): boolean =>
  other.stage === one.stage &&
  other.row <= one.row &&
  other.column <= one.column &&
  one.row + one.rows <= other.row + other.rows &&
  one.column + one.columns <= other.column + other.columns;

// ------------------------------------------------------------------------------------------------ as views show them

function shown(found: Terms, at: At): Shown {
  const numbers = Object.entries(found.numbers).map(([name, { value, addend, cells }]) => ({ name, value, addend, cells: at(cells) }));
  const source = found.source ? found.numbers[found.source].cells : null;
  return { value: found.value, formula: found.formula, numbers, sum: found.sum && shownSum(found.sum, at), source: at(source) };
}

function shownSum({ what, values, total, left, right }: Sum, at: At): Shown["sum"] {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  const largest = order.slice(0, MOST_SUMMANDS).map((index): Summand => {
    return { index, value: values[index], left: left.values[index], right: right ? right.values[index] : null };
  });
  return { what, count: values.length, total, left: at(left.cells), right: at(right?.cells), largest };
}
