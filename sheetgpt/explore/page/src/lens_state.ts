/** Which lens is held over the run, with which options, and what it found. */
import { signal } from "@preact/signals";
import { Refused, type Run, type Table } from "./source";
import * as state from "./state";

export type LensName = "lens" | "attribute" | "ablate" | "patch";

/** An option of a lens, as the command line calls it. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind: "token" | "text" | "check";
  readonly hint?: string;
  readonly on?: string; // what a check says to the source
}

export interface LensEntry {
  readonly name: LensName;
  readonly title: string;
  readonly what: string;
  readonly fields: () => readonly Field[];
}

const TOKEN: Field = { name: "token", label: "token", kind: "token", hint: "the predicted one" };
const second = (): Field => (state.facts.model.hasText ? { name: "second", label: "second prompt", kind: "text", hint: "as many tokens as the first" } : { name: "second_ids", label: "second ids", kind: "text", hint: "3, 1, 2" });

export const LENSES: readonly LensEntry[] = [
  {
    name: "lens",
    title: "Logit lens",
    what: "What would be predicted if the blocks ended here.",
    fields: () => [
      { ...TOKEN, hint: "each row's final prediction" },
      { name: "sublayers", label: "after attention, too", kind: "check", on: "1" },
    ],
  },
  {
    name: "attribute",
    title: "Attribution",
    what: "What each part of the model adds to a token's logit.",
    fields: () => [TOKEN, { name: "against", label: "against", kind: "token", hint: "no other" }, { name: "by_token", label: "by token", kind: "check", on: "1" }],
  },
  {
    name: "ablate",
    title: "Ablation",
    what: "What becomes of the prediction without each head, MLP and block.",
    fields: () => [TOKEN, { name: "what", label: "piece", kind: "text", hint: "each in turn" }],
  },
  {
    name: "patch",
    title: "Patch",
    what: "This run with each piece of a second prompt's run: how much of the other answer comes.",
    fields: () => [
      second(),
      { name: "clean", label: "the other way round", kind: "check", on: "this" },
      { name: "stage", label: "stages", kind: "text", hint: "what blocks write" },
      { name: "metric", label: "metric", kind: "token", hint: "logit difference of the two predictions" },
    ],
  },
];

/** What came of a lens: its tables, or the sentence that says why there are none. */
interface Outcome {
  readonly key: string; // of what was asked
  readonly name: LensName;
  readonly tables: readonly Table[];
  readonly refusal: string | null;
}

export const lens = signal<LensName>("lens");
export const options = signal<Readonly<Record<LensName, Readonly<Record<string, string>>>>>({ lens: {}, attribute: {}, ablate: {}, patch: {} });
export const outcome = signal<Outcome | null>(null);
export const late = signal(false);

const LATE = 400; // ms after which waiting is shown
const MOST_KEPT = 40;
const kept = new Map<string, Promise<readonly Table[]>>();
let last = "";

export function setOption(name: LensName, field: string, value: string): void {
  const { [field]: _, ...rest } = options.value[name];
  options.value = { ...options.value, [name]: value === "" ? rest : { ...rest, [field]: value } };
}

/** Is all there that the lens can't do without? */
export const isComplete = (name: LensName): boolean => name !== "patch" || second().name in options.value.patch;

/** What is asked when the chosen lens is held over a run. */
export const keyOf = (run: Run): string => JSON.stringify([run.id, lens.value, options.value[lens.value]]);

/** Hold the chosen lens over a run; what it found before stays until then. */
export async function look(run: Run): Promise<void> {
  const name = lens.value;
  const key = (last = keyOf(run));
  late.value = false;
  if (!isComplete(name)) return;
  const clock = setTimeout(() => (late.value = key === last), LATE);
  const found = await tablesOrRefusal(key, run, name);
  clearTimeout(clock);
  if (key !== last) return;
  outcome.value = { key, name, ...found };
  late.value = false;
}

async function tablesOrRefusal(key: string, run: Run, name: LensName): Promise<Pick<Outcome, "tables" | "refusal">> {
  try {
    return { tables: await ask(key, run, name, options.value[name]), refusal: null };
  } catch (error) {
    return { tables: [], refusal: error instanceof Refused ? error.message : "The server doesn't answer." };
  }
}

function ask(key: string, run: Run, name: LensName, given: Readonly<Record<string, string>>): Promise<readonly Table[]> {
  const found = kept.get(key) ?? state.getSource().lens(run, name, given);
  kept.set(key, found);
  found.catch(() => kept.delete(key));
  for (const old of kept.keys()) if (kept.size > MOST_KEPT) kept.delete(old);
  return found;
}

/** Open a lens beside the sheet. */
export function openLens(name: LensName): void {
  lens.value = name;
  state.view.value = "lenses";
}
