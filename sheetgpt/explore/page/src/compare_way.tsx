/** At the left of a comparison: each stage with its verdict, its largest difference and a picture of the differences. */
import { useEffect, useRef } from "preact/hooks";
import { classes } from "./grid";
import * as numbers from "./numbers";
import { DifferencePicture } from "./paint";
import type { Comparison, StageDiff } from "./source";
import * as state from "./state";

const MARKS = { equal: "=", different: "≠", missing: "–" } as const;

export function CompareWay({ comparison, onKeyDown }: { readonly comparison: Comparison; readonly onKeyDown: (event: KeyboardEvent) => void }) {
  const chosen = state.cell.value.stage;
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => keepInView(list.current!, list.current!.querySelector("[aria-selected=true]")), [chosen]);
  return (
    <nav class="way compare-way" aria-label="stages with verdicts">
      <div class="way-head">
        <span>stage</span>
        <i>largest difference</i>
      </div>
      <div ref={list} role="listbox" aria-label="stages" tabIndex={0} aria-activedescendant={`compared-${chosen}`} onKeyDown={onKeyDown}>
        {comparison.stages.map((one) => (
          <Line key={one.stage} stage={one} chosen={one.stage === chosen} first={one.stage === comparison.first} />
        ))}
      </div>
    </nav>
  );
}

function Line({ stage, chosen, first }: { readonly stage: StageDiff; readonly chosen: boolean; readonly first: boolean }) {
  const { verdict, picture } = stage;
  const size = typeof stage.largest_difference === "number" ? stage.largest_difference : null;
  return (
    <div
      role="option"
      id={`compared-${stage.stage}`}
      aria-selected={chosen ? "true" : "false"}
      aria-label={`${stage.stage}, ${verdict}${first ? ", diverges first" : ""}`}
      data-verdict={verdict}
      class={classes("way-line", chosen && "chosen", verdict, first && "first")}
      title={[stage.title, stage.note, stage.cause].filter(Boolean).join(": ")}
      onClick={() => state.chooseStage(stage.stage)}
    >
      <span class="verdict">{MARKS[verdict]}</span>
      <span class="title">{stage.stage}</span>
      <span class="largest">{verdict === "missing" ? stage.note : size === null ? (stage.largest_difference === null ? "" : "∞") : numbers.size(size)}</span>
      {verdict !== "missing" && <span class="pictures">{picture && size !== 0 ? <DifferencePicture picture={picture} end={size ?? picture.end} /> : null}</span>}
    </div>
  );
}

/** Scrolls the list alone: on a phone the whole page would scroll to it. */
function keepInView(list: HTMLElement, line: Element | null): void {
  if (!line) return;
  const [box, at] = [list.getBoundingClientRect(), line.getBoundingClientRect()];
  list.scrollTop += Math.min(0, at.top - box.top) + Math.max(0, at.bottom - box.bottom);
}
