/** Beside the sheet: the ten best, where the chosen number comes from and goes, what the token looks at, what changed. */
import { command, python } from "./edits";
import { toClipboard } from "./clipboard";
import { css, inkOn, share } from "./colours";
import { LensLinks } from "./lens_links";
import * as numbers from "./numbers";
import { nth, here, rest, running, type Found } from "./origin";
import type { Region, Run } from "./source";
import * as state from "./state";
import { inNames } from "./terms";
import { shown } from "./tokens";
import { columnLabels, rowLabels, shortOf, stepOf } from "./labels";

export function Inspector() {
  const run = state.run.value?.done ? state.run.value : state.shownRun.value;
  const found = here.value;
  if (!run) return <aside class="inspector" />;
  const hasChanges = run.asked.sets.length > 0;
  const isSum = found?.terms?.sum?.right;
  return (
    <aside class="inspector" aria-label="inspector" data-open={state.drawer.value}>
      {isSum && !hasChanges && found ? <WhereFrom found={found} /> : null}
      {(!isSum || hasChanges) && <Best run={run} />}
      {hasChanges && <Changes run={run} />}
      {hasChanges && <Travelled run={run} />}
      {found && (!isSum || hasChanges) && <WhereFrom found={found} />}
      {found && <WhereTo found={found} />}
      {isSum && !hasChanges && <Best run={run} />}
      <LooksAt run={run} />
      <LensLinks />
    </aside>
  );
}

function Best({ run }: { readonly run: Run }) {
  const hasBefore = run.best.some((one) => one.before);
  const most = Math.max(...run.best.map((one) => one.probability), 0);
  const count = run.best.length;
  return (
    <section>
      <h2>
        The {count === 10 ? "ten" : count} best {hasBefore ? "before and after" : "next tokens"} <i>of {state.facts.model.n_vocab.toLocaleString("en")}</i>
      </h2>
      <table class="best">
        <thead>
          <tr>
            <th />
            {hasBefore ? (
              <>
                <th>before</th>
                <th colSpan={2}>after</th>
                <th>rank</th>
              </>
            ) : (
              <>
                <th />
                <th>logit</th>
                <th>probability</th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {run.best.map((one) => (
            <tr key={one.id}>
              <td class="token" title={`id ${one.id}`}>
                <button onClick={() => toLogit(one.id)}>{shown(one.token)}</button>
              </td>
              {hasBefore ? (
                <>
                  <td>{one.before ? numbers.percent(one.before.probability) : ""}</td>
                  <td class="bar">
                    <span style={{ width: `${(100 * one.probability) / most}%` }} />
                  </td>
                  <td>{numbers.percent(one.probability)}</td>
                  <td>
                    {one.before?.rank}→{one.rank}
                  </td>
                </>
              ) : (
                <>
                  <td class="bar">
                    <span style={{ width: `${(100 * one.probability) / most}%` }} />
                  </td>
                  <td>{numbers.cell(one.logit, 3)}</td>
                  <td>{numbers.percent(one.probability)}</td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function toLogit(id: number): void {
  const logits = state.facts.steps.find((step) => step.role === "LOGITS");
  if (logits) state.go(`${logits.name}[${id},0]`);
}

// ------------------------------------------------------------------------------------------------ where from, where to

/** What a place in a region is called: its dimension, token or key. */
function placeOf(run: Run, region: Region | null, i: number): string {
  if (!region) return String(i);
  const at = nth(region, i);
  const step = stepOf(state.facts, at.stage);
  if (region.columns > 1) {
    const label = columnLabels(step, run, state.shapeOf(at.stage, run)[1], state.facts.model.n_head, state.vocabulary.value).label(at.column);
    return label.token || String(label.number);
  }
  const weight = state.facts.weights.find((one) => one.name === at.stage);
  const label = rowLabels(step?.rows ?? weight?.counts ?? null, run, state.vocabulary.value).label(at.row);
  return label.token || String(label.number);
}

const nameOf = (region: Region | null, fallback: string): string => (region ? shortOf(state.facts, region.stage).replace(/_/g, " ") : fallback);

function WhereFrom({ found }: { readonly found: Found }) {
  const terms = found.terms;
  if (!terms) return null;
  const { sum } = terms;
  const addends = terms.numbers.filter((one) => one.addend);
  const others = terms.numbers.filter((one) => !one.addend);
  return (
    <section class="where-from">
      <h2>
        Where it comes from <i>{sum ? `${sum.count} ${sum.what}${sum.count === 1 ? "" : "s"}${addends.length ? ` + ${addends.map((one) => one.name).join(" + ")}` : ""}` : ""}</i>
      </h2>
      {others.length > 0 && <Numbers numbers={others} />}
      {sum && sum.count > 1 && <Summands found={found} />}
      {(!sum || sum.count === 1) && addends.length > 0 && <Numbers numbers={[...addends, { name: "sum", value: terms.value, addend: true, cells: null }]} />}
      <p class="formula-text" title={terms.formula}>
        = {inNames(terms.formula, sum).replace(/_/g, " ")}
      </p>
      {state.editAt(found) && <p class="note">Typed over: its inputs make {numbers.long(terms.value)}.</p>}
    </section>
  );
}

function Numbers({ numbers: list }: { readonly numbers: readonly { readonly name: string; readonly value: number; readonly cells: Region | null }[] }) {
  return (
    <table class="terms">
      <tbody>
        {list.map((one) => (
          <tr key={one.name} class={one.name === "sum" ? "sum" : ""}>
            <td>{one.cells ? <Link region={one.cells} text={one.name.replace(/_/g, " ")} /> : one.name.replace(/_/g, " ")}</td>
            <td>{numbers.short(one.value, 6)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The largest summands, the rest, what is added, the sum; each with a bar that begins where the last ended. */
function Summands({ found }: { readonly found: Found }) {
  const sum = found.terms!.sum!;
  const addends = found.terms!.numbers.filter((one) => one.addend);
  const isSumOfAll = found.terms!.formula.split(" + ").every((part) => part === "{sum}" || addends.some((one) => part === `{${one.name}}`));
  const smaller = sum.count - sum.largest.length;
  const labelled = sum.left && (stepOf(state.facts, sum.left.stage) || !sum.right) ? sum.left : sum.right ?? sum.left;
  const rows = [
    ...sum.largest.map((one) => ({ key: String(one.index), label: placeOf(found.run, labelled, one.index), left: one.left, right: one.right, value: one.value, index: one.index, region: sum.left && nth(sum.left, one.index) })),
    ...(smaller > 0 ? [{ key: "rest", label: `${smaller} smaller`, left: null, right: null, value: rest(sum.total, sum.largest), index: null, region: null }] : []),
    ...(isSumOfAll ? addends.map((one) => ({ key: one.name, label: one.name, left: null, right: null, value: one.value, index: null, region: one.cells })) : []),
  ];
  const total = isSumOfAll ? found.terms!.value : sum.total;
  const bars = running(rows);
  const [low, high] = [Math.min(0, total, ...bars.map((bar) => bar.to)), Math.max(0, total, ...bars.map((bar) => bar.to))];
  const place = (from: number, to: number) => ({ left: `${(100 * (Math.min(from, to) - low)) / (high - low || 1)}%`, width: `${(100 * Math.abs(to - from)) / (high - low || 1)}%` });
  const hasRight = sum.right !== null;
  return (
    <table class="terms">
      <thead>
        <tr>
          <th />
          <th>{nameOf(sum.left, "left")}</th>
          {hasRight && <th>{nameOf(sum.right, "right")}</th>}
          {hasRight && <th>{sum.what}</th>}
          <th class="path" />
        </tr>
      </thead>
      <tbody>
        {rows.map((row, i) => (
          <tr key={row.key} class={row.index !== null && row.index === state.hovered.value ? "hovered" : ""} onMouseEnter={() => (state.hovered.value = row.index)} onMouseLeave={() => (state.hovered.value = null)}>
            <td class="token" colSpan={row.left === null ? (hasRight ? 3 : 1) : 1}>
              {row.region ? <Link region={row.region} text={row.label} /> : row.label}
            </td>
            {row.left !== null && hasRight && <td>{numbers.short(row.left)}</td>}
            {row.left !== null && hasRight && <td>{row.right === null ? "" : numbers.short(row.right)}</td>}
            <td>{numbers.short(row.value)}</td>
            <td class="path">
              <div>
                <span class={row.value < 0 ? "negative" : ""} style={place(bars[i]!.from, bars[i]!.to)} />
              </div>
            </td>
          </tr>
        ))}
        <tr class="sum">
          <td colSpan={hasRight ? 3 : 1}>sum</td>
          <td>{numbers.short(total)}</td>
          <td class="path">
            <div>
              <span class="total" style={place(0, total)} />
            </div>
          </td>
        </tr>
      </tbody>
    </table>
  );
}

function Link({ region, text }: { readonly region: Region; readonly text: string }) {
  return <button onClick={() => state.choose({ stage: region.stage, row: region.row, column: region.column })}>{text}</button>;
}

function WhereTo({ found }: { readonly found: Found }) {
  const list = found.dependents.slice(0, 6);
  return (
    <section>
      <h2>Where it goes</h2>
      {list.length === 0 && <p class="note">Nothing is computed from it.</p>}
      <table class="terms">
        <tbody>
          {list.map((region, i) => {
            const count = region.rows * region.columns;
            return (
              <tr key={i}>
                <td>
                  <Link region={region} text={state.addressOf(region)} />
                </td>
                <td>{count === 1 ? "one cell" : `${count.toLocaleString("en")} cells`}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

// ------------------------------------------------------------------------------------------------ what tokens look at

/** What the chosen row's token looks at, by head, in the block in view. */
function LooksAt({ run }: { readonly run: Run }) {
  const at = state.cell.value;
  const block = state.step.value?.block ?? Math.max(-1, ...state.facts.steps.map((step) => step.block ?? -1));
  const step = state.facts.steps.find((one) => one.block === block && one.shares && one.byHead);
  if (!step || !run.stages.has(step.name)) return null;
  const row = state.step.value?.rows === "tokens" ? at.row : run.tokens.length - 1;
  const keys = run.tokens.length;
  const theme = state.theme.value;
  const heads = Math.min(step.groups, 6);
  const from = Math.max(0, Math.min(row, keys - 1) - 19);
  return (
    <section>
      <h2>
        What {shown(run.tokens[row] ?? "")} looks at{" "}
        <i>
          block {block}, {heads < step.groups ? `${heads} of ` : ""}
          {step.groups} heads
        </i>
      </h2>
      <table class="looks">
        <thead>
          <tr>
            <th />
            {Array.from({ length: heads }, (_, head) => (
              <th key={head}>head {head}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {run.tokens.slice(from, row + 1).map((token, i) => (
            <tr key={i}>
              <td class="token">{shown(token)}</td>
              {Array.from({ length: heads }, (_, head) => {
                const value = state.tiles.at(run, step.name, row, head * keys + from + i);
                const fill = share(theme, value ?? 0);
                return (
                  <td key={head} style={{ background: css(fill), color: inkOn(theme, fill) }} onClick={() => state.go(`${step.name}[${head},${row},${from + i}]`)}>
                    {value === undefined ? "" : numbers.cell(value, 2)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

// ------------------------------------------------------------------------------------------------ changes

function Changes({ run }: { readonly run: Run }) {
  const list = state.edits.value;
  const texts = [{ prompt: run.prompt, ids: run.ids, facts: state.facts }, list] as const;
  return (
    <section class="changes">
      <h2>
        Changes <i>{list.length}</i>
      </h2>
      {list.map((one) => (
        <div class="edit" key={one.text}>
          <button class="link" onClick={() => state.go(one.cell ? state.addressOf(one.cell) : one.stage)}>
            {one.cell ? state.addressOf(one.cell) : one.text}
          </button>
          <span>
            {one.cell && <s>{old(run, one.cell)}</s>} <b>{one.value === null ? "" : numbers.short(one.value, 6)}</b>
          </span>
          <button class="remove" aria-label={`undo ${one.text}`} onClick={() => state.reset([one])}>
            ×
          </button>
        </div>
      ))}
      <pre>{list.map((one) => `--set "${one.text}"`).join("\n")}</pre>
      <div class="actions">
        <button onClick={() => void toClipboard(command(...texts))}>Copy command</button>
        <button onClick={() => void toClipboard(python(...texts))}>Copy Python</button>
        <button onClick={() => void save(run)}>Workbook</button>
      </div>
    </section>
  );
}

function old(run: Run, at: { stage: string; row: number; column: number }): string {
  const value = run.before ? state.tiles.at(run.before, at.stage, at.row, at.column) : undefined;
  return value === undefined ? "" : numbers.short(value);
}

/** The run as a workbook, downloaded. */
async function save(run: Run, live = false): Promise<void> {
  const wanted = state.getSource().workbook(run, live);
  if (!wanted) return void (state.complaint.value = { at: "page", text: "This page is a file and writes no workbooks: `sheetgpt run --dump-xlsx` with the copied command does." });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await wanted);
  link.download = "run.xlsx";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function Travelled({ run }: { readonly run: Run }) {
  const most = Math.max(...run.travel.map((one) => one.largest_change), 1e-300);
  return (
    <section>
      <h2>
        How far it travelled <i>largest change</i>
      </h2>
      <table class="terms">
        <tbody>
          {run.travel.map((one) => (
            <tr key={one.part}>
              <td>{one.part}</td>
              <td>{numbers.short(one.largest_change)}</td>
              <td class="bar">
                <span class="changed" style={{ width: `${100 * (Number.isFinite(one.largest_change) ? one.largest_change / most : 1)}%` }} />
              </td>
              <td>{one.largest_change > 0 && <button onClick={() => state.chooseStage(one.stage)}>{one.stage}</button>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
