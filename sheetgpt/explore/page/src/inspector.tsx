/** Beside the sheet: the ten best, where the chosen number comes from and goes, what the token looks at, what changed. */
import { Changes, Travelled } from "./inspector_changes";
import { LooksAt } from "./inspector_looks";
import { WhereFrom, WhereTo } from "./inspector_origin";
import { LensLinks } from "./lens_links";
import * as numbers from "./numbers";
import { here } from "./origin";
import type { Run } from "./source";
import * as state from "./state";
import { shown } from "./tokens";

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
