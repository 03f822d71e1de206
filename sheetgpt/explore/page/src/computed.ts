/** A source that computes on the page, from the same list of steps as the server; or shows the one run that it holds. */
import { Tokenizer } from "./bpe";
import type { MergeTrace } from "./bpe_trace";
import { cellOf } from "./edits";
import { idsOf, known, run as computed, runEdited, type Edit, type Model, type Run as Values } from "./forward";
import { bestOf, predictionTable, textTables, travelOf } from "./forward_answer";
import { matrix, type Matrix } from "./matrix";
import { unpackedAll, type PageData } from "./page_data";
import { Refused, type Asked, type Facts, type Origin, type Region, type Run, type Source, type StageInfo, type Table, type WeightInfo } from "./source";
import { originOf } from "./terms_origin";
import { scaleEnd, stageInfo, statistics } from "./thumbnail";

export class Computed implements Source {
  readonly facts: Facts;
  private readonly model: Model;
  private readonly tokenizer: Tokenizer | null;
  private readonly values = new Map<string, Values>(); // by a run's id
  private readonly runs = new Map<string, Run>();
  readonly isServed = false;

  constructor(private readonly data: PageData) {
    this.facts = data.facts;
    this.model = { steps: data.facts.steps, weights: unpackedAll(data.weights ?? {}) };
    this.tokenizer = data.tokenizer && new Tokenizer(data.tokenizer);
  }

  vocabulary = (): Promise<readonly string[]> => Promise.resolve(this.data.vocabulary);

  async run(asked: Asked, onStage: (run: Run) => void = () => {}): Promise<Run> {
    const id = JSON.stringify(asked);
    const kept = this.runs.get(id);
    if (kept) this.keep(id, kept);
    if (kept) return kept;
    const before = asked.sets.length ? await this.run({ ...asked, sets: [] }) : null;
    const made = this.data.run ? this.recorded(asked, id) : sentence(() => this.compute(asked, id, before));
    onStage(made);
    this.keep(id, made);
    return made;
  }

  /** The latest asked for stand last, and the first go. */
  private keep(id: string, made: Run): void {
    this.runs.delete(id);
    this.runs.set(id, made);
    for (const old of [...this.runs.keys()].slice(0, -32)) {
      this.runs.delete(old);
      this.values.delete(old);
    }
  }

  /** The run, stage by stage; with changes, what they don't reach is taken from the run before. */
  private compute(asked: Asked, id: string, before: Run | null): Run {
    const old = before && this.values.get(before.id)!;
    const { ids, merges } = old ? { ids: Array.from(idsOf(this.model, old).data), merges: this.mergesOf(asked) } : this.encode(asked);
    const values = old ? runEdited(this.model, old, this.editsOf(asked, ids.length)) : computed(this.model, ids);
    this.values.set(id, values);
    return this.described(asked, id, before, values, merges);
  }

  private described(asked: Asked, id: string, before: Run | null, values: Values, merges: MergeTrace | null): Run {
    const { steps } = this.facts;
    const ids = Array.from(idsOf(this.model, values).data);
    const old = before && this.values.get(before.id)!;
    const tables = textTables(this.model, values, this.token, merges);
    const prediction = steps.find((step) => step.role === "PREDICTION");
    const isKnown = ids.length === this.data.workbook.tokens;
    return {
      id,
      asked,
      before,
      prompt: asked.prompt,
      ids,
      tokens: ids.map(this.token),
      words: merges?.words ?? [],
      tables: prediction ? { ...tables, [prediction.name]: predictionTable(this.model, values, this.token) } : tables,
      places: isKnown ? this.data.workbook.places : {},
      notices: [],
      stages: this.stages(values, old, before),
      best: bestOf(this.model, values, old, this.token),
      travel: old ? travelOf(steps, old, values) : [],
      done: true,
    };
  }

  private stages(values: Values, old: Values | null, before: Run | null): Map<string, StageInfo> {
    const found = new Map<string, StageInfo>();
    for (const { name, isGiven } of this.facts.steps) {
      if (isGiven) continue;
      const [now, then] = [known(values.values, name), old ? known(old.values, name) : null];
      found.set(name, now === then ? before!.stages.get(name)! : stageInfo(name, now, then));
    }
    return found;
  }

  /** Is it the run that the page was written with? */
  private isFirst = ({ prompt, ids, sets }: Asked): boolean =>
    !sets.length && prompt === this.facts.prompt.prompt && JSON.stringify(ids) === JSON.stringify(this.facts.prompt.ids);

  /** The run that the page holds; another is refused in a sentence. */
  private recorded(asked: Asked, id: string): Run {
    const { run, workbook } = this.data;
    if (!this.isFirst(asked)) throw new Refused(this.facts.readOnly!);
    const { stages, ...facts } = run!;
    const values = { values: unpackedAll(stages), overrides: new Map() };
    values.values.set(this.facts.steps.find((step) => step.role === "TOKENS")!.name, matrix(1, run!.ids.length, Float64Array.from(run!.ids)));
    this.values.set(id, values);
    const best = bestOf(this.model, values, null, this.token);
    return { ...facts, id, asked, before: null, places: workbook.places, stages: this.stages(values, null, null), best, travel: [], done: true };
  }

  // ---------------------------------------------------------------------------------------------- prompts and edits

  private token = (id: number): string => this.data.vocabulary[id] ?? `#${id}`;

  private mergesOf = (asked: Asked): MergeTrace | null => (asked.ids || !this.tokenizer ? null : this.tokenizer.trace(asked.prompt ?? "", asked.special));

  private encode(asked: Asked): { ids: number[]; merges: MergeTrace | null } {
    const { room, n_vocab } = this.facts.model;
    const merges = sentence(() => this.mergesOf(asked));
    const ids = merges ? merges.ids : [...(asked.ids ?? [])];
    if (!ids.length) throw new Refused("the prompt is empty: give at least one token");
    if (room !== null && ids.length > room) throw new Refused(`the prompt has ${ids.length} tokens and the model's context holds ${room}: shorten it`);
    const wrong = ids.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < n_vocab));
    if (wrong >= 0) throw new Refused(`token id ${ids[wrong]} (position ${wrong}) is not in the model: ids are 0 to ${n_vocab - 1}`);
    return { ids, merges };
  }

  /** Assignments as this page can read them: of single cells. */
  private editsOf({ sets }: Asked, tokens: number): Edit[] {
    return sets.map((text) => {
      const at = text.indexOf("=");
      const cell = cellOf(this.facts, text.slice(0, at), tokens, Infinity);
      const value = Number(text.slice(at + 1));
      if (!cell || !Number.isFinite(value)) throw new Refused(`${text}: this page is a file and sets single cells, STAGE[ROW,COLUMN]=VALUE`);
      return { stage: cell.stage, at: [cell.row, cell.column] as const, value };
    });
  }

  // ---------------------------------------------------------------------------------------------- cells

  private matrixOf(run: Run, name: string): Matrix {
    const values = this.values.get(run.id);
    const found = values?.values.get(name) ?? values?.overrides.get(name) ?? this.model.weights.get(name);
    if (!found) throw new Refused(this.facts.readOnly ?? `there is no stage or weight ${name}`);
    return found;
  }

  weight(name: string): Promise<WeightInfo> | undefined {
    const found = this.model.weights.get(name);
    return found && Promise.resolve({ end: scaleEnd(found), statistics: statistics(found) });
  }

  async cells(run: Run, { stage, row, column, rows, columns }: Region): Promise<Matrix> {
    const whole = this.matrixOf(run, stage);
    const found = matrix(Math.max(0, Math.min(rows, whole.rows - row)), Math.max(0, Math.min(columns, whole.columns - column)));
    for (let i = 0; i < found.rows; i++) {
      const start = (row + i) * whole.columns + column;
      found.data.set(whole.data.subarray(start, start + found.columns), i * found.columns);
    }
    return found;
  }

  async origin(run: Run, stage: string, row: number, column: number): Promise<Origin> {
    const formula = this.formula(run, stage, row, column);
    if (!this.data.weights) return { terms: null, precedents: [], dependents: [], formula };
    return { ...originOf(this.model, this.values.get(run.id)!, stage, row, column), formula };
  }

  private formula(run: Run, stage: string, row: number, column: number): string {
    const { tokens, formulas } = this.data.workbook;
    if (run.tokens.length !== tokens) return "";
    const piece = formulas[stage]?.find(([top, left, rows, columns]) => row >= top && row < top + rows && column >= left && column < left + columns);
    return piece?.[4] ?? "";
  }

  /** The lenses that the page holds: on the run that it was written with. */
  async lens(run: Run, name: string, options: Readonly<Record<string, string>>): Promise<readonly Table[]> {
    const found = this.data.lenses[name];
    if (found && this.isFirst(run.asked) && !Object.values(options).some(Boolean)) return found;
    throw new Refused("This page is a file: it holds the logit lens, attribution and ablation of the run it was written with. `sheetgpt explore` has all.");
  }

  workbook = (): null => null;
}

/** What is refused elsewhere, as the person's sentence. */
function sentence<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof Refused ? error : new Refused((error as Error).message);
  }
}
