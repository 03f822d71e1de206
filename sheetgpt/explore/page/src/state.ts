/** What the page shows and what the person has done: the run, the chosen cell, what is typed over. Views read signals. */
import { batch, computed, effect, signal } from "@preact/signals";
import * as changes from "./changes";
import { DARK, LIGHT } from "./colours";
import { address, cellOf, edit, parseEdit, withEdits, type Cell, type Edit } from "./edits";
import { stepOf, weightOf } from "./labels";
import { Refused, type Asked, type Comparison, type Facts, type Run, type Source, type StageInfo, type Step, type Weight } from "./source";
import { sideOf } from "./sides";
import { Tiles } from "./tiles";
import { fromWorkbook, inWorkbook as placeInWorkbook } from "./workbook_places";

export type View = "run" | "attention" | "lenses" | "generate" | "compare" | "learn";
export type Show = "numbers" | "colours" | "both";
export interface Complaint {
  readonly at: "prompt" | "cell" | "page";
  readonly text: string;
}

const AFTER_KEY = 150; // ms from the last key in the prompt to the run
const SOON = 100; // ms: a run that is whole by then is drawn once, not stage by stage
const LATE = 400; // ms after which waiting is shown
const RETRY = 2000; // ms after which a server that didn't answer is asked again

// ------------------------------------------------------------------------------------------------ what is there

let source: Source;
export let facts: Facts;
export let tiles: Tiles;
export const getSource = (): Source => source;

export const run = signal<Run | null>(null); // the newest, as far as it is computed
export const shownRun = signal<Run | null>(null); // the last that is whole: its numbers stand until new ones come
export const busy = signal(false); // is a run asked for, and not whole yet?
export const late = signal(false);
export const complaint = signal<Complaint | null>(null);
export const vocabulary = signal<readonly string[]>([]);

// ------------------------------------------------------------------------------------------------ what is chosen

export const view = signal<View>("run");
/** Views that show the chosen stage as a sheet. */
export const hasSheet = (): boolean => view.value === "run" || view.value === "lenses";
export const toSheet = (): void => void (hasSheet() || view.value === "compare" || (view.value = "run"));
export const cell = signal<Cell>({ stage: "", row: 0, column: 0 });
export const corner = signal<Cell>({ stage: "", row: 0, column: 0 }); // the other end of the selection
export const show = signal<Show>("both");
export const decimals = signal(3);
export const drawer = signal(false); // is the inspector open, where it is a drawer
export const help = signal(false);
export const hovered = signal<number | null>(null); // the term under the pointer, by its place in the sum

const wish = signal<"light" | "dark" | null>(null);
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(systemDark.matches);
systemDark.addEventListener("change", () => (isSystemDark.value = systemDark.matches));
export const theme = computed(() => ((wish.value ?? (isSystemDark.value ? "dark" : "light")) === "dark" ? DARK : LIGHT));
export const turnTheme = (): void => void (wish.value = theme.value.dark ? "light" : "dark");
effect(() => void (document.documentElement.dataset.theme = theme.value.dark ? "dark" : "light"));

// ------------------------------------------------------------------------------------------------ what is typed over

export { canRedo, canUndo, edits, editAt } from "./changes";

/** Type numbers over cells: one step that can be undone. */
export function set(cells: readonly { readonly cell: Cell; readonly value: number }[]): void {
  const refusal = whyNot(cells.map((one) => one.cell.stage));
  if (refusal) return void (complaint.value = { at: "cell", text: refusal });
  const tokens = asked.peek().tokens;
  changes.change(withEdits(facts, changes.edits.value, cells.map((one) => edit(facts, one.cell, tokens, one.value))));
  void ask();
}

/** Give cells their original numbers back. */
export function reset(gone: readonly Edit[]): void {
  if (!gone.length) return;
  changes.takeOut(gone);
  void ask();
}

export const undo = (): void => void (changes.goBack() && ask());
export const redo = (): void => void (changes.goForward() && ask());

/** Why cells of these can't be changed; null where they can. */
export function whyNot(stages: readonly string[]): string | null {
  if (facts.readOnly) return facts.readOnly;
  const step = stages.map((name) => stepOf(facts, name)).find((one) => one?.isGiven || one?.role === "PREDICTION");
  return step ? `${step.name} is not made of numbers: change the prompt, or the logits.` : null;
}

// ------------------------------------------------------------------------------------------------ runs

/** What was asked for last, and with how many tokens addresses are read. */
const asked = signal<{ prompt: string | null; ids: readonly number[] | null; tokens: number }>({ prompt: null, ids: null, tokens: 1 });
export const prompt = computed(() => asked.value.prompt);
let waiting: AbortController | null = null;
let timer = 0; // from a key in the prompt to the run
let retry = 0; // from an answer that failed to the next try
let shownEdits: readonly Edit[] = []; // those of the last whole run
let isNewPrompt = false; // is another prompt asked for, and not answered yet?
const isOfWeight = (one: Edit): boolean => weightOf(facts, one.stage) !== undefined;

export const ask = async (): Promise<void> => {
  waiting?.abort();
  clearTimeout(retry);
  const mine = (waiting = new AbortController());
  busy.value = true;
  const list = isNewPrompt ? changes.edits.value.filter(isOfWeight) : changes.edits.value;
  const { prompt, ids } = asked.value;
  const wanted: Asked = { prompt, ids, sets: list.map((one) => one.text), special: facts.prompt.special };
  const clock = setTimeout(() => mine === waiting && (late.value = true), LATE);
  let isFirst = true;
  const begun = performance.now();
  const arrive = (found: Run): void => {
    if (mine !== waiting || (!found.done && performance.now() - begun < SOON)) return;
    if (!isFirst && !found.done) return scheduled(found);
    isFirst = false;
    batch(() => {
      if (isNewPrompt) changes.keep(isOfWeight); // changed cells of stages are the old prompt's
      isNewPrompt = false;
      if (!found.done || found !== run.peek()) run.value = found;
      if (found.done) [shownRun.value, complaint.value, shownEdits] = [found, null, list];
      asked.value = { ...asked.value, tokens: found.tokens.length };
      keepInside(found);
    });
  };
  try {
    arrive(await source.run(wanted, arrive, mine.signal));
  } catch (error) {
    if (mine === waiting) refused(error);
  } finally {
    clearTimeout(clock);
    if (mine === waiting) batch(() => ([busy.value, late.value] = [false, false]));
  }
};

let frame = 0;
/** Stages that arrive within one frame are drawn together. */
function scheduled(found: Run): void {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => {
    if (run.peek()?.id === found.id && !run.peek()!.done) run.value = { ...found };
  });
}

/** The last whole run stays, with its changes, and the sentence stands beside what caused it. */
function refused(error: unknown): void {
  const { name, message } = error as Error;
  if (name === "AbortError") return;
  if (error instanceof TypeError && source.isServed) {
    complaint.value = { at: "page", text: "The server doesn't answer; what is loaded can still be read. Trying again." };
    retry = window.setTimeout(() => void ask(), RETRY);
    return;
  }
  const at = isNewPrompt || !shownRun.value ? "prompt" : "cell";
  isNewPrompt = false;
  batch(() => {
    if (shownRun.value) {
      run.value = shownRun.value;
      asked.value = { ...asked.value, prompt: shownRun.value.asked.prompt, ids: shownRun.value.asked.ids };
      if (at === "cell") changes.begin(shownEdits);
    }
    complaint.value = { at, text: error instanceof Refused ? message : `${name}: ${message}` };
  });
}

/** A prompt, or ids, being typed: they run when the keys rest, or at once. */
export function type(text: string | null, now = false, ids: readonly number[] | null = null): void {
  clearTimeout(timer);
  busy.value = true;
  timer = window.setTimeout(() => give(text, ids), now ? 0 : AFTER_KEY);
}

/** Another prompt, or ids. Changed weights stay; changed cells of stages are the old prompt's, so they go. */
export function give(text: string | null, ids: readonly number[] | null): void {
  clearTimeout(timer);
  asked.value = { prompt: text, ids, tokens: asked.value.tokens };
  isNewPrompt = true;
  void ask();
}

const NO_RUN: Run = {
  id: "",
  asked: { prompt: null, ids: null, sets: [], special: false },
  prompt: null,
  ids: [],
  tokens: [],
  words: [],
  tables: {},
  places: {},
  notices: [],
  stages: new Map(),
  before: null,
  best: [],
  travel: [],
  done: false,
};

/** The page with all names and no numbers yet; these come with `begin`. */
export function open(from: Source): void {
  source = from;
  facts = from.facts;
  tiles = new Tiles(from);
  if (facts.compare) return showSides(facts.compare);
  asked.value = { prompt: facts.prompt.prompt, ids: facts.prompt.ids, tokens: 1 };
  run.value = NO_RUN;
  busy.value = true;
  if (facts.model.learns && !facts.prompt.sets.length && !location.hash) view.value = "learn";
  choose({ stage: firstStage(), row: 0, column: 0 }, "none");
}

/** The run that was asked for on the command line, at the cell that the page's address names. */
export async function begin(): Promise<void> {
  void source.vocabulary().then((found) => (vocabulary.value = found));
  if (!facts.compare) await ask();
  if (!follow(location.hash) && !facts.compare) choose(cell.peek(), "replace");
  addEventListener("popstate", () => follow(location.hash));
  addEventListener("hashchange", () => follow(location.hash));
  const { sets } = facts.prompt;
  if (!sets.length) return;
  changes.begin(sets.map((text) => parseEdit(facts, text, asked.value.tokens)));
  await ask();
}

/** A comparison begins where it diverges first; its right side stands for the run. */
function showSides(compare: Comparison): void {
  batch(() => {
    view.value = "compare";
    run.value = shownRun.value = sideOf(compare, "right");
    const first = compare.first ?? compare.stages.find((one) => one.picture)?.stage ?? compare.stages[0]!.stage;
    choose({ stage: first, row: 0, column: 0 }, "none");
  });
}

/** The last stage of shares, whose rows say what tokens look at; else the logits; else the last of all. */
function firstStage(): string {
  const computed = facts.steps.filter((step) => !step.isGiven);
  const looked = computed.filter((step) => step.byHead && step.shares).at(-1);
  return (looked ?? computed.find((step) => step.role === "LOGITS") ?? computed.at(-1)!).name;
}

// ------------------------------------------------------------------------------------------------ stages and cells

/** A stage of the newest run, or of the last whole one while it is not there. */
export function infoOf(stage: string): { readonly info: StageInfo | undefined; readonly stale: boolean } {
  const fresh = run.value?.stages.get(stage);
  const isOld = run.value?.done === false && run.value.before !== null && fresh === run.value.before.stages.get(stage);
  return fresh && !isOld ? { info: fresh, stale: false } : { info: fresh ?? shownRun.value?.stages.get(stage), stale: run.value?.done === false };
}

/** How many rows and columns a stage, weight or table of text has. */
export function shapeOf(name: string, of: Run | null = run.value): readonly [number, number] {
  const weight = weightOf(facts, name);
  if (weight) return [weight.rows, weight.columns];
  const info = of?.stages.get(name) ?? shownRun.value?.stages.get(name);
  if (info) return [info.rows, info.columns];
  const table = of?.tables[name];
  return table ? [table.length, Math.max(0, ...table.map((row) => row.length))] : [0, 0];
}

export const step = computed<Step | undefined>(() => (facts ? stepOf(facts, cell.value.stage) : undefined));
export const weight = computed<Weight | undefined>(() => (facts ? weightOf(facts, cell.value.stage) : undefined));

/** Look at a cell; where it is of another stage the browser's way back leads here. */
export function choose(at: Cell, how: "push" | "replace" | "none" = at.stage === cell.peek().stage ? "replace" : "push"): void {
  const [rows, columns] = shapeOf(at.stage);
  const within = (i: number, count: number): number => (count ? Math.max(0, Math.min(count - 1, i)) : i); // 0: not known yet
  const found = { stage: at.stage, row: within(at.row, rows), column: within(at.column, columns) };
  batch(() => {
    cell.value = found;
    corner.value = found;
    hovered.value = null;
    if (complaint.value?.at === "cell") complaint.value = null;
  });
  const hash = `#${addressOf(found)}`;
  if (how !== "none" && hash !== location.hash) history[how === "push" ? "pushState" : "replaceState"](null, "", hash);
}

/** Extend the selection to a cell. */
export function extend(at: Cell): void {
  const [rows, columns] = shapeOf(at.stage);
  corner.value = { stage: at.stage, row: Math.max(0, Math.min(rows - 1, at.row)), column: Math.max(0, Math.min(columns - 1, at.column)) };
}

export const selection = computed(() => {
  const [one, other] = [cell.value, corner.value];
  const row = Math.min(one.row, other.row);
  const column = Math.min(one.column, other.column);
  return { stage: one.stage, row, column, rows: Math.abs(one.row - other.row) + 1, columns: Math.abs(one.column - other.column) + 1 };
});

/** Another stage at the same place, as far as it has that place. */
export const chooseStage = (name: string): void => choose({ ...cell.peek(), stage: name });

/** How many keys each head has: the tokens; of two sides without tokens as their stages have it. */
export function keysOf(of: Run | null): number {
  if (of?.tokens.length) return of.tokens.length;
  const step = facts.steps.find((one) => one.byHead && of?.stages.has(one.name));
  return step ? of!.stages.get(step.name)!.columns / step.groups : 1;
}

export const addressOf = (at: Cell): string => address(facts, at, keysOf(run.peek()));

function keepInside(found: Run): void {
  const [rows, columns] = shapeOf(cell.peek().stage, found);
  const { stage, row, column } = cell.peek();
  if (rows && (row >= rows || column >= columns)) choose({ stage, row, column });
}

/** Go where an address leads: `STAGE[ROW,COLUMN]`, a stage's name, or a cell of the live workbook. False where nowhere. */
export function go(text: string): boolean {
  const found = locate(text);
  if (found) batch(() => (toSheet(), choose(found)));
  return found !== null;
}

function follow(hash: string): boolean {
  const found = locate(unescaped(hash.slice(1)));
  if (found) choose(found, "none");
  return found !== null;
}

/** An address as it was typed; anyone may type a link. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function locate(text: string): Cell | null {
  const name = /^\s*(\w+)\s*(\[.*)?$/.exec(text)?.[1] ?? "";
  if (stepOf(facts, name) || weightOf(facts, name)) {
    const [rows, columns] = shapeOf(name);
    if (!text.includes("[")) return { ...cell.peek(), stage: name };
    const found = cellOf(facts, text, keysOf(run.peek()), rows, columns);
    return found && found.row < rows && found.column < columns ? found : null;
  }
  const now = run.peek();
  return now && fromWorkbook(text, now, cell.peek().stage, shapeOf);
}

/** Where a cell stands in the live workbook. */
export const inWorkbook = (at: Cell): string => (run.value ? placeInWorkbook(at, run.value) : "");
