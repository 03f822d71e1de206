/**
 * The operations that models are made of, each under its class's name in `sheetgpt/ops`: the same views by topic.
 *
 * Which operation follows which comes as data, the list of steps; running it belongs in `forward` and `backward`.
 */
import { Gelu, Relu } from "./ops_activation";
import { AttentionMix, AttentionScores, CausalMask, Softmax } from "./ops_attention";
import type { Fields, Op } from "./ops_base";
import { AddRows, Rotate, Sinusoids, TakeRows } from "./ops_embedding";
import { BestToken, LastRow, ScoreTokens } from "./ops_head";
import { Log, Shares, SoftmaxColumns, Spread, Turn, Window } from "./ops_ladder";
import { Add, Columns, Copy, Linear, Project } from "./ops_linear";
import { LogLoss, Missed, type Penalty, Surprise } from "./ops_loss";
import { Normalize, NormalizeRms, ScaleShift } from "./ops_norm";

export { isMasked } from "./ops_attention";
export type { Fields, Gradients, Op } from "./ops_base";
export type { Penalty } from "./ops_loss";

const PENALTIES: Readonly<Record<string, Penalty>> = { LogLoss, Missed, Surprise };

export const OPS: Readonly<Record<string, Op>> = {
  TakeRows,
  AddRows,
  Sinusoids,
  Rotate,
  CausalMask,
  AttentionScores,
  Softmax,
  AttentionMix,
  Normalize,
  ScaleShift,
  NormalizeRms,
  Linear,
  Project,
  Columns,
  Copy,
  Add,
  Gelu,
  Relu,
  LastRow,
  ScoreTokens,
  BestToken,
  Spread,
  Turn,
  Window,
  Shares,
  SoftmaxColumns,
  Log,
  ...PENALTIES,
};

/** The operation that makes a step, by the name in its fields. Throws where the page has none of that name. */
export function opOf(fields: Fields): Op {
  const found = OPS[fields.name as string];
  if (!found) throw new Error(`this page has no operation ${String(fields.name)}`);
  return found;
}

/** The operation that makes penalties. */
export const penaltyOf = (fields: Fields): Penalty => PENALTIES[fields.name as string];
