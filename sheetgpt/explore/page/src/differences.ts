/** The run without changes against the run with them: what the page says of two runs that it holds. */
import type { Matrix } from "./matrix";
import { isMasked } from "./numbers";
import type { Comparison, Differences, Facts, Run, StageDiff, Step, TextTable } from "./source";
import { pictureOfDifferences } from "./thumbnail";

const MOST_WORST = 1000;

/** By stage: any change is a difference. */
export function changes(facts: Facts, before: Run, after: Run): Comparison {
  const stages = facts.steps.map((step) => line(step, before, after));
  const first = stages.find((one) => one.verdict === "different")?.stage ?? null;
  return { left: "original", right: "with changes", tokens: after.tokens, tolerance: { atol: 0, rtol: 0 }, first, diagnosis: null, notes: after.asked.sets.map((set) => `Typed over: ${set}`), stages };
}

function line(step: Step, before: Run, after: Run): StageDiff {
  const info = after.stages.get(step.name);
  const change = info?.change ?? null;
  const isOther = change !== null || (step.role === "PREDICTION" && JSON.stringify(before.tables[step.name]) !== JSON.stringify(after.tables[step.name]));
  return {
    stage: step.name,
    title: step.title,
    verdict: isOther ? "different" : "equal",
    largest_difference: change?.largest ?? (info ? 0 : null),
    rms: null,
    cosine: null,
    shape: info ? [info.rows, info.columns] : null,
    cells: info ? info.rows * info.columns : 0,
    note: "",
    cause: "",
    own_error: null,
    end: info?.end ?? 1,
    picture: change?.picture ?? info?.picture ?? null,
    firstRow: 0,
  };
}

/** right - left, cell by cell: 0 where both are equal, masked or no numbers. */
export function difference(left: number, right: number): number {
  if (left === right || (Number.isNaN(left) && Number.isNaN(right)) || (isMasked(left) && isMasked(right))) return 0;
  return isMasked(left) || isMasked(right) ? NaN : right - left;
}

export function differences(left: Matrix, right: Matrix): Differences {
  const data = right.data.map((value, at) => difference(left.data[at]!, value));
  const size = (at: number): number => (Number.isFinite(data[at]) ? Math.abs(data[at]!) : Infinity);
  const out = Array.from(data.keys()).filter((at) => data[at] !== 0).sort((one, other) => size(other) - size(one) || one - other);
  const end = data.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
  const worst = out.slice(0, MOST_WORST).map((at) => [Math.floor(at / right.columns), at % right.columns] as const);
  return { end, picture: pictureOfDifferences({ ...right, data }, end), out: out.length, worst, words: [{}, {}], tables: null };
}

/** Both tables of a stage of texts, and the cells that are others. */
export function textDifferences(left: TextTable, right: TextTable): Differences {
  const cells = right.flatMap((row, i) => row.map((one, j) => [i, j, one] as const));
  const worst = cells.filter(([i, j, one]) => one !== left[i]?.[j]).map(([i, j]) => [i, j] as const);
  return { end: 0, picture: null, out: worst.length, worst, words: [{}, {}], tables: [left, right] };
}
