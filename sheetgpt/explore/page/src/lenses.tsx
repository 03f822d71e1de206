/** The lenses beside the sheet: what the run's numbers mean, each row leading to the stage it speaks of. */
import { useEffect, useRef } from "preact/hooks";
import { WithSheet } from "./explore";
import { classes } from "./grid";
import { LensTable, spaced } from "./lens_table";
import { isComplete, late, lens, LENSES, look, options, refusal, seen, setOption, waiting, type Field, type LensEntry, type LensName } from "./lens_state";
import * as state from "./state";
import { shown } from "./tokens";
import "./lenses.css";

const AFTER_KEY = 500; // ms from the last key in a field until the lens looks

export function Lenses() {
  return <WithSheet beside={<Panel />} className="explore with-lens" />;
}

function Panel() {
  const run = state.run.value?.done ? state.run.value : null;
  const [name, given] = [lens.value, options.value];
  const entry = LENSES.find((one) => one.name === name)!;
  const panel = useRef<HTMLElement>(null);
  const found = seen.value?.name === name ? seen.value : null;
  const stage = state.cell.value.stage;
  useEffect(() => {
    if (run) void look(run);
  }, [run?.id, name, given]);
  useEffect(() => panel.current?.querySelector("tr.here > th")?.scrollIntoView({ block: "nearest" }), [found, stage]);
  const isHeld = isComplete(name) && refusal.value === null;
  return (
    <aside ref={panel} class="lens" aria-label="lenses">
      <Head name={name} />
      <div class="waiting" data-on={late.value} />
      <p class="what">{entry.what}</p>
      <Fields key={name} entry={entry} />
      {refusal.value !== null && (
        <div class="complaint" role="alert">
          {refusal.value}
        </div>
      )}
      {found && isHeld && (
        <div class="lens-tables" data-stale={waiting.value || !run} aria-busy={waiting.value}>
          <p class="lens-facts">
            {(found.tables[0]?.facts ?? []).map(([fact, text]) => (
              <span key={fact}>
                <i>{fact}</i> {spaced(text)}
              </span>
            ))}
          </p>
          {found.tables.map((table) => (
            <LensTable key={table.title} table={table} />
          ))}
        </div>
      )}
    </aside>
  );
}

function Head({ name }: { readonly name: LensName }) {
  return (
    <header>
      <span class="buttons" role="radiogroup" aria-label="lens">
        {LENSES.map((one) => (
          <button key={one.name} role="radio" aria-checked={one.name === name} class={classes(one.name === name && "on")} onClick={() => (lens.value = one.name)}>
            {one.title}
          </button>
        ))}
      </span>
      <span class="space" />
      <button class="close" aria-label="close the lenses" onClick={() => (state.view.value = "run")}>
        ×
      </button>
    </header>
  );
}

function Fields({ entry }: { readonly entry: LensEntry }) {
  const best = state.run.value?.best ?? [];
  return (
    <div class="lens-fields">
      {entry.fields().map((field) => (field.kind === "check" ? <Check key={field.name} name={entry.name} field={field} /> : <Text key={field.name} name={entry.name} field={field} />))}
      <datalist id="lens-tokens">
        {best.map((one) => (
          <option key={one.id} value={shown(one.token)} />
        ))}
      </datalist>
    </div>
  );
}

function Check({ name, field }: { readonly name: LensName; readonly field: Field }) {
  const isOn = field.name in options.value[name];
  return (
    <label class="check">
      <input type="checkbox" checked={isOn} onChange={() => setOption(name, field.name, isOn ? "" : field.on!)} /> {field.label}
    </label>
  );
}

function Text({ name, field }: { readonly name: LensName; readonly field: Field }) {
  const timer = useRef(0);
  const isToken = field.kind === "token";
  const given = options.peek()[name][field.name] ?? "";
  const give = (text: string, wait: number): void => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setOption(name, field.name, isToken ? text.replace(/·/g, " ") : text), wait);
  };
  return (
    <label class={classes("field", field.name.startsWith("second") && "long")}>
      <span>{field.label}</span>
      <input
        name={field.name}
        spellcheck={false}
        autocomplete="off"
        placeholder={field.hint}
        defaultValue={isToken ? given.replace(/ /g, "·") : given}
        list={field.name === "token" || field.name === "against" ? "lens-tokens" : undefined}
        onInput={(event) => give(event.currentTarget.value, AFTER_KEY)}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Enter") give(event.currentTarget.value, 0);
        }}
      />
    </label>
  );
}
