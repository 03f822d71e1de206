/** What is typed over: cells of stages and weights, written as `--set` takes them; a list that can be undone. */
import type { Facts } from "./source";
import { full } from "./numbers";
import { stepOf } from "./labels";

export interface Cell {
  readonly stage: string;
  readonly row: number;
  readonly column: number;
}

/** One assignment. Those that came from the command line may fill more than a cell: then there is no cell. */
export interface Edit {
  readonly text: string;
  readonly stage: string;
  readonly cell: Cell | null;
  readonly value: number | null;
}

/** A cell's address as `--set` takes it: by head where there are heads. */
export function address(facts: Facts, cell: Cell, tokens: number): string {
  const byHead = stepOf(facts, cell.stage)?.byHead;
  const place = byHead ? [Math.floor(cell.column / tokens), cell.row, cell.column % tokens] : [cell.row, cell.column];
  return `${cell.stage}[${place.join(",")}]`;
}

export const edit = (facts: Facts, cell: Cell, tokens: number, value: number): Edit => ({
  text: `${address(facts, cell, tokens)}=${full(value)}`,
  stage: cell.stage,
  cell,
  value,
});

/** An assignment as it was typed: a cell, or what the server makes of it. */
export function parseEdit(facts: Facts, text: string, tokens: number): Edit {
  const stage = /^\w+/.exec(text)?.[0] ?? "";
  const at = text.indexOf("=");
  const cell = cellOf(facts, text.slice(0, at), tokens, Infinity);
  const value = Number(text.slice(at + 1));
  return cell && Number.isFinite(value) ? { text, stage, cell, value } : { text, stage, cell: null, value: null };
}

/** The cell that an address names; negative indices count from the end where `rows` and the columns are known. */
export function cellOf(facts: Facts, text: string, tokens: number, rows: number, columns = Infinity): Cell | null {
  const found = /^\s*(\w+)\s*\[\s*(-?\d+)\s*(?:,\s*(-?\d+)\s*)?(?:,\s*(-?\d+)\s*)?\]\s*$/.exec(text);
  if (!found) return null;
  const [stage, ...places] = [found[1]!, ...found.slice(2).filter((one) => one !== undefined).map(Number)];
  const from = (place: number, count: number): number => (place < 0 ? place + count : place);
  if (places.length === 1) return columns === 1 ? checked(stage, from(places[0]!, rows), 0) : rows === 1 ? checked(stage, 0, from(places[0]!, columns)) : null;
  if (places.length === 2) return checked(stage, from(places[0]!, rows), from(places[1]!, columns));
  if (!stepOf(facts, stage)?.byHead) return null;
  const [head, query, key] = places as [number, number, number];
  const [inHead, inKeys] = [from(head, stepOf(facts, stage)!.groups), from(key, tokens)];
  const isThere = inHead >= 0 && inHead < stepOf(facts, stage)!.groups && inKeys >= 0 && inKeys < tokens;
  return isThere ? checked(stage, from(query, rows), inHead * tokens + inKeys) : null;
}

const checked = (stage: string, row: number, column: number): Cell | null =>
  Number.isInteger(row) && Number.isInteger(column) && row >= 0 && column >= 0 ? { stage, row, column } : null;

const isSame = (one: Edit, other: Edit): boolean =>
  one.cell && other.cell
    ? one.stage === other.stage && one.cell.row === other.cell.row && one.cell.column === other.cell.column
    : one.text === other.text;

/** The list with these, each in place of an earlier one of the same cell; in the order of the data. */
export function withEdits(facts: Facts, list: readonly Edit[], added: readonly Edit[]): Edit[] {
  const kept = list.filter((one) => !added.some((other) => isSame(one, other)));
  const order = new Map([...facts.weights, ...facts.steps].map(({ name }, i) => [name, i]));
  return [...kept, ...added].sort((one, other) => (order.get(one.stage) ?? 0) - (order.get(other.stage) ?? 0));
}

export const without = (list: readonly Edit[], gone: readonly Edit[]): Edit[] => list.filter((one) => !gone.some((other) => isSame(one, other)));

const quoted = (text: string): string => `"${text.replace(/(["\\$`])/g, "\\$1")}"`;

/** How the run was asked for, as a command and Python have it. */
interface Origin {
  readonly prompt: string | null;
  readonly ids: readonly number[];
  readonly facts: Facts;
}

/** The command line that makes the same run. */
export function command({ prompt, ids, facts: { model, prompt: asked } }: Origin, list: readonly Edit[]): string {
  return [
    "sheetgpt run",
    prompt === null ? `--token-ids ${quoted(ids.join(","))}` : quoted(prompt),
    ...(model.weights === "embedded" ? [] : [`--weights ${quoted(model.weights)}`]),
    ...(model.dtype === "float64" ? [] : [`--dtype ${model.dtype}`]),
    ...(asked.special ? ["--special"] : []),
    ...list.map((one) => `--set ${quoted(one.text)}`),
  ].join(" ");
}

/** The same in Python. */
export function python({ prompt, ids, facts: { model, prompt: asked } }: Origin, list: readonly Edit[]): string {
  const given = [...(model.weights === "embedded" ? [] : [JSON.stringify(model.weights)]), ...(model.dtype === "float64" ? [] : [`dtype="${model.dtype}"`])];
  const what = prompt === null ? `token_ids=[${ids.join(", ")}]` : JSON.stringify(prompt);
  return [
    "from sheetgpt import load_model",
    "",
    `model = load_model(${given.join(", ")})`,
    `before = model.run(${what}${asked.special ? ", special=True" : ""})`,
    `after = model.run_edited(before, [${list.map((one) => JSON.stringify(one.text)).join(", ")}])`,
  ].join("\n");
}
