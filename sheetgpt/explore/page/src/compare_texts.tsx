/** What is said of a stage that has no numbers to show: both tables of texts, or why it is not compared. */
import type { Sheets } from "./comparison";
import { classes } from "./grid";
import type { TextTable } from "./source";
import { shown } from "./tokens";

export function Said({ comparison, stage, differences }: Sheets) {
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
