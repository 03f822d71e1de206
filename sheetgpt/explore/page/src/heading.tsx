/** Above the sheet: which stage it is, the name box, the value and the formula; below it: shape and statistics. */
import { css, diverging, share } from "./colours";
import { classes } from "./grid";
import { stepOf } from "./labels";
import * as numbers from "./numbers";
import { byValue, isSortable } from "./order";
import { here } from "./origin";
import { begin, commit, editing } from "./sheet";
import * as state from "./state";
import { shown } from "./tokens";
import type { Show } from "./state";
import { weightInfo } from "./weight_info";

const SHOWS: readonly Show[] = ["numbers", "colours", "both"];

export function Heading() {
  const [step, weight, name] = [state.step.value, state.weight.value, state.cell.value.stage];
  const block = step?.block ?? weight?.block ?? null;
  const title = step?.title ?? "weight";
  return (
    <header class="heading">
      <h1>
        {block === null ? "" : <span class="block">block {block} · </span>}
        {title}
      </h1>
      <span class="stage">{name}</span>
      <span class="space" />
      {isSortable(step) && (
        <span class="buttons" role="radiogroup" aria-label="the order of rows">
          {[true, false].map((sorted) => (
            <button key={String(sorted)} role="radio" aria-checked={byValue.value === sorted} class={classes(byValue.value === sorted && "on")} onClick={() => (byValue.value = sorted)}>
              {sorted ? "by value" : "by id"}
            </button>
          ))}
        </span>
      )}
      <span class="buttons" role="radiogroup" aria-label="what cells show">
        {SHOWS.map((one) => (
          <button key={one} role="radio" aria-checked={state.show.value === one} class={classes(state.show.value === one && "on")} onClick={() => (state.show.value = one)}>
            {one}
          </button>
        ))}
      </span>
      <span class="buttons">
        <button aria-label="fewer decimals" disabled={state.decimals.value <= 1} onClick={() => state.decimals.value--}>
          .0
        </button>
        <button aria-label="more decimals" disabled={state.decimals.value >= 6} onClick={() => state.decimals.value++}>
          .00
        </button>
      </span>
    </header>
  );
}

export function FormulaBar() {
  const [run, at, step] = [state.run.value, state.cell.value, state.step.value];
  if (!run) return null;
  const address = state.addressOf(at);
  const value = state.tiles.at(run, at.stage, at.row, at.column);
  const typed = state.editAt(at);
  const found = here.value;
  const formula = step ? found?.formula ?? "" : "learned, not computed";
  const isText = step?.isGiven || step?.role === "PREDICTION";
  const complaint = state.complaint.value;
  const leave = (event: KeyboardEvent & { currentTarget: HTMLInputElement }): void => {
    event.stopPropagation();
    if (event.key === "Escape") event.currentTarget.value = address;
    if (event.key === "Escape" || (event.key === "Enter" && reach(event.currentTarget.value))) event.currentTarget.blur();
  };
  return (
    <>
      <div class="formula-bar">
        <input id="name-box" class="name" aria-label="name box: go to a stage or cell" spellcheck={false} key={address} defaultValue={address} onFocus={(event) => event.currentTarget.select()} onKeyDown={leave} />
        <input
          id="value-box"
          class={classes("value", typed && "typed")}
          aria-label="value"
          inputMode="decimal"
          readOnly={isText || state.facts.readOnly !== null}
          value={editing.value ?? (isText || value === undefined ? "" : numbers.long(value))}
          onInput={(event) => (editing.value === null ? begin(event.currentTarget.value, false) : (editing.value = event.currentTarget.value))}
          onKeyDown={(event) => {
            if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
            if (event.key === "Escape") editing.value = null;
            if (event.key === "Escape" || (event.key === "Enter" && commit())) event.currentTarget.blur();
          }}
          onBlur={() => commit()}
        />
        <span class="formula">
          <i>fx</i> {typed ? <b>typed over</b> : null} <span title={formula}>{formula}</span>
        </span>
      </div>
      <div class="words">
        <i>{step?.words ?? (state.weight.value ? `${state.weight.value.use}` : "")}</i>
        <span title="the cell of the live workbook">{state.inWorkbook(at)}</span>
      </div>
      {complaint && complaint.at === "cell" && (
        <div class="complaint" role="alert">
          {complaint.text}
        </div>
      )}
    </>
  );
}

function reach(text: string): boolean {
  const found = state.go(text);
  if (!found) state.complaint.value = { at: "cell", text: `There is no cell ${JSON.stringify(text)}: type a stage's name, STAGE[ROW,COLUMN], or a cell of the live workbook${state.inWorkbook(state.cell.value) ? ` such as ${state.inWorkbook(state.cell.value)}` : ""}.` };
  return found;
}

export function Statistics() {
  const at = state.cell.value;
  const weight = state.weight.value;
  const ofStage = state.infoOf(at.stage).info;
  const info = weight ? weightInfo(weight.name) : ofStage;
  const step = state.step.value;
  const theme = state.theme.value;
  if (!info) return null;
  const { rows, columns } = weight ?? ofStage!;
  const { least, mean, greatest, deviation, bins } = info.statistics;
  const most = Math.max(1, ...bins);
  const change = ofStage?.change;
  const ends = step?.shares ? ["0", "1"] : [numbers.short(-info.end, 1), `+${numbers.short(info.end, 1)}`];
  const stops = [-1, -0.5, 0, 0.5, 1].map((part) => css(step?.shares ? share(theme, (part + 1) / 2) : diverging(theme, part, 1)));
  const here = state.edits.value.filter((edit) => edit.stage === at.stage);
  const sums = step?.shares ? broken(at.stage) : null;
  return (
    <div class="statistics">
      <b>
        {rows} × {columns}
      </b>
      {here.length > 0 ? (
        <span>
          <b>{here.length}</b> typed over{sums}
        </span>
      ) : (
        <>
          <span>
            least <b>{numbers.short(least)}</b>
          </span>
          <span>
            mean <b>{numbers.short(mean)}</b>
          </span>
          <span>
            greatest <b>{numbers.short(greatest)}</b>
          </span>
          <span>
            sd <b>{numbers.short(deviation)}</b>
          </span>
          <svg class="histogram" width="120" height="18" role="img" aria-label="histogram of the values">
            {bins.map((count, i) => (
              <rect key={i} x={i * 3} width={2.4} y={18 - (17 * count) / most - (count ? 1 : 0)} height={(17 * count) / most + (count ? 1 : 0)} />
            ))}
          </svg>
        </>
      )}
      {change && (
        <span>
          largest change <b>{numbers.short(change.largest)}</b>
        </span>
      )}
      <span class="space" />
      <span class="legend">
        {ends[0]} <i style={{ background: `linear-gradient(90deg, ${stops.join(",")})` }} /> {ends[1]}
      </span>
    </div>
  );
}

/** What typed shares no longer add up to. */
function broken(stage: string): string {
  const run = state.run.value!;
  const step = stepOf(state.facts, stage)!;
  const typed = state.edits.value.filter((edit) => edit.stage === stage && edit.cell);
  const keys = state.shapeOf(stage)[1] / step.groups;
  const found = new Set<string>();
  for (const { cell } of typed) {
    const head = Math.floor(cell!.column / keys);
    let sum = 0;
    for (let key = 0; key < keys; key++) sum += state.tiles.at(run, stage, cell!.row, head * keys + key) ?? NaN;
    if (Math.abs(sum - 1) > 1e-9) found.add(`, head ${head} of ${shown(run.tokens[cell!.row] ?? "")} adds up to ${numbers.short(sum)}`);
  }
  return [...found].join("");
}
