/** Beside the sheet: what the chosen number is made of, term by term, and what it goes into. */
import * as numbers from "./numbers";
import { nth, rest, running, type Found } from "./origin";
import type { Region, Run } from "./source";
import * as state from "./state";
import { inNames } from "./terms";
import { columnLabels, rowLabels, shortOf, stepOf } from "./labels";

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

export function WhereFrom({ found }: { readonly found: Found }) {
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

export function WhereTo({ found }: { readonly found: Found }) {
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
