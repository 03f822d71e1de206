/** The whole page: the bar, the chosen view, and what lies over them. */
import { Bar } from "./bar";
import { Find } from "./find";
import { Help } from "./keys";
import { described } from "./sheet";
import * as state from "./state";
import { chosenView, VIEWS } from "./views";

export function App() {
  if (!state.run.value) return null;
  const View = chosenView().component;
  const complaint = state.complaint.value;
  return (
    <>
      <Bar />
      <div class="waiting" data-on={state.late.value} aria-busy={state.busy.value} />
      {complaint?.at === "page" && (
        <div class="complaint page" role="alert">
          {complaint.text}
        </div>
      )}
      <View />
      <nav class="tabs" aria-label="views">
        {VIEWS.filter((one) => one.isThere()).map((one) => (
          <button key={one.name} class={state.view.value === one.name ? "on" : ""} onClick={() => (state.view.value = one.name)}>
            {one.title}
          </button>
        ))}
      </nav>
      <Find />
      <Help />
      {state.view.value !== "compare" && <Spoken />}
    </>
  );
}

/** What a screen reader is told of the chosen cell. */
function Spoken() {
  const [run, at] = [state.run.value, state.cell.value];
  const isMatrix = run && (run.stages.has(at.stage) || state.weight.value) && state.step.value?.role !== "PREDICTION";
  return (
    <div class="spoken" aria-live="polite">
      {isMatrix ? described(run, at.stage, at.row, at.column) : ""}
    </div>
  );
}
