/**
 * The die is rolled, the wheel spun: words that the model makes as its weights stand, letter by letter.
 *
 * A word is kept by the targets that were drawn for it, so it follows the weights: the same throws, another word.
 */
import { computed, signal } from "@preact/signals";
import { nameOf, run as runOf } from "./forward";
import { classes } from "./grid";
import * as learning from "./learning";
import * as numbers from "./numbers";
import { pick, type Pick } from "./picking";
import { turn, turning } from "./spin";
import * as state from "./state";
import { shown } from "./tokens";
import { slicesOf, Wheel } from "./wheel";

const SPIN = 600; // ms for one letter
const SPIN_OF_MANY = 220; // of a whole word
const MOST = 24; // letters
const PLAIN = { temperature: 1, topK: null, topP: null };

const targets = signal<readonly number[]>([]); // drawn so far, one a letter
const pointer = turning();
const isRolling = signal(false);

interface Rolled {
  readonly ids: readonly number[];
  readonly picks: readonly Pick[];
  readonly isOver: boolean;
}

/** Where a word begins: after an end token, or with the prompt's first. */
const beginning = computed<readonly number[]>(() => {
  const { end } = learning.training();
  return end === null ? (learning.word.value?.ids.slice(0, 1) ?? []) : [end];
});

function pickAfter(ids: readonly number[], target: number): Pick | null {
  const weights = learning.weights.value;
  if (!weights || !ids.length) return null;
  const { steps } = state.facts;
  const logits = runOf({ steps, weights }, ids).values.get(nameOf("LOGITS", steps))!;
  return pick(logits.data, PLAIN, target);
}

const most = (): number => Math.min(MOST, (state.facts.model.room ?? Infinity) - 1);

/** The letters that the targets pick, until the end token. */
const rolled = computed<Rolled>(() => {
  const { end } = learning.training();
  const [ids, picks] = [[...beginning.value], [] as Pick[]];
  for (const target of targets.value) {
    const found = pickAfter(ids, target);
    if (!found) break;
    picks.push(found);
    if (found.id === end || picks.length >= most()) return { ids: found.id === end ? ids : [...ids, found.id], picks, isOver: true };
    ids.push(found.id);
  }
  return { ids, picks, isOver: false };
});

/** Draw a target for one letter more, and turn the pointer to it. */
async function roll(milliseconds = SPIN): Promise<void> {
  if (pointer.peek() !== null) return;
  const { isOver, picks } = rolled.peek();
  const before = isOver ? [] : targets.peek().slice(0, picks.length);
  const drawn = Math.random();
  const from = targets.peek().at(-1) ?? 0;
  targets.value = [...before, drawn];
  await turn(pointer, from, drawn, milliseconds);
}

async function rollWord(): Promise<void> {
  isRolling.value = true;
  do await roll(SPIN_OF_MANY);
  while (isRolling.peek() && !rolled.peek().isOver && state.view.peek() === "learn");
  isRolling.value = false;
}

const setLast = (target: number): void => void (targets.value = [...targets.peek().slice(0, Math.max(0, rolled.peek().picks.length - 1)), target]);

export const rollByKey = (): void => void (isRolling.peek() || roll());

// ------------------------------------------------------------------------------------------------ the view

export function Rolling() {
  const { picks } = rolled.value;
  const last = picks.at(-1) ?? pickAfter(beginning.value, 0);
  if (!last) return null;
  const isTurning = pointer.value !== null;
  const target = targets.value[picks.length - 1] ?? 0;
  const slices = slicesOf(last, state.vocabulary.value).map((slice) => ({ ...slice, picked: slice.picked && !isTurning && picks.length > 0 }));
  return (
    <section class={classes("rolling", slices.every(({ key, text }) => key === "more" || text.length <= 2) && "letters")} aria-label="roll a word">
      <h2>
        Roll a word <i>{state.facts.model.kind} as its weights stand</i>
      </h2>
      <Wheel slices={slices} target={pointer.value ?? target} label={numbers.cell(pointer.value ?? target, 4)} onTarget={setLast} />
      <Letters hideLast={isTurning} />
      <label class="target">
        target <input type="range" aria-label="target of the last letter" min={0} max={0.9999} step={0.0001} value={target} onInput={(event) => setLast(Number(event.currentTarget.value))} />
      </label>
      <Buttons />
    </section>
  );
}

/** The word so far, each letter a die as it fell. */
function Letters({ hideLast }: { readonly hideLast: boolean }) {
  const { picks, isOver } = rolled.value;
  const fallen = hideLast ? picks.slice(0, -1) : picks;
  return (
    <p class="dice" aria-live="polite" aria-label="rolled so far">
      {beginning.value.map((id) => (
        <span class="die given">{shown(learning.readable(id))}</span>
      ))}
      {fallen.map((found, i) => (
        <span key={i} class={`die${i === picks.length - 1 ? " last" : ""}${isOver && i === picks.length - 1 ? " end" : ""}`} title={probabilityOf(found)}>
          {shown(learning.readable(found.id))}
        </span>
      ))}
    </p>
  );
}

const probabilityOf = ({ candidates, index }: Pick): string => numbers.percent(candidates.probabilities[index]!);

function Buttons() {
  const { ids } = rolled.value;
  const made = ids.slice(learning.training().end === null ? 0 : 1);
  const text = made.map(learning.readable).join("");
  return (
    <div class="push-row">
      <button class="push first" onClick={() => void roll()} disabled={isRolling.value}>
        Roll
      </button>
      <button class="push" onClick={() => (isRolling.value ? (isRolling.value = false) : void rollWord())}>
        {isRolling.value ? "Stop" : "Roll a word"}
      </button>
      <button class="push" onClick={() => (state.facts.model.hasText ? state.type(text, true) : state.give(null, made))} disabled={!made.length || isRolling.value} title="it becomes the prompt">
        Learn it
      </button>
    </div>
  );
}
