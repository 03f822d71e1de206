/** All heads of all blocks as small maps side by side, and what a token looks at in each of them. */
import { useCanvas } from "./canvas";
import { css, inkOn, share } from "./colours";
import { classes } from "./grid";
import { mapColour, type Inks } from "./head_scene";
import { attentionSteps, fitted, largest, mapsOf, MOST_TOKENS, sharesOf, starts } from "./heads";
import { best, choose, pointed, rowInView, type Looked } from "./looking";
import type { Matrix } from "./matrix";
import * as numbers from "./numbers";
import { paint } from "./paint";
import { px } from "./px";
import { moved, type Scene } from "./scene";
import type { Picture, Run, Step } from "./source";
import * as state from "./state";
import { shown } from "./tokens";

const MAP = { least: 38, most: 110 }; // px of a small map
const BAR_TEXTS = 76; // px of the token and the number beside a bar
const MOST_BARS = { tokens: 8, heads: 6 }; // more tokens: the largest; more heads: one token a head

/** The size of a map where so many stand side by side. */
export function mapSize(heads: number, width: number): number {
  const pitch = Math.floor(width / heads);
  return Math.max(MAP.least, Math.min(MAP.most, pitch - (pitch < 60 ? 5 : 16)));
}

/** The heads of a stage as they are drawn at a size, and as they were before the changes. */
function mapsAt(run: Run, step: Step, most: number): { readonly now: Matrix; readonly old: Matrix | null } | null {
  const [now, old] = [mapsOf(run, step), run.before && mapsOf(run.before, step)];
  if (!now || (run.before && !old)) return null;
  return { now: fitted(now, step.groups, most), old: old ? fitted(old, step.groups, most) : null };
}

const endOf = (run: Run, step: Step): number => run.stages.get(step.name)?.end ?? 1;

// ------------------------------------------------------------------------------------------------ the wall

interface WallProps {
  readonly run: Run;
  readonly looked: Looked;
  readonly inks: Inks;
  readonly size: number;
}

export function Wall({ run, looked, inks, size }: WallProps) {
  const steps = attentionSteps();
  const heads = Math.max(...steps.map((step) => step.groups));
  return (
    <div class={"wall"} role="radiogroup" aria-label="heads" onKeyDown={(event) => wallKey(event, run, looked)} style={{ gridTemplateColumns: `auto repeat(${heads}, max-content)` }}>
      <span />
      {Array.from({ length: heads }, (_, head) => (
        <span key={head} class="head-name">
          {size < 60 ? head : `head ${head}`}
        </span>
      ))}
      {steps.map((step) => [
        <span key={step.name} class="block-name">
          block {step.block}
        </span>,
        ...Array.from({ length: step.groups }, (_, head) => <SmallMap key={`${step.name}/${head}`} run={run} step={step} head={head} size={size} inks={inks} looked={looked} />),
      ])}
    </div>
  );
}

function SmallMap({ run, step, head, size, inks, looked }: WallProps & { readonly step: Step; readonly head: number }) {
  const found = mapsAt(run, step, Math.round(size * (devicePixelRatio || 1)));
  const isChosen = looked.step === step && looked.head === head;
  const draw = (element: HTMLCanvasElement): void => {
    const n = found?.now.rows;
    if (n) paint(element, { width: n, height: n } as Picture, pixels(run, step, head, found, inks));
  };
  const canvas = useCanvas(draw, [found?.now, found?.old, inks]);
  const point = (event: MouseEvent & { currentTarget: HTMLElement }): void => {
    const box = canvas.current!.getBoundingClientRect();
    const at = (offset: number): number => Math.max(0, Math.min(run.tokens.length - 1, Math.floor((offset / box.width) * run.tokens.length)));
    pointed.value = { step, head, row: at(event.clientY - box.top), key: at(event.clientX - box.left) };
  };
  const pick = (): void => choose(run, { step, head, row: looked.row, key: best(run, step, head, looked.row) });
  return (
    <button
      class={classes("small-map", isChosen && "on")}
      role="radio"
      aria-checked={isChosen}
      aria-label={`block ${step.block}, head ${head}: ${shown(run.tokens[looked.row] ?? "")} looks most at ${shown(run.tokens[best(run, step, head, looked.row)] ?? "")}`}
      tabIndex={isChosen ? 0 : -1}
      onClick={pick}
      onMouseMove={point}
      onMouseLeave={() => (pointed.value = null)}
    >
      <canvas ref={canvas} style={px({ width: size, height: size })} aria-hidden="true" />
    </button>
  );
}

function pixels(run: Run, step: Step, head: number, { now, old }: { readonly now: Matrix; readonly old: Matrix | null }, inks: Inks): Uint8ClampedArray<ArrayBuffer> {
  const n = now.rows;
  const rgba = new Uint8ClampedArray(4 * n * n).fill(255);
  for (let row = 0; row < n; row++) {
    for (let key = 0; key < n; key++) {
      const at = row * now.columns + head * n + key;
      rgba.set(mapColour(inks, step, row, key, now.data[at]!, old ? old.data[at]! : null, endOf(run, step)), 4 * (row * n + key));
    }
  }
  return rgba;
}

/** Arrows go from head to head. */
function wallKey(event: KeyboardEvent, run: Run, { step, head, row }: Looked): void {
  const steps = attentionSteps();
  const moves: Readonly<Record<string, readonly [number, number]>> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const move = moves[event.key];
  if (!move || event.altKey) return;
  event.preventDefault();
  const next = steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + move[0]))]!;
  const other = Math.max(0, Math.min(next.groups - 1, head + move[1]));
  choose(run, { step: next, head: other, row, key: best(run, next, other, row) });
  const group = event.currentTarget as HTMLElement;
  requestAnimationFrame(() => group.querySelector<HTMLElement>("[aria-checked='true']")?.focus());
}

/** The whole wall as a picture to save; null while numbers are missing. */
export function wallScene(run: Run, inks: Inks, size: number): Scene | null {
  const steps = attentionSteps();
  const [left, top, gap] = [64, 50, size < 60 ? 6 : 12];
  const found = steps.map((step) => ({ step, maps: mapsAt(run, step, Math.min(size, MOST_TOKENS)) }));
  if (found.some(({ maps }) => !maps)) return null;
  const heads = Math.max(...steps.map((step) => step.groups));
  const title = { x: left, y: 18, text: run.tokens.map(shown).join(""), size: 13, fill: inks.ink, bold: true };
  const names = Array.from({ length: heads }, (_, head) => ({ x: left + head * (size + gap) + size / 2, y: top - 8, text: size < 60 ? String(head) : `head ${head}`, size: 12, fill: inks.mute, anchor: "middle" as const }));
  const rows = found.flatMap(({ step, maps }, line) => {
    const y = top + line * (size + gap);
    const name = { x: left - 10, y: y + size / 2 + 4, text: `block ${step.block}`, size: 12, fill: inks.mute, anchor: "end" as const };
    return [name, ...Array.from({ length: step.groups }, (_, head) => smallMarks(run, step, head, maps!, inks, size, left + head * (size + gap), y)).flat()];
  });
  return { width: left + heads * (size + gap), height: top + steps.length * (size + gap), background: css(inks.theme.zero), marks: [title, ...names, ...rows] };
}

function smallMarks(run: Run, step: Step, head: number, { now, old }: { readonly now: Matrix; readonly old: Matrix | null }, inks: Inks, size: number, x: number, y: number): Scene["marks"] {
  const n = now.rows;
  const edges = starts(run.tokens.length, n);
  const cell = size / n;
  const ground = { x: x - 1, y: y - 1, width: size + 2, height: size + 2, fill: css(inks.hidden) };
  const cells = Array.from({ length: n * n }, (_, i) => ({ row: Math.floor(i / n), key: i % n })).flatMap(({ row, key }) => {
    const value = now.data[row * now.columns + head * n + key]!;
    const colour = mapColour(inks, step, row, key, value, old ? old.data[row * now.columns + head * n + key]! : null, endOf(run, step));
    if (colour === inks.hidden) return [];
    const title = `${shown(run.tokens[edges[row]!]!)} looks at ${shown(run.tokens[edges[key]!]!)}: ${numbers.short(value)}`;
    return [{ x: key * cell, y: row * cell, width: cell, height: cell, fill: css(colour), value, ...(n <= 16 ? { title } : {}) }];
  });
  return [ground, ...moved(cells, x, y)];
}

// ------------------------------------------------------------------------------------------------ one token, all heads

/** What a token looks at in every head: the shares as bars, or the token it looks at most where heads are many. */
export function InEveryHead({ run, looked }: { readonly run: Run; readonly looked: Looked }) {
  const row = rowInView(run, looked);
  const steps = attentionSteps();
  const heads = Math.max(...steps.map((step) => step.groups));
  const isDense = heads > MOST_BARS.heads;
  return (
    <section class="every-head">
      <h2>
        What {shown(run.tokens[row] ?? "")} looks at{isDense ? " most" : ""}, in every head
      </h2>
      <div class={classes("bars", isDense && "dense")} style={{ gridTemplateColumns: `auto repeat(${heads}, minmax(0, 1fr))` }}>
        {steps.map((step) => [
          <span key={step.name} class="block-name">
            block {step.block}
          </span>,
          ...Array.from({ length: step.groups }, (_, head) => {
            const shares = sharesOf(run, step, head, row);
            const go = (key: number): void => choose(run, { ...looked, step, head, row, key });
            return isDense ? <Most key={head} run={run} shares={shares} onPick={go} /> : <Bars key={head} run={run} row={row} shares={shares} onPick={go} />;
          }),
        ])}
      </div>
    </section>
  );
}

interface SharesProps {
  readonly run: Run;
  readonly shares: Float64Array | null;
  readonly onPick: (key: number) => void;
}

/** A bar for each key; of many keys the largest, in their order. */
function Bars({ run, row, shares, onPick }: SharesProps & { readonly row: number }) {
  const most = shares ? largest(shares) : -1;
  const keys = run.tokens.map((_, key) => key);
  const kept = keys.length <= MOST_BARS.tokens ? keys : [...keys].sort((one, other) => (shares?.[other] ?? 0) - (shares?.[one] ?? 0) || one - other).slice(0, MOST_BARS.tokens).sort((one, other) => one - other);
  return (
    <div>
      {kept.map((key) => {
        const value = key <= row ? shares?.[key] ?? 0 : 0;
        return (
          <button key={key} class={classes("bar-line", key === most && "largest")} tabIndex={-1} onClick={() => onPick(key)}>
            <span class="token">{shown(run.tokens[key]!)}</span>
            <span class="share" style={{ width: `calc((100% - ${BAR_TEXTS}px) * ${value})` }} />
            <span>{value >= 0.005 ? value.toFixed(2).replace(/^0/, "") : ""}</span>
          </button>
        );
      })}
    </div>
  );
}

function Most({ run, shares, onPick }: SharesProps) {
  if (!shares) return <span class="most" />;
  const key = largest(shares);
  const theme = state.theme.value;
  const fill = share(theme, shares[key]!);
  return (
    <button class="most" tabIndex={-1} style={{ background: css(fill), color: inkOn(theme, fill) }} title={`${shown(run.tokens[key]!)} ${numbers.short(shares[key]!)}`} onClick={() => onPick(key)}>
      {shown(run.tokens[key]!)}
    </button>
  );
}
