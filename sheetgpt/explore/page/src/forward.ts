/**
 * The forward run: a list of steps, weights and token ids in, every stage's matrix out; and the run that follows when
 * cells are changed. The list comes as data: nothing here knows a model or a stage.
 */
import { matrix, type Matrix } from "./matrix";
import { opOf } from "./ops";
import type { Step as Described } from "./source";

/** What computing reads of a step. */
export type Step = Pick<Described, "name" | "op" | "inputs" | "role" | "isGiven">;
export type Matrices = ReadonlyMap<string, Matrix>;
/** A matrix in place of a stage or weight, or what becomes of the one that is computed. */
export type Override = Matrix | ((computed: Matrix) => Matrix);

export interface Model {
  readonly steps: readonly Step[];
  readonly weights: Matrices;
}

/** A run: every stage's matrix by name, in order, and the run's inputs, `positions` and the ids of its tokens. */
export interface Run {
  readonly values: Matrices;
  readonly overrides: Matrices; // stages and weights that are set
}

/** One assignment: a cell of a stage or weight, or all of it (`at` is null). */
export interface Edit {
  readonly stage: string;
  readonly at: readonly [row: number, column: number] | null;
  readonly value: number | Matrix;
}

const POSITIONS = "positions"; // the inputs of a run that no step makes
const TARGETS = "targets";
const TOKEN_IDS_ROW = 1; // of the stage of tokens, as edits address it
const NOTHING: Matrices = new Map();

export const row = (numbers: ArrayLike<number>): Matrix => matrix(1, numbers.length, Float64Array.from(numbers));

/** The name of the stage of a role, such as TOKENS; throws where the list has none. */
export function nameOf(role: string, steps: readonly Step[]): string {
  const found = steps.find((step) => step.role === role);
  if (!found) throw new Error(`this model has no stage of the role ${role}`);
  return found.name;
}

/** What a run is given: the ids, positions 0, 1, ..., and targets where it learns. */
export function inputsOf(steps: readonly Step[], ids: ArrayLike<number>, targets?: ArrayLike<number>): Map<string, Matrix> {
  const found = new Map([
    [nameOf("TOKENS", steps), row(ids)],
    [POSITIONS, row(Array.from(ids, (_, position) => position))],
  ]);
  return targets ? found.set(TARGETS, row(targets)) : found;
}

export interface Options {
  readonly overrides?: ReadonlyMap<string, Override>;
  readonly base?: Matrices; // the stages of a run without the overrides: what doesn't depend on one is taken from it
  readonly onStage?: (name: string, made: Matrix) => void;
}

/** Every stage's matrix by name, in order, behind what was given. */
export function forward({ steps, weights }: Model, given: Matrices, { overrides = NOTHING as ReadonlyMap<string, Override>, base = NOTHING, onStage }: Options = {}): Map<string, Matrix> {
  const values = new Map(given);
  const changed = new Set<string>(overrides.keys());
  const replaced = (name: string): Matrix | undefined => {
    const found = overrides.get(name);
    return typeof found === "function" ? undefined : found;
  };
  for (const step of steps) {
    if (step.isGiven) continue;
    let value = replaced(step.name);
    if (!value && !step.inputs.some((name) => changed.has(name))) value = base.get(step.name);
    if (!value) {
      const inputs = step.inputs.map((name) => values.get(name) ?? replaced(name) ?? known(weights, name));
      value = opOf(step.op).value(step.op, ...inputs);
      changed.add(step.name);
    }
    const become = overrides.get(step.name);
    const made = typeof become === "function" ? become(value) : value;
    values.set(step.name, made);
    onStage?.(step.name, made);
  }
  return values;
}

export function known(matrices: Matrices, name: string): Matrix {
  const found = matrices.get(name);
  if (!found) throw new Error(`no stage or weight is called ${name}`);
  return found;
}

/** The run of token ids. */
export function run(model: Model, ids: ArrayLike<number>, onStage?: Options["onStage"]): Run {
  return { values: forward(model, inputsOf(model.steps, ids), { onStage }), overrides: new Map() };
}

// ------------------------------------------------------------------------------------------------ changed cells

/**
 * The run that follows from edits of a run; what they don't reach is taken from it, what was set in it stays set. A
 * cell set in a late stage stands among cells that already follow from the edits of early ones.
 */
export function runEdited(model: Model, before: Run, edits: readonly Edit[], onStage?: Options["onStage"]): Run {
  const overrides = overridesOf(model, before, edits);
  const ids = overrides.get(nameOf("TOKENS", model.steps)) as Matrix | undefined;
  const given = ids ? inputsOf(model.steps, ids.data) : inputsOf(model.steps, idsOf(model, before).data);
  const values = forward(model, given, { overrides, base: ids ? undefined : before.values, onStage });
  const set = [...overrides].map(([name, one]): [string, Matrix] => [name, typeof one === "function" ? known(values, name) : one]);
  return { values, overrides: new Map(set) };
}

export const idsOf = (model: Model, of: Run): Matrix => known(of.values, nameOf("TOKENS", model.steps));

function overridesOf(model: Model, before: Run, edits: readonly Edit[]): Map<string, Override> {
  const found = new Map<string, Override>(before.overrides);
  for (const name of new Set(edits.map((edit) => edit.stage))) {
    const ofOne = edits.filter((edit) => edit.stage === name);
    const become = (computed: Matrix): Matrix => edited(computed, ofOne);
    const given = name === nameOf("TOKENS", model.steps) ? withIds(idsOf(model, before), ofOne) : null;
    const kept = before.overrides.get(name) ?? model.weights.get(name);
    found.set(name, given ?? (kept ? become(kept) : become));
  }
  return found;
}

/** The token ids after edits, which address them as a row below their texts. Throws RangeError for what is no id. */
function withIds(ids: Matrix, edits: readonly Edit[]): Matrix {
  const inPlace = edits.map((edit) => ({ ...edit, at: edit.at && ([edit.at[0] - TOKEN_IDS_ROW, edit.at[1]] as const) }));
  const found = edited(ids, inPlace);
  const wrong = found.data.find((id) => !(Number.isInteger(id) && id >= 0));
  if (wrong !== undefined) throw new RangeError(`${wrong} is no token id: ids are whole numbers from 0`);
  return found;
}

/** A copy of a matrix with edits in the order in which they were made. Throws RangeError where a cell is outside. */
export function edited(x: Matrix, edits: readonly Edit[]): Matrix {
  const made = matrix(x.rows, x.columns, Float64Array.from(x.data));
  for (const { stage, at, value } of edits) {
    if (at === null) fill(made, stage, value);
    else if (typeof value === "number" && inside(x, at)) made.data[at[0] * x.columns + at[1]] = value;
    else throw new RangeError(`${stage}[${at}] is no cell: ${stage} has ${x.rows} rows and ${x.columns} columns`);
  }
  return made;
}

const inside = (x: Matrix, [i, j]: readonly [number, number]): boolean => i >= 0 && i < x.rows && j >= 0 && j < x.columns;

function fill(made: Matrix, stage: string, value: number | Matrix): void {
  if (typeof value === "number") made.data.fill(value);
  else if (value.rows === made.rows && value.columns === made.columns) made.data.set(value.data);
  else throw new RangeError(`${stage} has ${made.rows} x ${made.columns} cells, not ${value.rows} x ${value.columns}`);
}
