/** Keys that hold everywhere on the page, and the list of all. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { copy } from "./clipboard";
import { origin } from "./origin";
import { focusSheet } from "./sheet";
import * as state from "./state";
import { neighbour } from "./way";

const LIST: readonly (readonly [string, string])[] = [
  ["Arrows, Home, End, PgUp, PgDn", "move; with Ctrl to the end, with Shift select"],
  ["F2 or a digit", "type a value; Enter or Tab takes it, Esc leaves it"],
  ["Del", "the original number back"],
  ["Ctrl+C, Ctrl+V", "copy and paste, as a spreadsheet does"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"],
  ["[ and ]", "to what the cell is made of, to what it goes into; Alt+← goes back"],
  ["Alt+↑, Alt+↓", "the stage before, after"],
  ["Ctrl+G", "go to a stage, a cell, or a cell of the workbook"],
  ["Ctrl+F", "find a token or a value in the sheet"],
  ["?", "this list"],
];

const SHORT: readonly (readonly [string, string])[] = [
  ["F2", "type a value"],
  ["Ctrl+Z", "undo"],
  ["Ctrl+C", "copy"],
  ["[", "made of"],
  ["]", "goes into"],
  ["Alt+↑ Alt+↓", "stage"],
];

export function Keys() {
  return (
    <footer class="keys">
      {SHORT.map(([key, what]) => (
        <span key={key}>
          <b>{key}</b> {what}
        </span>
      ))}
      <span class="space" />
      <button onClick={() => (state.help.value = true)}>
        <b>?</b> all keys
      </button>
    </footer>
  );
}

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), [state.help.value]);
  if (!state.help.value) return null;
  const close = (): void => {
    state.help.value = false;
    focusSheet();
  };
  return (
      <dialog ref={dialog} aria-label="keys" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
        <h2>Keys</h2>
        <table>
          <tbody>
            {LIST.map(([key, what]) => (
              <tr key={key}>
                <th>{key}</th>
                <td>{what}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <button autofocus onClick={close}>
          Close
        </button>
      </dialog>
  );
}

/** Go to the first cell that the chosen one is made of, or goes into: where the largest term stands. */
function follow(way: "precedents" | "dependents"): void {
  const found = origin.value;
  if (!found) return;
  const source = way === "precedents" ? found.terms?.source ?? null : null;
  const stages = found[way].filter((region) => state.facts.steps.some((step) => step.name === region.stage));
  const region = source ?? stages[0] ?? found[way][0];
  if (region) state.choose({ stage: region.stage, row: region.row, column: region.column });
}

const isTyping = (event: Event): boolean => (event.target as HTMLElement).closest?.("input, textarea, select") !== null;

/** Listen to the keys of the whole page. */
export function listen(find: () => void): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const far = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const act = (what: () => unknown): void => {
      event.preventDefault();
      what();
    };
    if (far && key === "g") return act(() => document.querySelector<HTMLInputElement>("#name-box")?.focus());
    if (isTyping(event)) return;
    if (far && key === "z") return act(event.shiftKey ? state.redo : state.undo);
    if (far && key === "y") return act(state.redo);
    if (event.key === "?" && !far && !event.altKey) return act(() => (state.help.value = true));
    if (!state.hasSheet()) return;
    if (far && key === "f") return act(find);
    if (far && key === "c" && !getSelection()?.toString()) return act(copy);
    if (event.altKey && event.key === "ArrowUp") return act(() => neighbour(-1));
    if (event.altKey && event.key === "ArrowDown") return act(() => neighbour(1));
    if (far || event.altKey) return;
    if (event.key === "[") return act(() => follow("precedents"));
    if (event.key === "]") return act(() => follow("dependents"));
  });
}
