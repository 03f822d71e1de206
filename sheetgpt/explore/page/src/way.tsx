/** The way of the data, all of it in view: words, tokens, embeddings, blocks, head, the answer; each stage in colours. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { classes } from "./grid";
import { Pieces, Thumbnail } from "./paint";
import { percent } from "./numbers";
import { here, stagesOf } from "./origin";
import type { Run, Step } from "./source";
import * as state from "./state";
import { shown } from "./tokens";
import { px } from "./px";

const MOST_OPEN = 2; // blocks that are open at once; of more, only the chosen one
const FULL_BAR = 28; // px of a change as large as the values

const openBlock = signal<number | null>(null);

interface Line {
  readonly steps: readonly Step[]; // that share it: queries, keys, values
  readonly number: number | null;
  readonly title: string;
}

interface Group {
  readonly title: string;
  readonly block: number | null;
  readonly lines: readonly Line[];
}

/** The steps under the headings under which the way shows them. */
function groups(steps: readonly Step[]): Group[] {
  const found: { title: string; block: number | null; lines: Line[] }[] = [];
  for (const step of steps) {
    if (step.role === "PREDICTION") continue;
    const title = step.isGiven ? "prompt" : step.block !== null ? `block ${step.block}` : step.part === "embeddings" ? "embeddings" : "head";
    if (found.at(-1)?.title !== title) found.push({ title, block: step.block, lines: [] });
    const lines = found.at(-1)!.lines;
    const last = lines.at(-1);
    if (last && step.number !== null && last.number === step.number) lines[lines.length - 1] = { ...last, steps: [...last.steps, step], title: apart([...last.steps, step]) };
    else lines.push({ steps: [step], number: step.number, title: step.shortTitle });
  }
  return found;
}

/** Queries, keys and values share a line: `q, k, v apart`. */
const apart = (steps: readonly Step[]): string => `${steps.map((step) => step.shortTitle[0]).join(", ")} apart`;

export function Way() {
  const run = state.run.value;
  const all = groups(state.facts.steps);
  useEffect(() => document.getElementById(`way-${state.cell.value.stage}`)?.scrollIntoView({ block: "nearest" }), [state.cell.value.stage, state.shownRun.value === null]);
  const isLarge = state.facts.model.n_layer > MOST_OPEN;
  const chosen = state.step.value?.block ?? null;
  const open = openBlock.value ?? chosen;
  if (!run) return <nav class="way" />;
  const hasChanges = run.asked.sets.length > 0;
  return (
    <nav class={classes("way", hasChanges && "with-changes")} aria-label="the way of the data">
      <div role="listbox" aria-label="stages" tabIndex={0} onKeyDown={listKey} aria-activedescendant={`way-${state.cell.value.stage}`}>
        {all.map((group) => {
          const closed = isLarge && group.block !== null && group.block !== open;
          return (
            <div role="group" aria-label={group.title} key={group.title}>
              {closed ? <ClosedBlock group={group} /> : <OpenGroup group={group} run={run} foldable={isLarge && group.block !== null} />}
            </div>
          );
        })}
      </div>
      <Answer run={run} />
      <Weights />
    </nav>
  );
}

function OpenGroup({ group, run, foldable }: { readonly group: Group; readonly run: Run; readonly foldable: boolean }) {
  const { n_embd } = state.facts.model;
  const side = group.title === "embeddings" ? `${run.tokens.length} × ${n_embd}` : group.title === "prompt" && run.asked.sets.length ? "change" : "";
  return (
    <>
      <div class="way-head" onClick={foldable ? () => (openBlock.value = -1) : undefined}>
        <span>{foldable ? `▾ ${group.title}` : group.title}</span>
        <i>{side}</i>
      </div>
      {group.lines.map((line) => (
        <WayLine key={line.steps[0]!.name} line={line} run={run} />
      ))}
    </>
  );
}

function ClosedBlock({ group }: { readonly group: Group }) {
  const step = group.lines.at(-1)!.steps.at(-1)!;
  const { info, stale } = state.infoOf(step.name);
  return (
    <div role="option" aria-selected="false" class="way-line closed" onClick={() => ((openBlock.value = group.block), state.chooseStage(step.name))}>
      <span class="rail stream" />
      <span class="title">▸ {group.title}</span>
      <Thumbnail info={info} step={step} stale={stale} />
      <Bar ratio={info?.change?.ratio} />
    </div>
  );
}

function WayLine({ line, run }: { readonly line: Line; readonly run: Run }) {
  const chosen = state.cell.value.stage;
  const own = line.steps.find((step) => step.name === chosen);
  const first = line.steps[0]!;
  const found = here.value;
  const names = line.steps.map((step) => step.name);
  const isIn = found && stagesOf(found.precedents).some((name) => names.includes(name));
  const isOut = found && stagesOf(found.dependents).some((name) => names.includes(name));
  const typed = state.edits.value.some((edit) => names.includes(edit.stage));
  const stream = state.facts.stream.includes(first.name);
  const rail = first.isGiven || first.block === null ? "outside" : stream ? "stream" : "branch";
  const changes = line.steps.map((step) => state.infoOf(step.name).info?.change?.ratio ?? 0);
  return (
    <div
      role="option"
      id={`way-${(own ?? first).name}`}
      aria-selected={own ? "true" : "false"}
      class={classes("way-line", own && "chosen", typed && "typed", (isIn || isOut) && !own && "near")}
      onClick={() => (state.toSheet(), state.chooseStage(first.name))}
      title={`${first.title}: ${first.words}`}
    >
      <span class={`rail ${rail}${stream ? " ring" : ""}`} />
      <span class="number">{line.number ?? ""}</span>
      <span class="title">{line.title}</span>
      {isIn && !own && <span class="mark in">in</span>}
      {isOut && !own && <span class="mark out">out</span>}
      <span class="pictures">
        {line.steps.map((step) => (
          <span key={step.name} class="picture" onClick={(event) => line.steps.length > 1 && (event.stopPropagation(), state.toSheet(), state.chooseStage(step.name))}>
            {step.isGiven ? <Given step={step} run={run} /> : <Thumbnail info={state.infoOf(step.name).info} stale={state.infoOf(step.name).stale} step={step} />}
          </span>
        ))}
      </span>
      <Bar ratio={Math.max(...changes)} />
    </div>
  );
}

/** How large the change of a stage is beside its values. */
function Bar({ ratio }: { readonly ratio: number | undefined }) {
  return <span class="change">{ratio ? <span style={px({ width: Math.max(1, Math.min(FULL_BAR, ratio * FULL_BAR)) })} /> : null}</span>;
}

function Given({ step, run }: { readonly step: Step; readonly run: Run }) {
  const length = (text: unknown): number => Math.max(1, String(text ?? "").length);
  if (step.role === "WORDS") return <Pieces lengths={[run.words.map(length)]} />;
  if (step.role === "TOKENS") return <Pieces lengths={[[], run.tokens.map(length)].slice(1)} />;
  const rows = (run.tables[step.name] ?? []).filter((row) => row.some((one) => typeof one === "string" && one !== ""));
  const passes = rows.map((row) => row.filter((one): one is string => typeof one === "string" && one !== "").map(length));
  return <Pieces lengths={passes.slice(0, 5)} depth={Math.min(5, passes.length)} />;
}

/** The predicted token, as long as it is likely. */
function Answer({ run }: { readonly run: Run }) {
  const best = (run.done ? run : state.shownRun.value)?.best[0];
  const last = state.facts.steps.find((step) => step.role === "PREDICTION");
  if (!best || !last) return null;
  return (
    <div class={classes("way-line answer", state.cell.value.stage === last.name && "chosen")} onClick={() => (state.toSheet(), state.chooseStage(last.name))}>
      <span class="rail outside ring" />
      <span class="number" />
      <span class="title">{shown(best.token)}</span>
      <span class="pictures">
        <span class="probability">
          <span style={px({ width: 60 * best.probability })} />
          {percent(best.probability)}
        </span>
      </span>
    </div>
  );
}

const isOpen = signal(false);

/** The weights by name: sheets, too. */
function Weights() {
  const chosen = state.cell.value.stage;
  const opened = isOpen.value || state.weight.value !== undefined;
  return (
    <div class="weights">
      <button class="way-head" aria-expanded={opened} onClick={() => (isOpen.value = !opened)}>
        {opened ? "▾" : "▸"} weights <i>{state.facts.weights.length} sheets</i>
      </button>
      {opened &&
        state.facts.weights.map((weight) => (
          <button key={weight.name} class={classes("weight", weight.name === chosen && "chosen", state.edits.value.some((one) => one.stage === weight.name) && "typed")} onClick={() => (state.toSheet(), state.chooseStage(weight.name))}>
            <span>{weight.name}</span>
            <i>
              {weight.rows} × {weight.columns}
            </i>
          </button>
        ))}
    </div>
  );
}

/** The stage before or after the chosen one. */
export function neighbour(by: number): void {
  const names = state.facts.steps.map((step) => step.name);
  const at = names.indexOf(state.cell.value.stage);
  const next = names[at + by];
  if (at >= 0 && next) state.chooseStage(next);
}

function listKey(event: KeyboardEvent): void {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || event.altKey) return;
  event.preventDefault();
  neighbour(by);
}
