/** A stage of numbers compared: the chosen cell, left, right and difference as sheets that scroll together, all of it. */
import { copy } from "./clipboard";
import { css, diverging, inkOn, share, type Rgb } from "./colours";
import { COLUMN, DECIMALS, scrolled, type Sheets } from "./comparison";
import { difference } from "./differences";
import { classes, Grid, type CellLook } from "./grid";
import { columnLabels, rowLabels, stepOf, weightOf, type Label } from "./labels";
import { moveByKey } from "./moves";
import * as numbers from "./numbers";
import { DifferencePicture } from "./paint";
import { px } from "./px";
import { described, isNarrow, ROW } from "./sheet";
import type { Contents, Differences, StageDiff } from "./source";
import * as state from "./state";

const MOST_FITTING = 14; // rows of sheets that stand under each other; of longer ones with few columns, beside
const FEW_COLUMNS = 3;
const STRIP_ROW = 11;

export function Numbers(sheets: Sheets) {
  const { comparison, stage, differences, left, right } = sheets;
  const [rows, columns] = stage.shape!;
  const end = differences?.end ?? 1;
  const beside = rows > MOST_FITTING && columns <= FEW_COLUMNS;
  return (
    <>
      <Values {...sheets} />
      <div class={classes("compare-sheets", beside && "beside")}>
        <Side {...sheets} which="left" title="left" said={comparison.left} onCopy={() => copy(left)} />
        <Side {...sheets} which="right" title="right" said={comparison.right} onCopy={() => copy(right)} />
        <Side {...sheets} which="difference" title="right − left" said={figures(sheets)} legend={end} onCopy={() => copy(right, left)} />
      </div>
      {differences?.picture && !beside && <All {...sheets} picture={differences.picture} end={end} />}
    </>
  );
}

/** What is said above the differences. */
function figures({ stage, differences }: Sheets): string {
  const out = `${(differences?.out ?? 0).toLocaleString("en")} of ${stage.cells.toLocaleString("en")} cells ${state.facts.compare ? "out of tolerance" : "changed"}`;
  const cosine = typeof stage.cosine === "number" ? `cosine ${stage.cosine.toFixed(8)}` : "";
  const own = stage.own_error ? `an error of its own${stage.cause && `: ${stage.cause}`}` : "";
  return [out, part("rms", stage.rms), cosine, stage.note, own].filter(Boolean).join(" · ");
}

const part = (name: string, value: number | string | null): string => (typeof value === "number" ? `${name} ${numbers.size(value)}` : "");

/** The chosen cell: both numbers and their difference. */
function Values({ left, right, differences }: Sheets) {
  const at = state.cell.value;
  const address = state.addressOf(at);
  const [one, other] = [left, right].map((run) => state.tiles.at(run, at.stage, at.row, at.column));
  const words = differences?.words.map((side) => side[`${at.row},${at.column}`]) ?? [];
  const said = (value: number | undefined, word: string | undefined): string => word ?? (value === undefined ? "" : numbers.long(value));
  const between = one === undefined || other === undefined ? undefined : difference(one, other);
  const shownDifference = between === undefined ? "" : Number.isFinite(between) ? numbers.difference(between) : "≠";
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
      <div class="spoken" aria-live="polite">
        left: {described(left, at.stage, at.row, at.column)}; right: {said(other, words[1])}; difference: {shownDifference}
      </div>
      <span>
        <i>left</i> <b class="left">{said(one, words[0])}</b>
      </span>
      <span>
        <i>right</i> <b class="right">{said(other, words[1])}</b>
      </span>
      <span>
        <i>difference</i> <b class={classes("between", between !== 0 && "wrong")}>{shownDifference}</b>
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
  const keys = state.keysOf(right);
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
        {...(step?.byHead ? { bordered: (column: number) => column > 0 && column % keys === 0 } : {})}
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
function looks(props: SideProps): (row: number, column: number) => CellLook {
  const { which, stage, left, right, differences } = props;
  const words: readonly Contents[] = differences?.words ?? [];
  const out = new Set(differences?.worst.map(String));
  return (row, column) => {
    const [one, other] = [left, right].map((run) => state.tiles.at(run, stage.stage, row, column));
    if (one === undefined || other === undefined) return { text: "", classes: "unknown" };
    const [ofLeft, ofRight] = words.map((side) => side[`${row},${column}`]);
    const between = difference(one, other) || (out.has(`${row},${column}`) ? NaN : 0); // two error values, say
    if (which === "difference") return differenceLook(between, numbers.isMasked(one), differences?.end ?? 1);
    return which === "left" ? valueLook(stage, one, ofLeft) : valueLook(stage, other, ofRight);
  };
}

/** word: what stands there where it is no number. */
function valueLook(stage: StageDiff, value: number, word: string | undefined): CellLook {
  const theme = state.theme.value;
  const text = word ?? numbers.cell(value, DECIMALS);
  if (word !== undefined || numbers.isMasked(value)) return { text, classes: "masked" };
  if (!Number.isFinite(value)) return { text, classes: "unlike" };
  return filled(text, value, stepOf(state.facts, stage.stage)?.shares ? share(theme, value) : diverging(theme, value, stage.end));
}

function differenceLook(value: number, isMasked: boolean, end: number): CellLook {
  if (!Number.isFinite(value)) return { text: "≠", classes: "unlike" };
  if (isMasked) return { text: "0", classes: "masked" };
  return filled(numbers.difference(value), value, diverging(state.theme.value, value, end));
}

function filled(text: string, value: number, fill: Rgb): CellLook {
  if (value === 0) return { text, style: { background: css(fill) }, classes: "zero" };
  return { text, style: { background: css(fill), color: inkOn(state.theme.value, fill) } };
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
