/** A comparison: stages with verdicts; left, right and their difference under each other, which scroll together. */
import { useEffect } from "preact/hooks";
import { copy } from "./clipboard";
import { css, diverging, inkOn, share } from "./colours";
import { COLUMN, compared, DECIMALS, found, goToDifferent, goToNeighbour, goToWorst, nthWorst, scrolled, stage as chosenStage, watch } from "./comparison";
import { CompareWay } from "./compare_way";
import { difference } from "./differences";
import { classes, Grid, type CellLook } from "./grid";
import { columnLabels, rowLabels, stepOf, weightOf, type Label } from "./labels";
import { moveByKey } from "./moves";
import * as numbers from "./numbers";
import { DifferencePicture } from "./paint";
import { px } from "./px";
import { isNarrow, ROW } from "./sheet";
import type { Comparison, Contents, Differences, Run, StageDiff, TextTable } from "./source";
import * as state from "./state";
import { shown } from "./tokens";
import "./compare.css";

const MOST_FITTING = 14; // rows of sheets that stand under each other; of longer ones with few columns, beside
const FEW_COLUMNS = 3;
const STRIP_ROW = 11;

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
  const counts = [`${count("different")} stages differ`, `${count("equal")} equal`, count("missing") ? `${count("missing")} not compared` : "", tolerance.atol + tolerance.rtol ? `tolerance ${round(tolerance.atol)}${tolerance.rtol === tolerance.atol ? "" : ` + ${round(tolerance.rtol)} |right|`}` : ""];
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

interface Both {
  readonly comparison: Comparison;
  readonly left: Run;
  readonly right: Run;
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

// ------------------------------------------------------------------------------------------------ numbers

interface Sheets extends Both {
  readonly stage: StageDiff;
  readonly differences: Differences | null;
}

function Numbers(sheets: Sheets) {
  const { comparison, stage, differences, left, right } = sheets;
  const [rows, columns] = stage.shape!;
  const end = differences?.end ?? 1;
  const beside = rows > MOST_FITTING && columns <= FEW_COLUMNS;
  const facts = [`${(differences?.out ?? 0).toLocaleString("en")} of ${stage.cells.toLocaleString("en")} cells ${state.facts.compare ? "out of tolerance" : "changed"}`, part("rms", stage.rms), typeof stage.cosine === "number" ? `cosine ${stage.cosine.toFixed(8)}` : "", stage.note, stage.own_error ? `an error of its own${stage.cause ? `: ${stage.cause}` : ""}` : ""];
  return (
    <>
      <Values {...sheets} />
      <div class={classes("compare-sheets", beside && "beside")}>
        <Side {...sheets} which="left" title="left" said={comparison.left} onCopy={() => copy(left)} />
        <Side {...sheets} which="right" title="right" said={comparison.right} onCopy={() => copy(right)} />
        <Side {...sheets} which="difference" title="right − left" said={facts.filter(Boolean).join(" · ")} legend={end} onCopy={() => copy(right, left)} />
      </div>
      {differences?.picture && !beside && <All {...sheets} picture={differences.picture} end={end} />}
    </>
  );
}

const part = (name: string, value: number | string | null): string => (typeof value === "number" ? `${name} ${numbers.power(value)}` : "");

/** The chosen cell: both numbers and their difference. */
function Values({ left, right, differences }: Sheets) {
  const at = state.cell.value;
  const address = state.addressOf(at);
  const [one, other] = [left, right].map((run) => state.tiles.at(run, at.stage, at.row, at.column));
  const words = differences?.words.map((side) => side[`${at.row},${at.column}`]) ?? [];
  const said = (value: number | undefined, word: string | undefined): string => word ?? (value === undefined ? "" : numbers.long(value));
  const between = one === undefined || other === undefined ? undefined : difference(one, other);
  return (
    <div class="compare-values">
      <input
        id="name-box"
        aria-label="name box: go to a stage or cell"
        spellcheck={false}
        key={address}
        defaultValue={address}
        onFocus={(event) => event.currentTarget.select()}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape" || (event.key === "Enter" && state.go(event.currentTarget.value))) event.currentTarget.blur();
        }}
      />
      <span>
        <i>left</i> <b class="left">{said(one, words[0])}</b>
      </span>
      <span>
        <i>right</i> <b class="right">{said(other, words[1])}</b>
      </span>
      <span>
        <i>difference</i> <b class={classes("between", between !== 0 && "wrong")}>{between === undefined ? "" : Number.isFinite(between) ? numbers.difference(between) : "≠"}</b>
      </span>
    </div>
  );
}

interface SideProps extends Sheets {
  readonly which: "left" | "right" | "difference";
  readonly title: string;
  readonly said: string;
  readonly legend?: number;
  readonly onCopy: () => void;
}

function Side(props: SideProps) {
  const { which, title, said, legend, stage, right } = props;
  const [rows, columns] = stage.shape!;
  const step = stepOf(state.facts, stage.stage);
  const weight = weightOf(state.facts, stage.stage);
  const rowAxis = rowLabels(step?.rows ?? weight?.counts ?? null, right, state.vocabulary.value);
  const columnAxis = columnLabels(step, right, columns, state.facts.model.n_head, state.vocabulary.value);
  const look = looks(props);
  const at = state.cell.value;
  const narrow = isNarrow();
  const keys = right.tokens.length;
  const selected = state.selection.value;
  const label = (row: number): Label => rowAxis.label(row + stage.firstRow);
  return (
    <section class={`compare-sheet ${which}`}>
      <div class="compare-head">
        <b>{title}</b> <span title={said}>{said}</span>
        {legend !== undefined && <Legend end={legend} />}
      </div>
      <Grid
        id={`compare-${which}`}
        name={`${title} of ${stage.stage}`}
        rows={rows}
        columns={columns}
        rowHeight={narrow ? 30 : ROW}
        columnWidth={COLUMN}
        labelWidths={narrow ? [26, 62] : [46, 71]}
        rowNames={rowAxis.names}
        columnNames={columnAxis.names}
        rowLabel={label}
        columnLabel={columnAxis.label}
        {...(step?.columns === "heads x keys" ? { bordered: (column: number) => column > 0 && column % keys === 0 } : {})}
        look={(row, column) => {
          const found = look(row, column);
          const within = row >= selected.row && row < selected.row + selected.rows && column >= selected.column && column < selected.column + selected.columns;
          return within && selected.rows * selected.columns > 1 ? { ...found, classes: `${found.classes ?? ""} selected` } : found;
        }}
        at={{ row: at.row, column: at.column }}
        height="fit"
        together={scrolled}
        onPick={(row, column, extend) => (extend ? state.extend : state.choose)({ stage: stage.stage, row, column })}
        onKeyDown={(event, page) => {
          if (moveByKey(event, page)) return;
          if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "c") return void (event.preventDefault(), props.onCopy());
        }}
      />
    </section>
  );
}

/** A cell of a side on the stage's scale; of the differences, on theirs. */
function looks({ which, stage, left, right, differences }: SideProps): (row: number, column: number) => CellLook {
  const [theme, name] = [state.theme.value, stage.stage];
  const step = stepOf(state.facts, name);
  const words: readonly (Contents | undefined)[] = which === "left" ? [differences?.words[0]] : which === "right" ? [differences?.words[1]] : differences?.words ?? [];
  return (row, column) => {
    const [one, other] = [left, right].map((run) => state.tiles.at(run, name, row, column));
    if (one === undefined || other === undefined) return { text: "", classes: "unknown" };
    const between = difference(one, other);
    const value = which === "left" ? one : which === "right" ? other : between;
    const word = words.map((side) => side?.[`${row},${column}`]).find((text) => text !== undefined);
    if (which !== "difference" && (word !== undefined || numbers.isMasked(value))) return { text: word ?? numbers.cell(value, DECIMALS), classes: "masked" };
    if (!Number.isFinite(value) || (which === "difference" && word !== undefined && between !== 0)) return { text: which === "difference" ? "≠" : numbers.cell(value, DECIMALS), classes: "unlike" };
    if (which === "difference" && numbers.isMasked(one)) return { text: "0", classes: "masked" };
    const fill = which === "difference" ? diverging(theme, value, differences?.end ?? 1) : step?.shares ? share(theme, value) : diverging(theme, value, stage.end);
    const text = which === "difference" ? (value === 0 ? "0" : numbers.difference(value)) : numbers.cell(value, DECIMALS);
    return { text, style: { background: css(fill), color: value === 0 ? undefined : inkOn(theme, fill) }, classes: value === 0 ? "zero" : "" };
  };
}

function Legend({ end }: { readonly end: number }) {
  const theme = state.theme.value;
  const stops = [-1, -0.5, 0, 0.5, 1].map((part) => css(diverging(theme, part, 1)));
  return (
    <span class="legend">
      {numbers.difference(-end)} <i style={{ background: `linear-gradient(90deg, ${stops.join(",")})` }} /> {numbers.difference(end)}
    </span>
  );
}

/** All differences of the stage in one picture; a click leads there. */
function All({ stage, right, picture, end }: Sheets & { readonly picture: NonNullable<Differences["picture"]>; readonly end: number }) {
  const [rows, columns] = stage.shape!;
  const lies = rows > columns * 4;
  const step = stepOf(state.facts, stage.stage);
  const label = rowLabels(step?.rows ?? null, right, state.vocabulary.value).label;
  const named = !lies && rows <= MOST_FITTING;
  const pick = (event: MouseEvent & { currentTarget: HTMLElement }): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    state.choose({ stage: stage.stage, row: Math.floor((lies ? x : y) * rows), column: Math.floor((lies ? y : x) * columns) });
  };
  const along = lies ? rows : columns;
  return (
    <div class={classes("compare-all", rows <= MOST_FITTING && "yields")}>
      <div class="strip-head">
        <span class="how">all of it</span>
        <span>
          right − left, {rows} × {columns}
        </span>
      </div>
      <div class="strip-body">
        <div class="strip-labels">{named && Array.from({ length: rows }, (_, row) => <span key={row}>{label(row + stage.firstRow).token || row}</span>)}</div>
        <button class="strip-picture" aria-label="go to a cell of the picture" style={px({ height: named ? STRIP_ROW * rows + 2 : 68 })} onClick={pick}>
          <DifferencePicture picture={picture} end={end} className="strip-canvas" />
        </button>
      </div>
      <div class="strip-ticks">
        {[0, 0.25, 0.5, 0.75, 1].map((part) => (
          <span key={part} style={{ left: `${100 * part}%` }} class={part === 1 ? "last" : ""}>
            {Math.min(along - 1, Math.round(part * along))}
          </span>
        ))}
      </div>
    </div>
  );
}

// ------------------------------------------------------------------------------------------------ texts, and what is missing

function Said({ comparison, stage, differences }: Sheets) {
  if (!differences?.tables) return <p class="said">{stage.verdict === "missing" ? `Not compared: ${stage.note}.` : stage.note}</p>;
  const [left, right] = differences.tables;
  const out = new Set(differences.worst.map(String));
  return (
    <div class="texts">
      <Table title="left" said={comparison.left} table={left} out={out} />
      <Table title="right" said={comparison.right} table={right} out={out} />
    </div>
  );
}

function Table({ title, said, table, out }: { readonly title: string; readonly said: string; readonly table: TextTable; readonly out: ReadonlySet<string> }) {
  return (
    <>
      <div class="compare-head">
        <b>{title}</b> <span>{said}</span>
      </div>
      <table>
        <tbody>
          {table.map((row, i) => (
            <tr key={i}>
              {row.map((one, j) => (
                <td key={j} class={classes(typeof one === "number" && "number", out.has(`${i},${j}`) && "unlike")}>
                  {out.has(`${i},${j}`) ? "≠ " : ""}
                  {one === null || one === undefined ? "" : typeof one === "number" ? one : shown(String(one))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </>
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
