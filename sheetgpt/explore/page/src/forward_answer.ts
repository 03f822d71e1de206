/** What a run says to a person: its best next tokens, its texts as tables, how far a change travelled. */
import type { MergeTrace, Row } from "./bpe_trace";
import { idsOf, known, type Model, nameOf, type Run, type Step } from "./forward";
import type { Matrix } from "./matrix";
import type { Candidate, Step as Described, Travel } from "./source";
import { isMasked } from "./numbers";
import { changeOf } from "./thumbnail";

export interface Ranking {
  readonly logits: Float64Array; // by id
  readonly probabilities: Float64Array; // by id
  readonly order: readonly number[]; // ids from the most probable on; of equals, the smaller first
}

/** Every token's chance to come next. */
export function rankingOf(model: Model, of: Run): Ranking {
  const { rows, columns, data } = known(of.values, nameOf("LOGITS", model.steps));
  const logits = Float64Array.from({ length: rows }, (_, id) => data[(id + 1) * columns - 1]);
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const powers = logits.map((logit) => Math.exp(logit - logits[order[0]]));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return { logits, probabilities: powers.map((power) => power / total), order };
}

/** The most probable next tokens, beside what they were before the changes. */
export function bestOf(model: Model, of: Run, before: Run | null, token: (id: number) => string, count = 10): Candidate[] {
  const { logits, probabilities, order } = rankingOf(model, of);
  const old = before && rankingOf(model, before);
  const ranks = old && new Map(old.order.map((id, i) => [id, i + 1]));
  return order.slice(0, count).map((id, i) => ({
    id,
    token: token(id),
    logit: logits[id],
    probability: probabilities[id],
    rank: i + 1,
    before: old && ranks && { probability: old.probabilities[id], rank: ranks.get(id)! },
  }));
}

// ------------------------------------------------------------------------------------------------ texts

/** Each stage of text that a run has, as the reference lays it out. merges: of the prompt; null where ids were given. */
export function textTables(model: Model, of: Run, token: (id: number) => string, merges: MergeTrace | null): Record<string, readonly Row[]> {
  const ids = Array.from(idsOf(model, of).data);
  const byRole: Readonly<Record<string, () => Row[] | null>> = {
    WORDS: () => merges && [[...merges.words]],
    MERGES: () => merges && merges.table(),
    TOKENS: () => [ids.map(token), ids],
  };
  const tables = model.steps.map(({ name, role }): [string, Row[] | null] => [name, (role !== null && byRole[role]?.()) || null]);
  return Object.fromEntries(tables.filter((one): one is [string, Row[]] => one[1] !== null));
}

/** The prediction as the reference lays it out. */
export function predictionTable(model: Model, of: Run, token: (id: number) => string): Row[] {
  const [best, id] = known(of.values, nameOf("PREDICTION", model.steps)).data;
  return [
    ["Maximum logit value:", best],
    ["Token ID:", id],
    ["Predicted Token:", token(id)],
  ];
}

// ------------------------------------------------------------------------------------------------ how far it travelled

type PlacedStep = Step & Pick<Described, "rows" | "part" | "block">;

/** The largest change in the embeddings, in each block and in the language head. */
export function travelOf(steps: readonly PlacedStep[], before: Run, after: Run): Travel[] {
  const found = new Map<string, Travel>();
  for (const step of steps) {
    if (step.rows === "text") continue;
    const part = step.part === "embeddings" ? "embeddings" : step.block === null ? "head" : `block ${step.block}`;
    const change = largestChange(known(before.values, step.name), known(after.values, step.name));
    if (!found.has(part) || change > found.get(part)!.largest_change) found.set(part, { part, largest_change: change, stage: step.name });
  }
  return [...found.values()];
}

/** Infinite where a number became none; cells that are masked before or after are left out. */
export const largestChange = (before: Matrix, after: Matrix): number =>
  before.data.reduce((most, value, at) => {
    const other = after.data[at];
    return isMasked(value) || isMasked(other) ? most : Math.max(most, Math.abs(changeOf(value, other)));
  }, 0);
