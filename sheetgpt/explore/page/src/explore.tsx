/** The run: the way at the left, the chosen sheet, and beside it what its numbers are made of. */
import type { ComponentChildren } from "preact";
import { FormulaBar, Heading, Statistics } from "./heading";
import { Inspector } from "./inspector";
import { Keys } from "./keys";
import { isSortable } from "./order";
import { Sheet } from "./sheet";
import * as state from "./state";
import { Strips } from "./strips";
import { Way } from "./way";

const MOST_FITTING = 14; // rows of a sheet that is as high as its rows

export const Explore = () => <WithSheet beside={<Inspector />} className="explore" />;

/** `beside`: what stands at the right of the sheet. */
export function WithSheet({ beside, className }: { readonly beside: ComponentChildren; readonly className: string }) {
  const [rows] = state.shapeOf(state.cell.value.stage);
  const fits = rows <= MOST_FITTING;
  const layout = fits ? "fits" : isSortable(state.step.value) ? "alone" : "halves";
  return (
    <div class={className}>
      <Way />
      <main class={`middle ${layout}`}>
        <Heading />
        <FormulaBar />
        <div class="main-sheet">
          <Sheet fit={fits} />
        </div>
        <Statistics />
        <button class="drawer-button" aria-expanded={state.drawer.value} onClick={() => (state.drawer.value = !state.drawer.value)}>
          {state.drawer.value ? "Close" : "Where from"}
        </button>
        {layout !== "alone" && <Strips />}
        <Keys />
      </main>
      {beside}
    </div>
  );
}
