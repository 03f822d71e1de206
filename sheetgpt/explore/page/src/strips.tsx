/** Below a sheet that leaves room: what the chosen cell is made of and goes into, as pictures or as sheets beside it. */
import { Grid } from "./grid";
import { columnLabels, rowLabels, shortOf, stepOf, weightOf } from "./labels";
import * as numbers from "./numbers";
import { nth, here, stagesOf, type Found } from "./origin";
import { Thumbnail } from "./paint";
import { looks, ROW, widthOf } from "./sheet";
import type { Region, Run } from "./source";
import * as state from "./state";
import { shown } from "./tokens";
import { px } from "./px";

const MOST_LABELLED = 12; // rows of a strip that stand beside it by name
const LONG_STRIP = 120; // px of one that has more
const STRIP_ROW = 17;
const MOST_STRIPS = 3;
const CHANGE = "change of";

export function Strips() {
  const run = state.run.value;
  const found = here.value;
  if (!run) return null;
  if (run.asked.sets.length) return <Changes run={run} />;
  if (!found) return null;
  const sum = found.terms?.sum;
  if (sum?.left && sum.right && sum.count > 1) return <Factors run={run} found={found} left={sum.left} right={sum.right} />;
  const made = stagesOf(found.precedents);
  const goes = stagesOf(found.dependents);
  const beside = goes.flatMap((name) => stepOf(state.facts, name)?.inputs ?? []).filter((name) => name !== found.stage && run.stages.has(name));
  const strips = [
    ...made.map((name) => ({ name, how: "made of", regions: found.precedents })),
    ...goes.map((name) => ({ name, how: "goes into", regions: found.dependents })),
    ...[...new Set(beside)].map((name) => ({ name, how: "with", regions: [] as readonly Region[] })),
  ].filter(({ name }) => run.stages.has(name));
  return (
    <div class="strips">
      {strips.slice(0, MOST_STRIPS).map((strip) => (
        <Strip key={strip.how + strip.name} run={run} {...strip} />
      ))}
    </div>
  );
}

function StripHead({ how, name, note }: { readonly how: string; readonly name: string; readonly note?: string }) {
  const step = stepOf(state.facts, name);
  const [rows, columns] = state.shapeOf(name);
  return (
    <div class="strip-head">
      <span class="how">{how}</span>
      <button class="stage" onClick={() => state.chooseStage(name)}>
        {name}
      </button>
      <span>{step?.title ?? "weight"}</span>
      <span>{note ?? `${rows} × ${columns}`}</span>
      <i>{step?.words ?? ""}</i>
    </div>
  );
}

/** A stage as a picture with its tokens, and the cells that are meant outlined. */
function Strip({ run, how, name, regions, note }: { readonly run: Run; readonly how: string; readonly name: string; readonly regions: readonly Region[]; readonly note?: string }) {
  const step = stepOf(state.facts, name);
  const { info, stale } = state.infoOf(name);
  if (!info || !step) return null;
  const label = rowLabels(step.rows, run, state.vocabulary.value).label;
  const heads = step.byHead ? step.groups : 0;
  const isLying = info.picture.height !== info.rows && info.rows > info.columns;
  const length = isLying ? info.rows : info.columns;
  const isLong = !isLying && info.rows > MOST_LABELLED;
  const height = isLying ? STRIP_ROW : isLong ? LONG_STRIP : STRIP_ROW * info.rows;
  const ticks = heads ? Array.from({ length: heads }, (_, i) => [i / heads, `head ${i}`] as const) : [0, 0.25, 0.5, 0.75, 1].map((part) => [part, String(Math.min(length - 1, Math.round(part * length)))] as const);
  return (
    <section class="strip">
      <StripHead how={how} name={name} {...(note ? { note } : {})} />
      <div class="strip-body">
        <div class="strip-labels">
          {isLying || isLong ? <span style={px({ height: STRIP_ROW })}>{info.rows} {isLying ? "ids" : "rows"}</span> : Array.from({ length: info.rows }, (_, row) => <span key={row} style={px({ height: STRIP_ROW })}>{label(row).token || label(row).number}</span>)}
        </div>
        <button class="strip-picture" aria-label={`look at ${name}`} style={px({ height })} onClick={() => state.chooseStage(name)}>
          <Thumbnail info={info} step={step} className="strip-canvas" stale={stale} changesOnly={how === CHANGE} />
          {regions
            .filter((region) => region.stage === name && !isLying)
            .map((region, i) => (
              <span key={i} class="outline" style={{ left: `${(100 * region.column) / info.columns}%`, width: `${(100 * region.columns) / info.columns}%`, top: `${(100 * region.row) / info.rows}%`, height: `${(100 * region.rows) / info.rows}%` }} />
            ))}
        </button>
      </div>
      <div class="strip-ticks">
        {ticks.map(([part, text]) => (
          <span key={part} style={{ left: `${100 * part}%` }} class={part === 1 ? "last" : ""}>
            {text}
          </span>
        ))}
      </div>
    </section>
  );
}

/** The two sides of a sum of products as sheets: the row, and the column it meets, scrolled to the largest product. */
function Factors({ run, found, left, right }: { readonly run: Run; readonly found: Found; readonly left: Region; readonly right: Region }) {
  const sum = found.terms!.sum!;
  const index = state.hovered.value ?? sum.largest[0]?.index ?? 0;
  const isColumn = right.rows > 1;
  return (
    <div class="factors">
      <FactorSheet run={run} region={left} how="made of" index={index} height={51 + 17} />
      <FactorSheet run={run} region={right} how="times" index={index} {...(isColumn ? { beside: left } : {})} />
    </div>
  );
}

function FactorSheet({ run, region, how, index, height, beside }: { readonly run: Run; readonly region: Region; readonly how: string; readonly index: number; readonly height?: number; readonly beside?: Region }) {
  const name = region.stage;
  const step = stepOf(state.facts, name);
  const weight = weightOf(state.facts, name);
  const [rows, columns] = state.shapeOf(name, run);
  const at = nth(region, index);
  const look = looks(run, name);
  const rowAxis = rowLabels(step?.rows ?? weight?.counts ?? null, run, state.vocabulary.value);
  const columnAxis = columnLabels(step, run, columns, state.facts.model.n_head, state.vocabulary.value);
  const note = region.rows > 1 ? `column ${region.column}, ${rows} × ${columns}` : `row ${region.row}${step && run.tokens[region.row] ? `, ${shown(run.tokens[region.row]!)}` : ""}`;
  const width = widthOf(state.decimals.value);
  const left = (row: number): string | null => {
    if (!beside || row < region.row || row >= region.row + region.rows) return null;
    const cell = nth(beside, row - region.row);
    const value = state.tiles.at(run, cell.stage, cell.row, cell.column);
    return value === undefined ? "" : `${numbers.cell(value, 3)} ×`;
  };
  const lines = beside ? [""] : columnAxis.names.slice(-1);
  return (
    <section class="factor" style={{ flex: height ? `0 0 ${height + 24}px` : "1" }}>
      <StripHead how={how} name={name} note={note} />
      <Grid
        id={`factor-${how === "times" ? "right" : "left"}`}
        name={`${how} ${name}`}
        rows={rows}
        columns={columns}
        rowHeight={height ? STRIP_ROW : ROW - 1}
        columnWidth={width}
        labelWidths={[46, 71]}
        rowNames={[rowAxis.names[0], beside ? `${shortOf(state.facts, beside.stage)} × w` : rowAxis.names[1]]}
        columnNames={lines}
        rowLabel={rowAxis.label}
        columnLabel={columnAxis.label}
        look={look}
        at={{ row: at.row, column: at.column }}
        marked={region.rows > 1 ? { column: region.column } : { row: region.row }}
        {...(beside ? { rowNote: left } : {})}
        height={height ?? "100%"}
        focusable={false}
        onPick={(row, column) => state.choose({ stage: name, row, column })}
        onHoverRow={beside ? (row) => (state.hovered.value = row === null ? null : row - region.row) : undefined!}
      />
    </section>
  );
}

/** After a change: where it arrived, block by block, and at the end. */
function Changes({ run }: { readonly run: Run }) {
  const chosen = state.cell.value.stage;
  const order = state.facts.steps.map((step) => step.name);
  const later = state.facts.steps.filter((step) => run.stages.get(step.name)?.change && order.indexOf(step.name) > order.indexOf(chosen));
  const heads = later.filter((step) => step.shares && step.byHead).at(-1);
  const ends = later.filter((step, i) => state.facts.stream.includes(step.name) && later[i + 1]?.block !== step.block);
  const rest = later.filter((step) => step.block === null && step.role !== "PREDICTION").slice(-2);
  const strips = [...new Set([...(heads ? [heads] : []), ...ends.slice(-2), ...rest])];
  return (
    <div class="strips">
      {strips.slice(0, 4).map((step) => (
        <Strip key={step.name} run={run} how={CHANGE} name={step.name} regions={[]} note={`largest ${numbers.short(run.stages.get(step.name)!.change!.largest)}`} />
      ))}
    </div>
  );
}
