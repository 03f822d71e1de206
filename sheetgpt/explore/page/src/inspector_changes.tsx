/** Beside the sheet: what was typed over, and how far the changes travelled. */
import { command, python } from "./edits";
import { toClipboard } from "./clipboard";
import * as numbers from "./numbers";
import type { Run } from "./source";
import * as state from "./state";

export function Changes({ run }: { readonly run: Run }) {
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

export function Travelled({ run }: { readonly run: Run }) {
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
