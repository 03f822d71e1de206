/** The run: the way at the left, the chosen sheet, and beside it what its numbers are made of. */
import { FormulaBar, Heading, Statistics } from "./heading";
import { Inspector } from "./inspector";
import { Keys } from "./keys";
import { Sheet } from "./sheet";
import * as state from "./state";
import { Strips } from "./strips";
import { Way } from "./way";

const MOST_FITTING = 14; // rows of a sheet that leaves room below

export function Explore() {
  const [rows] = state.shapeOf(state.cell.value.stage);
  const fits = rows <= MOST_FITTING;
  return (
    <div class="explore">
      <Way />
      <main class={fits ? "middle fits" : "middle"}>
        <Heading />
        <FormulaBar />
        <div class="main-sheet">
          <Sheet fit={fits} />
        </div>
        <Statistics />
        <button class="drawer-button" onClick={() => (state.drawer.value = !state.drawer.value)}>
          {state.drawer.value ? "Close" : "Where from"}
        </button>
        {fits && <Strips />}
        <Keys />
      </main>
      <Inspector />
    </div>
  );
}
