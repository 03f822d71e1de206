/** A comparison: stages with verdicts at the left, what is found above, and the chosen stage of both sides. */
import { useEffect } from "preact/hooks";
import { compared, found, goToDifferent, goToNeighbour, goToWorst, nthWorst, stage as chosenStage, watch, type Both } from "./comparison";
import { Numbers } from "./compare_sheets";
import { Said } from "./compare_texts";
import { CompareWay } from "./compare_way";
import { classes } from "./grid";
import { stepOf } from "./labels";
import * as numbers from "./numbers";
import type { Comparison, Differences, StageDiff } from "./source";
import * as state from "./state";
import "./compare.css";

export function Compare() {
  useEffect(() => watch(), []);
  useEffect(() => {
    addEventListener("keydown", pageKey);
    return () => removeEventListener("keydown", pageKey);
  }, []);
  const both = compared.value;
  if (!both) return <Nothing />;
  return (
    <div class="explore compare">
      <CompareWay comparison={both.comparison} onKeyDown={listKey} />
      <main class="middle">
        <Verdict comparison={both.comparison} />
        <Chosen {...both} />
        <Keys />
      </main>
    </div>
  );
}

/** How to get here. */
function Nothing() {
  return (
    <main class="nothing">
      <h1>Nothing is compared yet</h1>
      <p>
        Type over a cell in the run: here the run before the change stands beside the run after it.
      </p>
      <p>Two runs, dumps or ports are compared from the command line:</p>
      <pre>sheetgpt explore --compare LEFT RIGHT</pre>
      <button class="push first" onClick={() => (state.view.value = "run")}>
        To the run
      </button>
    </main>
  );
}

// ------------------------------------------------------------------------------------------------ what is found

function Verdict({ comparison }: { readonly comparison: Comparison }) {
  const { first, diagnosis, stages, tolerance, notes } = comparison;
  const count = (verdict: string): number => stages.filter((one) => one.verdict === verdict).length;
  const counts = [`${count("different")} ${count("different") === 1 ? "stage differs" : "stages differ"}`, `${count("equal")} equal`, count("missing") ? `${count("missing")} not compared` : "", tolerance.atol + tolerance.rtol ? `tolerance ${round(tolerance.atol)}${tolerance.rtol === tolerance.atol ? "" : ` + ${round(tolerance.rtol)} |right|`}` : ""];
  return (
    <>
      <div class={classes("banner", first !== null && "wrong")} role="status">
        <p>
          <b>{first ? `${first} diverges first.` : "No stage diverges."}</b> {why(first, diagnosis)}
        </p>
        <span>{counts.filter(Boolean).join(" · ")}</span>
      </div>
      {notes.length > 0 && (
        <ul class="notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
    </>
  );
}

const round = (x: number): string => numbers.power(x).replace(".0e", "e");

/** What `diff` says of the cause. */
function why(first: string | null, diagnosis: Comparison["diagnosis"]): string {
  if (!diagnosis) return "";
  const sentence = `${diagnosis.sentence[0]!.toUpperCase()}${diagnosis.sentence.slice(1)}.`;
  if (diagnosis.stage === first) return sentence;
  return `${first ? "The difference begins within the tolerance at" : "But within the tolerance this is wrong:"} ${diagnosis.stage}. ${sentence}`;
}

function Chosen(both: Both) {
  const name = state.cell.value.stage;
  const stage = chosenStage.value;
  const differences = found.value?.stage === stage ? found.value!.differences : null;
  const complaint = state.complaint.value;
  return (
    <>
      <Heading stage={stage} name={name} differences={differences} />
      {complaint?.at === "cell" && (
        <div class="complaint" role="alert">
          {complaint.text}
        </div>
      )}
      {!stage ? <p class="said">{name} is not compared.</p> : stage.picture ? <Numbers {...both} stage={stage} differences={differences} /> : <Said {...both} stage={stage} differences={differences} />}
    </>
  );
}

function Heading({ stage, name, differences }: { readonly stage: StageDiff | undefined; readonly name: string; readonly differences: Differences | null }) {
  const block = stepOf(state.facts, name)?.block ?? null;
  const count = differences?.worst.length ?? 0;
  const nth = nthWorst.value;
  return (
    <header class="heading">
      <h1>
        {block === null ? "" : <span class="block">block {block} · </span>}
        {stage?.title ?? "weights"}
      </h1>
      <span class="stage">{name}</span>
      <span class="space" />
      <button class="push" title="the stage before that differs (p)" onClick={() => goToDifferent(-1)}>
        ‹ stage
      </button>
      <button class={classes("push", count > 0 && stage?.picture != null && "first")} disabled={!count || !stage?.picture} title="the worst cell, then the next (w)" onClick={() => goToWorst()}>
        {nth < 0 ? "Worst cell" : nth + 1 < count ? `Next worst, ${nth + 2}` : "Worst cell again"}
      </button>
      <button class="push" title="the next stage that differs (n)" onClick={() => goToDifferent(1)}>
        stage ›
      </button>
    </header>
  );
}

// ------------------------------------------------------------------------------------------------ keys

function listKey(event: KeyboardEvent): void {
  if (event.altKey || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
  event.preventDefault();
  goToNeighbour(event.key === "ArrowDown" ? 1 : -1);
}

function pageKey(event: KeyboardEvent): void {
  const isTyping = (event.target as HTMLElement).closest?.("input, textarea, select") !== null;
  if (isTyping || event.ctrlKey || event.metaKey) return;
  const act: Readonly<Record<string, () => void>> = event.altKey
    ? { ArrowDown: () => goToNeighbour(1), ArrowUp: () => goToNeighbour(-1) }
    : { n: () => goToDifferent(1), p: () => goToDifferent(-1), w: () => goToWorst() };
  const found = act[event.key];
  if (!found) return;
  event.preventDefault();
  found();
}

function Keys() {
  const list = [
    ["n", "next stage that differs"],
    ["p", "the one before"],
    ["w", "worst cell, then the next"],
    ["Alt+↑ Alt+↓", "stage"],
    ["Ctrl+G", "go to a cell"],
    ["Ctrl+C", "copy"],
  ] as const;
  return (
    <footer class="keys">
      {list.map(([key, what]) => (
        <span key={key}>
          <b>{key}</b> {what}
        </span>
      ))}
    </footer>
  );
}
