/** The view of attention: all heads as a wall of small maps, a chosen one large, pictures of both to save. */
import { useEffect, useRef, useState } from "preact/hooks";
import { css, share, inkOn, type Rgb } from "./colours";
import { classes } from "./grid";
import { HeadMap } from "./head_map";
import { headScene, type HeadPicture, type Inks } from "./head_scene";
import { attentionSteps, headOf, pooled, sharesOf, starts, valueAt } from "./heads";
import { begin, best, choose, chosen, open, pointed, rowInView, runInView, type Looked } from "./looking";
import * as numbers from "./numbers";
import { moved, save, width, type Scene } from "./scene";
import type { Run } from "./source";
import * as state from "./state";
import { shown } from "./tokens";
import { InEveryHead, mapSize, Wall, wallScene } from "./wall";
import "./attention.css";

const MOST_SAVED = 128; // tokens a side of a saved head; of more, cells are pooled by their maximum
const [TITLE, EDGE] = [32, 10]; // px above and around a saved head
const SAVED_CELL = { most: 84, least: 6, side: 1000 }; // px

export const hasAttention = (): boolean => attentionSteps().length > 0;

export function Attention() {
  const run = runInView();
  const left = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(560);
  useEffect(begin, []);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setRoom(entry!.contentRect.width));
    observer.observe(left.current!);
    return () => observer.disconnect();
  }, []);
  const inks = useInks();
  const looked = run && chosen(run);
  const heads = looked ? looked.step.groups : 1;
  const size = mapSize(heads, room - 70);
  return (
    <main class={classes("attention", size < 60 && "dense")} data-stale={state.run.value?.done === false}>
      <div class="attention-wall" ref={left}>
        {run && looked && <Wall run={run} looked={looked} inks={inks} size={size} />}
        {run && (
          <div class="wall-tools">
            <span>all heads</span>
            <Saves name={() => "attention"} scene={async () => wallScene(run, inks, size)} />
          </div>
        )}
        {run && looked && <InEveryHead run={run} looked={looked} />}
      </div>
      {run && looked && <Chosen run={run} looked={looked} inks={inks} />}
    </main>
  );
}

/** What pictures are drawn with, another only with the theme. */
function useInks(): Inks {
  const theme = state.theme.value;
  const kept = useRef<Inks | null>(null);
  if (kept.current?.theme !== theme) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const hidden = [1, 3, 5].map((at) => parseInt(colour("--panel").slice(at, at + 2), 16)) as unknown as Rgb;
    kept.current = { theme, ink: theme.ink, mute: colour("--mute"), hidden };
  }
  return kept.current!;
}

function Saves({ name, scene }: { readonly name: () => string; readonly scene: () => Promise<Scene | null> }) {
  const give = async (kind: "png" | "svg"): Promise<void> => {
    const found = await scene();
    if (found) await save(found, name(), kind);
  };
  return (
    <>
      <button class="push" onClick={() => void give("png")}>
        PNG
      </button>
      <button class="push" onClick={() => void give("svg")}>
        SVG
      </button>
    </>
  );
}

// ------------------------------------------------------------------------------------------------ the chosen head

function Chosen({ run, looked, inks }: { readonly run: Run; readonly looked: Looked; readonly inks: Inks }) {
  const { step, head } = looked;
  const tokens = run.tokens.map(shown);
  const changeEnd = run.stages.get(step.name)?.change?.largest ?? 1;
  const hasChanges = run.before !== null;
  const picture = (cell: number): HeadPicture => ({
    step,
    head,
    tokens,
    value: (from, key) => valueAt(run, step, head, from, key),
    before: run.before && ((from, key) => valueAt(run.before!, step, head, from, key)),
    changeEnd,
    cell,
    bold: { row: looked.row, key: best(run, step, head, looked.row) },
    inks,
  });
  return (
    <div class="attention-head">
      <header>
        <h1>
          block {step.block} · head {head}
        </h1>
        <button class="stage" onClick={() => open(run, looked)}>
          {step.name}
        </button>
        <span class="space" />
        <button class="push" onClick={() => open(run, looked)}>
          Open sheet
        </button>
        <Saves name={() => `${step.name}_head_${head}`} scene={() => savedHead(run, looked, picture)} />
      </header>
      <Chips run={run} looked={looked} />
      <HeadMap run={run} looked={looked} picture={picture}>
        <footer>
          <Legend hasChanges={hasChanges} end={changeEnd} hidden={css(inks.hidden)} />
          <Said run={run} looked={looked} />
        </footer>
      </HeadMap>
    </div>
  );
}

/** The prompt's tokens: which one looks, and what it looks at. Arrows go from token to token. */
function Chips({ run, looked }: { readonly run: Run; readonly looked: Looked }) {
  const box = useRef<HTMLDivElement>(null);
  const theme = state.theme.value;
  const row = rowInView(run, looked);
  const shares = sharesOf(run, looked.step, looked.head, row);
  const chip = (): HTMLElement | null | undefined => box.current?.querySelector<HTMLElement>("[aria-checked='true']");
  const pick = (i: number): void => choose(run, { ...looked, row: i, key: best(run, looked.step, looked.head, i) });
  const key = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!by || event.altKey) return;
    event.preventDefault();
    pick(Math.max(0, Math.min(run.tokens.length - 1, looked.row + by)));
    requestAnimationFrame(() => chip()?.focus());
  };
  useEffect(() => chip()?.scrollIntoView({ block: "nearest" }), [looked.row, run.tokens.length]);
  return (
    <div ref={box} class="chips" role="radiogroup" aria-label="the token that looks" onKeyDown={key}>
      {run.tokens.map((token, i) => {
        const fill = share(theme, shares && i <= row ? shares[i]! : 0);
        const point = (): void => void (pointed.value = { step: looked.step, head: looked.head, row: i, key: null });
        const leave = (): void => void (pointed.value = null);
        const style = { background: css(fill), color: inkOn(theme, fill) };
        return (
          <button key={i} role="radio" aria-checked={i === looked.row} tabIndex={i === looked.row ? 0 : -1} class={classes("chip", i === row && "from")} style={style} onMouseEnter={point} onMouseLeave={leave} onFocus={point} onBlur={leave} onClick={() => pick(i)}>
            {shown(token)}
          </button>
        );
      })}
    </div>
  );
}

function Legend({ hasChanges, end, hidden }: { readonly hasChanges: boolean; readonly end: number; readonly hidden: string }) {
  return (
    <span class="legend">
      0 <i class={hasChanges ? "changes-scale" : "shares-scale"} /> {hasChanges ? `▲▼ ${numbers.short(end)}` : 1}
      <i class="masked-box" style={{ background: hidden }} /> masked
    </span>
  );
}

/** What is under the pointer, or the chosen cell, in words. */
function Said({ run, looked }: { readonly run: Run; readonly looked: Looked }) {
  const at = pointed.value;
  const step = at?.step ?? looked.step;
  const head = at?.head ?? looked.head;
  const row = at?.row ?? looked.row;
  const key = at ? at.key ?? best(run, step, head, row) : looked.key;
  const value = valueAt(run, step, head, row, key);
  const old = run.before ? valueAt(run.before, step, head, row, key) : undefined;
  return (
    <span class="said" aria-live="polite">
      block {step.block}, head {head}: <b>{shown(run.tokens[row] ?? "")}</b> looks at <b>{shown(run.tokens[key] ?? "")}</b> {value === undefined ? "" : numbers.long(value)}
      {old !== undefined && old !== value ? `, was ${numbers.long(old)}` : ""}
    </span>
  );
}

// ------------------------------------------------------------------------------------------------ pictures to save

/** A head with its numbers, under what it is called; of very many tokens pooled. */
async function savedHead(run: Run, looked: Looked, picture: (cell: number) => HeadPicture): Promise<Scene> {
  const { step, head } = looked;
  const count = run.tokens.length;
  const size = Math.min(count, MOST_SAVED);
  const edges = starts(count, size);
  const [now, old] = await Promise.all([headOf(run, step, head), run.before ? headOf(run.before, step, head) : null]);
  const [after, before] = [pooled(now, 1, MOST_SAVED), old && pooled(old, 1, MOST_SAVED)];
  const cell = Math.floor(Math.max(SAVED_CELL.least, Math.min(SAVED_CELL.most, SAVED_CELL.side / size)));
  const plain = picture(cell);
  const scene = headScene({
    ...plain,
    tokens: edges.slice(0, -1).map((at) => shown(run.tokens[at]!)),
    value: (row, key) => after.data[row * size + key],
    before: before && ((row, key) => before.data[row * size + key]),
    bold: size === count ? plain.bold : null,
  });
  const note = size === count ? "" : `, ${count} tokens, each cell the greatest of those that share it`;
  return titled(scene, `block ${step.block} · head ${head}, ${step.name}${note}`, plain.inks.ink);
}

function titled(scene: Scene, text: string, ink: string): Scene {
  const title = { x: 10, y: 20, text, size: 13, fill: ink, bold: true };
  const size = { width: Math.max(scene.width + EDGE, width(text, title.size) + 2 * EDGE), height: scene.height + TITLE + EDGE };
  return { ...scene, ...size, marks: [title, ...moved(scene.marks, 0, TITLE)] };
}
