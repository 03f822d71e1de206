/** What tokens look at: the stages that say so, and their numbers head by head. Drawing belongs in the view. */
import { signal } from "@preact/signals";
import { stepOf } from "./labels";
import { matrix, type Matrix } from "./matrix";
import type { Run, Step } from "./source";
import * as state from "./state";
import { home } from "./tiles";

export const MOST_TOKENS = 64; // a side of a map; of more, cells are pooled by their maximum
const MOST_KEPT = 150; // matrices, each at most a row of all heads, or all heads as maps

/** The stages whose rows add up to 1 over the keys, head by head, in the order of the data. */
export const attentionSteps = (): readonly Step[] => state.facts.steps.filter((step) => step.shares && step.byHead);

// ------------------------------------------------------------------------------------------------ numbers

const kept = new Map<string, Matrix | null>(); // null: asked for
const arrived = signal(0);
let frame = 0;

/** What arrives within one frame is drawn together. */
function arrive(): void {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => void arrived.value++);
}

/** What is kept under a key, asked for where it isn't; null until it is there. Who asks is drawn again when it comes. */
function keep(key: string, ask: () => Promise<Matrix>): Matrix | null {
  void arrived.value;
  const found = kept.get(key);
  if (found !== undefined) return found;
  kept.set(key, null);
  for (const old of kept.keys()) if (kept.size > MOST_KEPT) kept.delete(old);
  ask().then(
    (made) => {
      kept.set(key, made);
      arrive();
    },
    () => kept.delete(key), // asked again when it is next drawn
  );
  return null;
}

/** All heads of a stage as maps side by side, [n, H n]: the numbers themselves up to `MOST_TOKENS` tokens. */
export function mapsOf(run: Run, step: Step): Matrix | null {
  const of = home(run, step.name);
  return keep(`${of.id}/${step.name}`, () => askMaps(of, step));
}

async function askMaps(run: Run, step: Step): Promise<Matrix> {
  const source = state.getSource();
  const [rows, columns] = state.shapeOf(step.name, run);
  if (rows > MOST_TOKENS && source.heads) return source.heads(run, step.name);
  return pooled(await source.cells(run, { stage: step.name, row: 0, column: 0, rows, columns }), step.groups, MOST_TOKENS);
}

/** What one token looks at in every head of a stage, [1, H T]. */
function rowOf(run: Run, step: Step, row: number): Matrix | null {
  const of = home(run, step.name);
  const columns = run.tokens.length * step.groups;
  return keep(`${of.id}/${step.name}/${row}`, () => state.getSource().cells(of, { stage: step.name, row, column: 0, rows: 1, columns }));
}

/** A number of a head; undefined until it is there. */
export function valueAt(run: Run, step: Step, head: number, row: number, key: number): number | undefined {
  const tokens = run.tokens.length;
  if (tokens > MOST_TOKENS) return state.tiles.at(run, step.name, row, head * tokens + key);
  const maps = mapsOf(run, step);
  return maps ? maps.data[row * maps.columns + head * tokens + key] : undefined;
}

/** What a token looks at in a head, key by key; null until it is there. */
export function sharesOf(run: Run, step: Step, head: number, row: number): Float64Array | null {
  const tokens = run.tokens.length;
  const found = tokens > MOST_TOKENS ? rowOf(run, step, row) : mapsOf(run, step);
  if (!found) return null;
  const start = (tokens > MOST_TOKENS ? 0 : row * found.columns) + head * tokens;
  return found.data.subarray(start, start + tokens);
}

/** One head's numbers, [T, T]; fetched whole. */
export async function headOf(run: Run, step: Step, head: number): Promise<Matrix> {
  const tokens = run.tokens.length;
  return state.getSource().cells(home(run, step.name), { stage: step.name, row: 0, column: head * tokens, rows: tokens, columns: tokens });
}

// ------------------------------------------------------------------------------------------------ maps

/** The first token of each cell of a pooled map, and one past the last. */
export const starts = (tokens: number, size: number): number[] => Array.from({ length: size + 1 }, (_, i) => Math.floor((i * tokens) / size));

/** Heads with at most so many tokens a side; each cell is the greatest of those that share it. */
export function pooled(heads: Matrix, count: number, most: number): Matrix {
  const tokens = heads.rows;
  const size = Math.min(tokens, most);
  if (size === tokens) return heads;
  const edges = starts(tokens, size);
  const found = matrix(size, count * size, new Float64Array(size * count * size).fill(-Infinity));
  const place = edges.slice(0, -1).flatMap((start, i) => Array<number>(edges[i + 1]! - start).fill(i));
  for (let row = 0; row < tokens; row++) {
    for (let column = 0; column < heads.columns; column++) {
      const at = place[row]! * found.columns + Math.floor(column / tokens) * size + place[column % tokens]!;
      found.data[at] = Math.max(found.data[at]!, heads.data[row * heads.columns + column]!);
    }
  }
  return found;
}

const smaller = new WeakMap<Matrix, Map<number, Matrix>>();

/** The same, made once for each size. */
export function fitted(heads: Matrix, count: number, most: number): Matrix {
  const known = smaller.get(heads) ?? new Map<number, Matrix>();
  if (!known.has(most)) known.set(most, pooled(heads, count, most));
  smaller.set(heads, known);
  return known.get(most)!;
}

/** Is it a cell that may not be looked at? These are exactly 0, right of the diagonal, where scores are masked. */
export const isHidden = (step: Step, row: number, key: number, value: number): boolean => value === 0 && key > row && hasMask(step);

const masks = new WeakMap<Step, boolean>(); // asked of each cell

function hasMask(step: Step): boolean {
  const known = masks.get(step);
  if (known !== undefined) return known;
  const found = stepOf(state.facts, step.inputs[0] ?? "")?.masked ?? false;
  masks.set(step, found);
  return found;
}

/** The place of the greatest. */
export function largest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
