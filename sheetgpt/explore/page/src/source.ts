/**
 * What every view asks: the model's list of steps, the numbers of a run, what follows from a change.
 *
 * Two answer: `served.ts` asks the server, `computed.ts` computes on the page. Views know neither.
 */
import type { Matrix } from "./matrix";

// ------------------------------------------------------------------------------------------------ the model

/** What an axis of a matrix counts: `models.step.Axis`, by value. */
export type Axis =
  | "tokens"
  | "last token"
  | "vocabulary"
  | "positions"
  | "dimensions"
  | "heads x dimensions"
  | "keys"
  | "heads x keys"
  | "logit"
  | "penalty"
  | "text";

export type Part = "words" | "embeddings" | "block" | "head" | "logits" | "loss";

/** An operation's name and the fields that make it, such as `{ name: "Softmax", groups: 4 }`. */
export interface Operation {
  readonly name: string;
  readonly [field: string]: unknown;
}

/** One stage of the pipeline, as the model's list has it. */
export interface Step {
  readonly name: string;
  readonly withinBlock: string; // its name without its block's
  readonly title: string;
  readonly shortTitle: string; // without the part of the block that it belongs to
  readonly words: string; // the formula as a person would say it
  readonly why: string;
  readonly op: Operation;
  readonly inputs: readonly string[];
  readonly rows: Axis;
  readonly columns: Axis;
  readonly part: Part;
  readonly block: number | null;
  readonly number: number | null;
  readonly role: string | null; // `models.step.Role`, by name: WORDS, MERGES, TOKENS, LOGITS, PREDICTION, PENALTIES
  readonly byHead: boolean; // its columns hold a slice of keys for each head
  readonly isGiven: boolean; // words, merges and tokens: made of the prompt, not of matrices
  readonly masked: boolean; // cells may be masked
  readonly shares: boolean; // rows (of each group) add up to 1
  readonly groups: number; // slices of the columns that stay apart: heads
}

export interface Weight {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly counts: Axis | null; // what its rows count
  readonly use: string;
  readonly part: Part;
  readonly block: number | null;
}

export interface Model {
  readonly name: string;
  readonly weights: string; // what `--weights` takes: the folder, or the name of one that ships inside
  readonly kind: string; // gpt2, die, ...
  readonly dtype: string;
  readonly n_layer: number;
  readonly n_head: number;
  readonly n_embd: number;
  readonly n_ctx: number;
  readonly room: number | null; // tokens that a run holds; null where positions don't end with a table
  readonly n_vocab: number;
  readonly hasText: boolean; // it has a token table; without one, prompts are ids
  readonly learns: boolean; // small enough, and of a kind, to be trained on the page
}

/** What a model is trained by; `training_update.ts` has the settings that stay. */
export interface Training {
  readonly optimizer: "sgd" | "adamw";
  readonly decayed: readonly string[]; // the weights on which decay pulls
  readonly plainShares: boolean; // weights are parts of a sum: they stay above 0
  readonly end: number | null; // the token that ends a document
  readonly characters: boolean; // documents of characters begin after an end token, too
  readonly words: readonly Word[]; // offered to learn from
}

/** A text to learn from. */
export interface Word {
  readonly text: string;
  readonly ids: readonly number[];
}

export interface Facts {
  readonly model: Model;
  readonly steps: readonly Step[];
  readonly stream: readonly string[]; // the stages of the residual stream
  readonly trainingSteps: readonly Step[]; // up to each prediction's penalty, of a model that the page trains
  readonly training: Training | null; // null where the page doesn't train it
  readonly weights: readonly Weight[];
  readonly prompt: Asked; // what to begin with
  readonly readOnly: string | null; // why cells can't be changed, where they can't
  readonly compare: Comparison | null; // of two sides, where that is what the page shows
}

// ------------------------------------------------------------------------------------------------ comparisons

/** One stage's line, as `sheetgpt diff --json` has it, and what is shown beside it. */
export interface StageDiff {
  readonly stage: string;
  readonly title: string;
  readonly verdict: "equal" | "different" | "missing";
  readonly largest_difference: number | string | null; // a text where it is no number
  readonly rms: number | string | null;
  readonly cosine: number | string | null;
  readonly shape: readonly [number, number] | null;
  readonly cells: number;
  readonly note: string;
  readonly cause: string;
  readonly own_error: boolean | null;
  readonly end: number; // of the scale of values, of both
  readonly picture: Picture | null; // right - left
  readonly firstRow: number; // not 0 where one row stands for the last of several
}

export interface Comparison {
  readonly left: string;
  readonly right: string;
  readonly tokens: readonly string[];
  readonly tolerance: { readonly atol: number; readonly rtol: number };
  readonly first: string | null; // the stage that diverges first
  readonly diagnosis: { readonly stage: string; readonly sentence: string } | null;
  readonly notes: readonly string[];
  readonly stages: readonly StageDiff[];
}

/** A stage's differences, right - left. */
export interface Differences {
  readonly end: number; // the largest one in size
  readonly picture: Picture | null;
  readonly out: number; // how many cells differ by more than is allowed
  readonly worst: readonly (readonly [row: number, column: number])[]; // of these, the worst first
  readonly words: readonly [Contents, Contents]; // what stands where a side holds no number
  readonly tables: readonly [TextTable, TextTable] | null; // of words, merges and tokens
}

export type Contents = Readonly<Record<string, string>>; // by `row,column`
export type TextTable = readonly (readonly unknown[])[];

// ------------------------------------------------------------------------------------------------ runs

/** What a run is asked for by: the prompt or ids, and what is set, as `--set` takes it. */
export interface Asked {
  readonly prompt: string | null;
  readonly ids: readonly number[] | null;
  readonly sets: readonly string[];
  readonly special: boolean; // is each special token in the prompt one token?
}

export interface Statistics {
  readonly least: number;
  readonly mean: number;
  readonly greatest: number;
  readonly deviation: number;
  readonly bins: readonly number[]; // 40 from least to greatest; masked cells count nowhere
}

/** A weight as the model has it. */
export type WeightInfo = Pick<StageInfo, "end" | "statistics">;

/** A matrix as a small picture; pixels are -127 to 127 at `end`, -128 where masked. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Int8Array;
  readonly end: number;
}

/** How a stage differs from the run without changes. */
export interface Change {
  readonly picture: Picture; // of the differences
  readonly largest: number;
  readonly ratio: number; // rms of the change / rms of the values
}

export interface StageInfo {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly picture: Picture;
  readonly end: number; // of the scale of values: the 99th percentile of |x|, before changes
  readonly statistics: Statistics;
  readonly change: Change | null;
}

export interface Candidate {
  readonly id: number;
  readonly token: string;
  readonly logit: number;
  readonly probability: number;
  readonly rank: number;
  readonly before: { readonly probability: number; readonly rank: number } | null; // where something is set
}

export interface Travel {
  readonly part: string;
  readonly largest_change: number;
  readonly stage: string;
}

/** Where a stage or weight begins in the live workbook, from 0; `keys`: the columns of each head, 0 without heads. */
export type Place = readonly [tab: string, row: number, column: number, keys: number];

export interface Run {
  readonly id: string;
  readonly asked: Asked;
  readonly prompt: string | null;
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly words: readonly string[];
  readonly tables: Readonly<Record<string, readonly (readonly unknown[])[]>>; // of the stages of text, as the reference lays them out
  readonly places: Readonly<Record<string, Place>>;
  readonly notices: readonly string[];
  readonly stages: ReadonlyMap<string, StageInfo>; // those that are computed by now
  readonly before: Run | null; // the same prompt's without changes
  readonly best: readonly Candidate[]; // empty until the run is done
  readonly travel: readonly Travel[];
  readonly done: boolean;
}

// ------------------------------------------------------------------------------------------------ cells

/** A box of cells of a stage or weight. */
export interface Region {
  readonly stage: string;
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** A summand of a cell's sum: its place among all, and the numbers that are multiplied. */
export interface Summand {
  readonly index: number;
  readonly value: number;
  readonly left: number;
  readonly right: number | null;
}

/** What makes one cell: an operation's `terms`, see `ops/base.py`. */
export interface Terms {
  readonly value: number; // as the inputs make it: another than the cell's where that was set
  readonly formula: string; // with numbers and sum as names in braces
  readonly numbers: readonly { readonly name: string; readonly value: number; readonly addend: boolean; readonly cells: Region | null }[];
  readonly sum: {
    readonly what: string;
    readonly count: number;
    readonly total: number;
    readonly left: Region | null;
    readonly right: Region | null;
    readonly largest: readonly Summand[]; // by size
  } | null;
  readonly source: Region | null; // the cell to look at next
}

export interface Origin {
  readonly terms: Terms | null; // null of weights, words, tokens
  readonly precedents: readonly Region[];
  readonly dependents: readonly Region[];
  readonly formula: string; // as the live workbook has it, with `=`; empty where it has none
}

export type TableLook = "values" | "shares" | "ranks" | "tokens" | "plain";

/** A table of numbers with labels: what the lenses answer. */
export interface Table {
  readonly title: string;
  readonly facts: readonly (readonly [string, string])[]; // what it is of
  readonly notes: readonly string[];
  readonly rowNames: readonly string[]; // what each level of the labels is; a level "token" holds tokens
  readonly rows: readonly (readonly string[])[]; // each row's label, level by level
  readonly columnNames: readonly string[];
  readonly columns: readonly (readonly string[])[];
  readonly cells: readonly (readonly (number | string | null)[])[];
  readonly looks: readonly TableLook[]; // of each column
  readonly ends: readonly number[]; // of each column's scale of values
  readonly links: readonly (string | null)[]; // of each row: the stage or weight it speaks of
  readonly places: readonly (readonly (readonly [stage: string, row: number, column: number] | null)[])[]; // of each cell
}

/** One sentence that says what is wrong and what to do. */
export class Refused extends Error {}

export interface Source {
  readonly facts: Facts;
  readonly isServed: boolean; // by a server, which may be gone for a while
  /** A stage of `facts.compare`, whose sides' cells are asked for as those of runs called `left` and `right`. */
  differences?(stage: string): Promise<Differences>;
  /** Every token by id. */
  vocabulary(): Promise<readonly string[]>;
  /**
   * The run; `onStage` is called while stages arrive, with the run as far as it is. Rejects with Refused, or with an
   * AbortError where `signal` ends it.
   */
  run(asked: Asked, onStage?: (run: Run) => void, signal?: AbortSignal): Promise<Run>;
  /** The scale and the statistics of a weight as the model has it; undefined where the page holds no weights. */
  weight?(name: string): Promise<WeightInfo> | undefined;
  /** Cells of a stage or weight of a run; of text stages none. */
  cells(run: Run, region: Region): Promise<Matrix>;
  /** The heads of a stage side by side, pooled by maximum where there are many tokens; without it the page pools. */
  heads?(run: Run, stage: string): Promise<Matrix>;
  origin(run: Run, stage: string, row: number, column: number): Promise<Origin>;
  /**
   * A lens on the run: `lens`, `attribute`, `ablate`, `patch`. `options` as the command line's; of `patch` also
   * `second` (a prompt) or `second_ids`, and `clean: "this"` where the pieces come from the run.
   */
  lens(run: Run, name: string, options: Readonly<Record<string, string>>): Promise<readonly Table[]>;
  /** The run as a workbook to download; null where this page can't write one. */
  workbook(run: Run, live: boolean): Promise<Blob> | null;
}
