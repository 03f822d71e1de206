/**
 * Logits to the next token: temperature, top-k, top-p, and the pick by a target between 0 and 1 over cumulative sums.
 *
 * In the order of `generate/sample.py`: candidates by falling logit (of equals the smaller id first), sums from the
 * first to the last.
 */

/** How the next token is chosen; null where an option is left out. Temperature 0: the greatest logit wins. */
export interface Sampling {
  readonly temperature: number;
  readonly topK: number | null; // only the k greatest logits stay
  readonly topP: number | null; // of these, only the first whose probabilities reach p together
}

/** Every token as a candidate, the greatest logit first. */
export interface Candidates {
  readonly ids: readonly number[];
  readonly logits: Float64Array;
  readonly scaled: Float64Array; // logit / temperature; the logit itself where temperature is 0
  readonly keptByTopK: readonly boolean[];
  readonly keptByTopP: readonly boolean[]; // among those kept by top-k
  readonly probabilities: Float64Array; // of those kept by both; the others have 0
  readonly cumulative: Float64Array;
}

export interface Pick {
  readonly id: number;
  readonly index: number; // its place among the candidates
  readonly candidates: Candidates;
  readonly target: number | null; // null where nothing was drawn
}

/** The candidates in order, with what top-k and top-p leave of them. */
export function candidatesOf(logits: Float64Array, { temperature, topK, topP }: Sampling): Candidates {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const ordered = Float64Array.from(ids, (id) => logits[id]);
  const divisor = temperature || 1;
  const keptByTopK = ids.map((_, i) => i < (topK ?? ids.length));
  const weights = ordered.map((logit, i) => (keptByTopK[i] ? Math.exp((logit - ordered[0]) / divisor) : 0));
  const sums = cumulative(weights);
  const limit = topP === null ? Infinity : topP * sums[sums.length - 1];
  const keptByTopP = keptByTopK.map((kept, i) => kept && (i ? sums[i - 1] : 0) < limit); // the one that reaches p stays
  const left = weights.map((weight, i) => (keptByTopP[i] ? weight : 0));
  const total = cumulative(left)[left.length - 1];
  const probabilities = left.map((weight) => weight / total);
  const scaled = ordered.map((logit) => logit / divisor);
  return { ids, logits: ordered, scaled, keptByTopK, keptByTopP, probabilities, cumulative: cumulative(probabilities) };
}

function cumulative(x: Float64Array): Float64Array {
  let sum = 0;
  return x.map((value) => (sum += value));
}

/** The first place whose cumulative sum is greater than the target; the last possible where none is. */
export function pickIndex({ probabilities, cumulative: sums }: Candidates, target: number): number {
  const found = sums.findIndex((sum) => sum > target);
  let last = probabilities.length - 1; // rounding may leave the last sum below 1
  while (last > 0 && probabilities[last] === 0) last--;
  return found < 0 ? last : Math.min(found, last);
}

/** The next token, by a target from 0 up to 1; at temperature 0 the target is left alone. */
export function pick(logits: Float64Array, sampling: Sampling, target: number): Pick {
  const candidates = candidatesOf(logits, sampling);
  const greedy = sampling.temperature === 0;
  const index = greedy ? 0 : pickIndex(candidates, target);
  return { id: candidates.ids[index], index, candidates, target: greedy ? null : target };
}
