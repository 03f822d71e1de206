/** Generation step by step: candidates by temperature, top-k and top-p, a wheel of them, and the pick by a target. */
import { computed, effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import "./generate.css";
import { toClipboard } from "./clipboard";
import * as numbers from "./numbers";
import { candidatesOf, pickIndex, type Candidates, type Pick, type Sampling } from "./picking";
import { px } from "./px";
import type { Run } from "./source";
import { turn, turning } from "./spin";
import * as state from "./state";
import { shown } from "./tokens";
import { slicesOf, Wheel, type Slice } from "./wheel";

const SPIN = 600; // ms
const MOST_ROWS = 60; // of the table
const K_STEPS = 60; // the slider's numbers; beyond it all are kept

/** A token that was taken: what was asked for before, and the ids with it. */
interface Taken {
  readonly prompt: string | null;
  readonly ids: readonly number[] | null;
  readonly made: string;
}

// ------------------------------------------------------------------------------------------------ what is chosen

const temperature = signal(1);
const topK = signal<number | null>(null);
const topP = signal<number | null>(null);
const target = signal(0.5118);
const logits = signal<{ readonly run: string; readonly values: Float64Array } | null>(null);
const accepted = signal<readonly Taken[]>([]); // tokens that joined the prompt, the last one last
const pointer = turning();

const sampling = computed<Sampling>(() => ({ temperature: temperature.value, topK: topK.value, topP: topP.value }));
const candidates = computed<Candidates | null>(() => logits.value && candidatesOf(logits.value.values, sampling.value));
const picked = computed<Pick | null>(() => {
  const found = candidates.value;
  if (!found) return null;
  const isGreedy = sampling.value.temperature === 0;
  const index = isGreedy ? 0 : pickIndex(found, target.value);
  return { id: found.ids[index]!, index, candidates: found, target: isGreedy ? null : target.value };
});

/** The logits of the newest run, whenever it is another. */
effect(() => {
  const run = state.shownRun.value;
  if (!run || state.view.value !== "generate" || logits.peek()?.run === run.id) return;
  const step = state.facts.steps.find((one) => one.role === "LOGITS")!;
  const [rows, columns] = state.shapeOf(step.name, run);
  const region = { stage: step.name, row: 0, column: columns - 1, rows, columns: 1 };
  void state
    .getSource()
    .cells(run, region)
    .then(({ data }) => state.shownRun.peek() === run && (logits.value = { run: run.id, values: data }))
    .catch(() => {}); // the page says what is wrong with the run
});

/** Draw a target, and turn the pointer to it. */
function spin(): void {
  const [from, drawn] = [target.value, Math.random()];
  target.value = drawn;
  void turn(pointer, from, drawn, SPIN);
}

/** The picked token joins the prompt: as text where the text is read as the same tokens, else by ids. */
async function accept(): Promise<void> {
  const [run, found] = [state.shownRun.value, picked.value];
  if (!run || !found || logits.value?.run !== run.id || state.busy.value) return;
  state.busy.value = true;
  const ids = [...run.ids, found.id];
  const text = run.prompt === null ? null : run.prompt + state.vocabulary.value[found.id];
  accepted.value = [...stillTaken(run), { prompt: run.prompt, ids: run.prompt === null ? run.ids : null, made: String(ids) }];
  if (text !== null && (await readsAs(text, ids))) state.give(text, null);
  else state.give(null, ids);
}

/** What can be taken back: nothing where another prompt was typed since, or the last token was refused. */
function stillTaken(run: Run): readonly Taken[] {
  const last = accepted.value.findLastIndex((one) => one.made === String(run.ids));
  return accepted.value.slice(0, last + 1);
}

async function readsAs(text: string, ids: readonly number[]): Promise<boolean> {
  const asked = { prompt: text, ids: null, sets: [], special: state.facts.prompt.special };
  const found = await state.getSource().run(asked).catch(() => null);
  return found !== null && JSON.stringify(found.ids) === JSON.stringify(ids);
}

function takeBack(): void {
  const taken = state.shownRun.value ? stillTaken(state.shownRun.value) : [];
  const last = taken.at(-1);
  if (!last) return;
  accepted.value = taken.slice(0, -1);
  state.give(last.prompt, last.ids);
}

// ------------------------------------------------------------------------------------------------ the view

export function Generate() {
  useEffect(() => {
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  const [run, found] = [state.shownRun.value, picked.value];
  if (!run || !found) return <main class="generate" />;
  const slices = slicesOf(found, state.vocabulary.value);
  return (
    <main class="generate">
      <section class="generate-wheel">
        <Text run={run} found={found} />
        <div class="wheel-and-facts">
          <Wheel slices={slices} target={pointer.value ?? found.target ?? 0} label={found.target === null ? "greedy" : numbers.cell(pointer.value ?? found.target, 4)} onTarget={(at) => (target.value = at)} />
          <Facts found={found} />
        </div>
        <Sums slices={slices} at={pointer.value ?? found.target} />
        <Sliders />
      </section>
      <Table found={found} />
    </main>
  );
}

function key(event: KeyboardEvent): void {
  const box = event.target as HTMLElement;
  if (state.view.value !== "generate" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (box.closest("input:not([type=range]), textarea") || (event.key === "Enter" && box.closest("button"))) return;
  const act = { s: spin, S: spin, Enter: () => void accept(), Backspace: takeBack }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

/** The prompt token by token, and the one that would join it. */
function Text({ run, found }: { readonly run: Run; readonly found: Pick }) {
  const from = Math.max(0, run.tokens.length - 40);
  return (
    <p class="generate-text" aria-live="polite">
      {from > 0 && "… "}
      {run.tokens.slice(from).map((token, i) => (
        <span key={i}>{shown(token)}</span>
      ))}
      <span class="next">{shown(state.vocabulary.value[found.id] ?? `#${found.id}`)}</span>
    </p>
  );
}

const kept = ({ probabilities }: Candidates): number => probabilities.reduce((count, one) => count + (one > 0 ? 1 : 0), 0);

function Facts({ found }: { readonly found: Pick }) {
  const { candidates, index } = found;
  const rows: readonly (readonly [string, string])[] = [
    ["target", found.target === null ? "none: greedy" : numbers.cell(found.target, 4)],
    ["first sum above it", numbers.cell(candidates.cumulative[index]!, 4)],
    ["sum before", numbers.cell(index ? candidates.cumulative[index - 1]! : 0, 4)],
    ["token", shown(state.vocabulary.value[found.id] ?? "")],
    ["its probability", numbers.percent(candidates.probabilities[index]!)],
    ["rank", `${index + 1} of ${kept(candidates)}`],
  ];
  return (
    <div class="generate-facts">
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class={name === "token" ? "stage" : ""}>{value}</dd>
          </div>
        ))}
      </dl>
      <button class="push" onClick={spin} disabled={found.target === null}>
        Spin
      </button>{" "}
      <button class="push first" onClick={() => void accept()}>
        Accept
      </button>{" "}
      <button class="push" onClick={takeBack} disabled={stillTaken(state.shownRun.value!).length === 0}>
        Take back
      </button>
      <p class="note">S spins · Enter accepts · Backspace takes back</p>
    </div>
  );
}

/** The wheel unrolled: the row of cumulative sums, and the target on it. */
function Sums({ slices, at }: { readonly slices: readonly Slice[]; readonly at: number | null }) {
  const drag = (event: PointerEvent & { currentTarget: HTMLElement }): void => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    target.value = Math.max(0, Math.min(0.9999, (event.clientX - box.left) / box.width));
  };
  return (
    <div class="sums" onPointerDown={drag} onPointerMove={drag}>
      {at !== null && (
        <span class="target" style={{ left: `${100 * at}%` }}>
          {numbers.cell(at, 4)}
          <br />▼
        </span>
      )}
      {slices.map((slice) => (
        <span key={slice.key} class={`slice ${slice.tint}${slice.picked ? " picked" : ""}`} style={{ left: `${100 * slice.from}%`, width: `${100 * (slice.to - slice.from)}%` }}>
          <span>{slice.to - slice.from > 0.055 || slice.picked ? slice.text : ""}</span>
        </span>
      ))}
      {slices.map((slice) => (slice.to - slice.from > 0.045 || slice.picked) && (
        <span key={slice.key} class={`sum${slice.picked ? " picked" : ""}`} style={{ left: `${100 * slice.to}%` }}>
          {numbers.cell(slice.to, 3)}
        </span>
      ))}
    </div>
  );
}

function Sliders() {
  const most = Math.min(K_STEPS, state.facts.model.n_vocab);
  return (
    <div class="sliders">
      <Slider name="temperature" value={temperature.value} least={0} most={2} step={0.05} text={temperature.value ? numbers.cell(temperature.value, 2) : "0, greedy"} onValue={(x) => (temperature.value = x)} />
      <Slider name="top-k" value={topK.value ?? most + 1} least={1} most={most + 1} step={1} text={topK.value === null ? "all" : String(topK.value)} onValue={(x) => (topK.value = x > most ? null : x)} />
      <Slider name="top-p" value={topP.value ?? 1} least={0.01} most={1} step={0.01} text={topP.value === null ? "1.00" : numbers.cell(topP.value, 2)} onValue={(x) => (topP.value = x >= 1 ? null : x)} />
      <Slider name="target" value={target.value} least={0} most={0.9999} step={0.0001} text={numbers.cell(target.value, 4)} onValue={(x) => (target.value = x)} />
    </div>
  );
}

interface SliderProps {
  readonly name: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly text: string;
  readonly onValue: (value: number) => void;
}

function Slider({ name, value, least, most, step, text, onValue }: SliderProps) {
  return (
    <label>
      <span>{name}</span>
      <input type="range" min={least} max={most} step={step} value={value} aria-valuetext={text} onInput={(event) => onValue(Number(event.currentTarget.value))} />
      <b>{text}</b>
    </label>
  );
}

// ------------------------------------------------------------------------------------------------ the table

const COLUMNS = ["rank", "id", "token", "logit", "logit / temperature", "probability", "cumulative sum", "picked"];

function Table({ found }: { readonly found: Pick }) {
  const { candidates, index } = found;
  const count = Math.min(candidates.ids.length, MOST_ROWS);
  const places = [...Array(count).keys(), ...(index >= count ? [index] : [])];
  const most = candidates.probabilities[0]!;
  return (
    <section class="candidates" aria-label="the candidates">
      <header>
        <h1>The candidates</h1>
        <span>
          {kept(candidates).toLocaleString("en")} kept of {candidates.ids.length.toLocaleString("en")}
        </span>
        <span class="space" />
        <button class="push" onClick={() => void toClipboard(asText(found))}>
          Copy table
        </button>
      </header>
      <table>
        <thead>
          <tr>
            <th>rank</th>
            <th class="token">token</th>
            <th>logit</th>
            <th>÷ {numbers.short(temperature.value || 1, 2)}</th>
            <th>probability</th>
            <th>sum</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {places.map((i) => {
            const id = candidates.ids[i]!;
            const probability = candidates.probabilities[i]!;
            return (
              <tr key={id} class={i === index ? "picked" : probability === 0 ? "left-out" : ""} aria-selected={i === index}>
                <td>{i + 1}</td>
                <td class="token">{shown(state.vocabulary.value[id] ?? `#${id}`)}</td>
                <td>{numbers.cell(candidates.logits[i]!, 3)}</td>
                <td>{numbers.cell(candidates.scaled[i]!, 3)}</td>
                <td>{probability ? numbers.percent(probability) : "–"}</td>
                <td>{probability ? numbers.cell(candidates.cumulative[i]!, 4) : ""}</td>
                <td class="bar">{probability ? <span style={px({ width: Math.max(1, (100 * probability) / most) })} /> : null}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {candidates.ids.length > count && <p class="note">{(candidates.ids.length - count).toLocaleString("en")} more, each less likely.</p>}
    </section>
  );
}

/** The table with every digit, for a spreadsheet. */
function asText({ candidates, index }: Pick): string {
  const rows = candidates.ids.map((id, i) => [i + 1, id, state.vocabulary.value[id] ?? "", candidates.logits[i], candidates.scaled[i], candidates.probabilities[i], candidates.cumulative[i], i === index ? 1 : 0]);
  return [COLUMNS, ...rows].map((row) => row.map((one) => String(one).replace(/[\t\n\r]/g, " ")).join("\t")).join("\n");
}

