/** Training on the page: a word and how likely each of its letters is, the weights and their next step, the loss. */
import { useEffect } from "preact/hooks";
import { Curve, plural } from "./curve";
import "./learn.css";
import { NumberField } from "./learn_fields";
import { LearnWeights } from "./learn_weights";
import { LearnWord, Positions } from "./learn_word";
import * as learning from "./learning";
import { Rolling, rollByKey } from "./rolling";
import * as state from "./state";
import type { Settings } from "./training_update";

const MANY = 100; // steps at a click
const MOST_EDITS = 60; // weights that are laid over the run as changed cells

export function Learn() {
  const isThere = state.shownRun.value !== null;
  useEffect(() => void (isThere && learning.prepare()), [isThere]);
  useEffect(() => {
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  if (!learning.weights.value || !state.vocabulary.value.length) return <main class="learn" />;
  const refusal = learning.stopped.value ?? learning.refusal.value;
  return (
    <main class="learn">
      <div class="learn-left">
        <LearnWord />
        <Rolling />
      </div>
      <div class="learn-middle">
        <Positions />
        <LearnWeights />
      </div>
      <div class="learn-right">
        <Steps />
        {refusal && (
          <p class="complaint" role="alert">
            {refusal}
          </p>
        )}
        <Curve />
        <SettingsForm />
        <Onward />
      </div>
    </main>
  );
}

function key(event: KeyboardEvent): void {
  const box = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || box.closest("input, select, textarea, .grid")) return;
  if (event.key === "Enter" && box.closest("button")) return;
  const act = { s: rollByKey, S: rollByKey, Enter: () => learning.go(1) }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// ------------------------------------------------------------------------------------------------ steps

function Steps() {
  const [isRunning, left] = [learning.isRunning.value, learning.left.value];
  const isStuck = learning.next.value === null;
  return (
    <section class="steps" aria-label="steps">
      <div class="push-row">
        <button class="push first" onClick={() => learning.go(1)} disabled={isStuck || isRunning}>
          One step
        </button>
        <Many disabled={isStuck || isRunning} />
        <button class="push run" onClick={() => (isRunning ? learning.stop() : learning.go(Infinity))} disabled={isStuck && !isRunning}>
          {isRunning ? "Stop" : "Run"}
        </button>
      </div>
      <div class="push-row">
        <b class="count">{plural(learning.stepsDone.value, "step")} done</b>
        <span class="mute">{left !== null && Number.isFinite(left) ? `${left.toLocaleString("en")} left` : ""}</span>
        <span class="space" />
        <button class="link" onClick={learning.restart} disabled={!learning.stepsDone.value}>
          First weights again
        </button>
      </div>
    </section>
  );
}

/** As many steps as one likes. */
function Many({ disabled }: { readonly disabled: boolean }) {
  const go = (form: HTMLFormElement): void => {
    const count = Number(new FormData(form).get("count"));
    if (Number.isInteger(count) && count > 0) learning.go(count);
  };
  return (
    <form
      class="many"
      onSubmit={(event) => {
        event.preventDefault();
        go(event.currentTarget);
      }}
    >
      <input name="count" type="number" aria-label="number of steps" min={1} max={1000000} step={1} defaultValue={String(MANY)} />
      <button class="push" disabled={disabled}>
        steps
      </button>
    </form>
  );
}

// ------------------------------------------------------------------------------------------------ settings

function SettingsForm() {
  const { optimizer, learningRate, weightDecay } = learning.settings.value;
  const change = (changes: Partial<Settings>): void => void (learning.settings.value = { ...learning.settings.value, ...changes });
  return (
    <section class="settings" aria-label="how it learns">
      <label>
        optimizer
        <select value={optimizer} onChange={(event) => change({ optimizer: event.currentTarget.value as Settings["optimizer"] })}>
          <option value="sgd">sgd</option>
          <option value="adamw">adamw</option>
        </select>
      </label>
      <NumberField name="learning rate" value={learningRate} isRight={(x) => x > 0} onValue={(x) => change({ learningRate: x })} />
      <NumberField name="weight decay" value={weightDecay} isRight={(x) => x >= 0} onValue={(x) => change({ weightDecay: x })} />
      <p class="note">{optimizer === "sgd" ? "new = old − learning rate × gradient" : "AdamW: the mean of gradients, divided by the root of the mean of their squares"}</p>
    </section>
  );
}

// ------------------------------------------------------------------------------------------------ the run

/** The run with the weights as they stand, as changed cells of it. */
function Onward() {
  const weights = learning.weights.value!;
  const count = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  if (count > MOST_EDITS || state.facts.readOnly) return null;
  const look = (): void => {
    const cells = [...weights].flatMap(([stage, { columns, data }]) =>
      Array.from(data, (value, at) => ({ cell: { stage, row: Math.floor(at / columns), column: at % columns }, value })),
    );
    state.set(cells);
    state.view.value = "run";
  };
  return (
    <section>
      <button class="link" onClick={look} disabled={!learning.stepsDone.value} title="they are typed over the run's weights; undo takes them back">
        Look at the run with these weights
      </button>
      <p class="note">Enter does a step · S rolls</p>
    </section>
  );
}
