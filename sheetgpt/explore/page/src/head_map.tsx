/** The chosen head, large: a cell for each token and each token it looks at, of any number; keys as in a sheet. */
import type { ComponentChildren, RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { headScene, margins, type Frame, type HeadPicture } from "./head_scene";
import { choose, open, pointed, type Looked } from "./looking";
import { px } from "./px";
import { draw } from "./scene";
import { described } from "./sheet";
import type { Run } from "./source";

const CELL = { least: 12, most: 84 }; // px
const SPARE = 3; // px for outlines at the edge
const BELOW = 46; // px for what stands under the map

/** The size of a cell that shows all tokens, where there is room. */
function cellFor(tokens: readonly string[], width: number, height: number): number {
  const room = margins(tokens, CELL.most);
  const turned = margins(tokens, CELL.least);
  const level = Math.min((width - room.left - 2) / tokens.length, (height - room.top - 2) / tokens.length);
  const wanted = level >= 44 ? level : Math.min(43, (width - turned.left - 2) / tokens.length, (height - turned.top - 2) / tokens.length);
  return Math.floor(Math.max(CELL.least, Math.min(CELL.most, wanted)));
}

interface Props {
  readonly run: Run;
  readonly looked: Looked;
  readonly picture: (cell: number) => HeadPicture;
  readonly children: ComponentChildren; // what stands under the map
}

/** Where cells lie: px from the map's corner. */
interface Layout {
  readonly cell: number;
  readonly count: number;
  readonly left: number; // of the first cell, right of the labels
  readonly top: number;
}

const placeIn = ({ cell, left, top }: Layout, row: number, key: number) => ({ left: left + key * cell, top: top + row * cell });

/** The part in view, and how much of it there may be. */
function useFrame(around: RefObject<HTMLElement | null>, scroller: RefObject<HTMLElement | null>): readonly [Frame, () => void] {
  const [view, setView] = useState<Frame>({ left: 0, top: 0, width: 620, height: 580 });
  const measure = (): void => {
    const [box, room] = [scroller.current!, around.current!];
    const next = { left: box.scrollLeft, top: box.scrollTop, width: room.clientWidth, height: room.clientHeight - BELOW };
    setView((last) => (JSON.stringify(last) === JSON.stringify(next) ? last : next));
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(around.current!);
    measure();
    return () => observer.disconnect();
  }, []);
  return [view, measure];
}

export function HeadMap({ run, looked, picture, children }: Props) {
  const around = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const [view, measure] = useFrame(around, scroller);
  const found = picture(cellFor(run.tokens, view.width, view.height));
  const layout: Layout = { cell: found.cell, count: found.tokens.length, ...margins(found.tokens, found.cell) };
  const size = layout.count * layout.cell;
  const whole = { width: layout.left + size + SPARE, height: layout.top + size + SPARE };
  const frame = { ...view, width: Math.min(view.width, whole.width), height: Math.min(view.height, whole.height) };
  const at = placeIn(layout, looked.row, looked.key);
  useLayoutEffect(() => keepInView(scroller.current!, at, layout), [looked.step.name, looked.head, looked.row, looked.key, layout.cell]);
  const under = (event: MouseEvent): Looked | null => cellUnder(event, scroller.current!, layout, looked);
  return (
    <div class="head-room" ref={around}>
      <div
        ref={scroller}
        class="head-map"
        style={px({ width: frame.width, height: frame.height })}
        role="grid"
        tabIndex={0}
        aria-label={`head ${looked.head} of block ${looked.step.block}: tokens by the tokens they look at`}
        aria-rowcount={layout.count}
        aria-colcount={layout.count}
        aria-activedescendant="head-cell"
        onScroll={measure}
        onMouseMove={(event) => point(under(event))}
        onMouseLeave={() => (pointed.value = null)}
        onClick={(event) => {
          const now = under(event);
          if (now) open(run, now);
        }}
        onKeyDown={(event) => mapKey(event, run, looked)}
      >
        <div class="head-map-inner" style={px(whole)}>
          <Painted picture={found} frame={frame} />
          <div class="row-outline" style={px({ ...placeIn(layout, looked.row, 0), width: size, height: layout.cell - (layout.cell >= 20 ? 2 : 0) })} />
          <Hover layout={layout} />
          <div role="row" aria-rowindex={looked.row + 1}>
            <div id="head-cell" role="gridcell" class="head-cell" aria-colindex={looked.key + 1} aria-selected="true" aria-label={described(run, looked.step.name, looked.row, looked.head * layout.count + looked.key)} style={px({ ...at, width: layout.cell - 1, height: layout.cell - 1 })} />
          </div>
        </div>
      </div>
      {children}
    </div>
  );
}

/** What is in view, on a canvas that stays where it is while the map scrolls. */
function Painted({ picture, frame }: { readonly picture: HeadPicture; readonly frame: Frame }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scene = headScene(picture, frame);
  useLayoutEffect(() => {
    const scale = devicePixelRatio || 1;
    canvas.current!.width = Math.round(frame.width * scale);
    canvas.current!.height = Math.round(frame.height * scale);
    draw(canvas.current!.getContext("2d")!, scene, scale);
  });
  return <canvas ref={canvas} aria-hidden="true" style={px({ width: frame.width, height: frame.height })} />;
}

function cellUnder(event: MouseEvent, scroller: HTMLElement, { cell, count, left, top }: Layout, looked: Looked): Looked | null {
  const box = scroller.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left - left, event.clientY - box.top - top]; // beyond the labels
  const key = Math.floor((x + scroller.scrollLeft) / cell);
  const row = Math.floor((y + scroller.scrollTop) / cell);
  return x > 0 && y > 0 && row < count && key < count ? { ...looked, row, key } : null;
}

function point(now: Looked | null): void {
  const last = pointed.peek();
  if (now?.row !== last?.row || now?.key !== last?.key) pointed.value = now;
}

/** The cell under the pointer, or the row of a token that is: drawn apart, as it moves often. */
function Hover({ layout }: { readonly layout: Layout }) {
  const { count, cell } = layout;
  const at = pointed.value;
  if (!at || at.row >= count || (at.key ?? 0) >= count) return null;
  const width = (at.key === null ? count * cell : cell) - 1;
  return <div class="hover-outline" style={px({ ...placeIn(layout, at.row, at.key ?? 0), width, height: cell - 1 })} />;
}

function keepInView(box: HTMLElement, at: { readonly left: number; readonly top: number }, { cell, left, top }: Layout): void {
  if (at.left - left < box.scrollLeft) box.scrollLeft = at.left - left;
  if (at.left + cell > box.scrollLeft + box.clientWidth) box.scrollLeft = at.left + cell - box.clientWidth;
  if (at.top - top < box.scrollTop) box.scrollTop = at.top - top;
  if (at.top + cell > box.scrollTop + box.clientHeight) box.scrollTop = at.top + cell - box.clientHeight;
}

function mapKey(event: KeyboardEvent, run: Run, looked: Looked): void {
  const last = run.tokens.length - 1;
  const far = event.ctrlKey || event.metaKey;
  const { row, key } = looked;
  const moves: Readonly<Record<string, readonly [number, number]>> = {
    ArrowUp: [far ? 0 : row - 1, key],
    ArrowDown: [far ? last : row + 1, key],
    ArrowLeft: [row, far ? 0 : key - 1],
    ArrowRight: [row, far ? last : key + 1],
    Home: [far ? 0 : row, 0],
    End: [far ? last : row, last],
  };
  const move = moves[event.key];
  if (event.altKey || (!move && event.key !== "Enter")) return;
  event.preventDefault();
  pointed.value = null;
  if (!move) return open(run, looked);
  const within = (i: number): number => Math.max(0, Math.min(last, i));
  choose(run, { ...looked, row: within(move[0]), key: within(move[1]) });
}
