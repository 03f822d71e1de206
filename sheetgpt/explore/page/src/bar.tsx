/** The top bar: the model, the prompt, the answer; undo and redo, the views, light and dark. */
import { useEffect, useRef } from "preact/hooks";
import { classes } from "./grid";
import { percent } from "./numbers";
import * as state from "./state";
import type { Comparison } from "./source";
import { shown } from "./tokens";
import { VIEWS } from "./views";

export function Bar() {
  const { model } = state.facts;
  const sizes = [model.n_layer && `${model.n_layer} block${model.n_layer === 1 ? "" : "s"}`, model.n_layer && `${model.n_head} head${model.n_head === 1 ? "" : "s"}`, model.n_embd && `${model.n_embd} dimensions`];
  return (
    <header class="top">
      <div class="brand">
        <b>sheetgpt</b> <span title={model.name}>{state.facts.steps.some((step) => step.block !== null) ? sizes.filter(Boolean).join(" · ") : model.kind}</span>
      </div>
      {state.facts.compare ? <Compared {...state.facts.compare} /> : <Prompt />}
      <Answer />
      <span class="space" />
      <div class="tools">
        <button aria-label="undo" title="undo (Ctrl+Z)" disabled={!state.canUndo.value} onClick={state.undo}>
          ↶
        </button>
        <button aria-label="redo" title="redo (Ctrl+Y)" disabled={!state.canRedo.value} onClick={state.redo}>
          ↷
        </button>
      </div>
      <nav class="views" aria-label="views">
        {VIEWS.filter((one) => one.isThere()).map((one) => (
          <button key={one.name} class={classes(state.view.value === one.name && "on")} aria-current={state.view.value === one.name ? "page" : undefined} onClick={() => (state.view.value = one.name)}>
            {one.title}
          </button>
        ))}
      </nav>
      <button class="theme" aria-label="light or dark" title="light or dark" onClick={state.turnTheme}>
        ◐
      </button>
    </header>
  );
}

/** What is compared, in place of a prompt. */
function Compared({ left, right }: Comparison) {
  return (
    <div class="sides">
      left <b title={left}>{left}</b> right <b title={right}>{right}</b>
    </div>
  );
}

function Prompt() {
  const box = useRef<HTMLInputElement>(null);
  const prompt = state.prompt.value;
  const ids = state.run.value?.ids ?? [];
  const byIds = !state.facts.model.hasText;
  const text = byIds || prompt === null ? ids.join(", ") : prompt.replace(/\n/g, "⏎");
  const complaint = state.complaint.value;
  useEffect(() => {
    if (box.current && document.activeElement !== box.current && complaint?.at !== "prompt") box.current.value = text;
  }, [text, complaint?.at]);
  const give = (now: boolean): void => {
    const typed = box.current!.value;
    const isIds = byIds || (prompt === null && /^[\d\s,]+$/.test(typed));
    if (!isIds) return state.type(typed.replace(/⏎/g, "\n"), now);
    const words = typed.split(/[\s,]+/).filter(Boolean);
    const wrong = words.find((word) => !/^\d{1,9}$/.test(word));
    if (wrong === undefined) state.type(null, now, words.map(Number));
    else state.complaint.value = { at: "prompt", text: `${JSON.stringify(wrong)} is no token id: ids are whole numbers such as 3, 1, 2.` };
  };
  return (
    <div class="prompt">
      <input
        ref={box}
        id="prompt"
        aria-label={byIds || prompt === null ? "token ids" : "prompt"}
        aria-invalid={complaint?.at === "prompt"}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        defaultValue={text}
        onInput={() => give(false)}
        onKeyDown={(event) => {
          if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
          if (event.key === "Enter") give(true);
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      {complaint?.at === "prompt" && (
        <div class="complaint" role="alert">
          {complaint.text}
        </div>
      )}
    </div>
  );
}

function Answer() {
  const run = state.run.value?.done ? state.run.value : state.shownRun.value;
  const best = run?.best[0];
  if (!run || !best) return null;
  const old = run.before?.best[0];
  return (
    <div class="answer" aria-live="polite">
      →{" "}
      {old && (
        <s>
          {shown(old.token)} {percent(old.probability)}
        </s>
      )}{" "}
      <b>{shown(best.token)}</b> <span>{percent(best.probability)}</span>
    </div>
  );
}
