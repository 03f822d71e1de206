/** Beside the sheet: what the chosen row's token looks at, by head. */
import { css, inkOn, share } from "./colours";
import * as numbers from "./numbers";
import type { Run } from "./source";
import * as state from "./state";
import { shown } from "./tokens";

/** What the chosen row's token looks at, by head, in the block in view. */
export function LooksAt({ run }: { readonly run: Run }) {
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
