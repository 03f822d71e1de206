/** The chosen head, large: a cell for each token and each token it looks at, of any number; keys as in a sheet. */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { headScene, margins, type Frame, type HeadPicture } from "./head_scene";
import { choose, open, pointed, type Looked } from "./looking";
import { px } from "./px";
import { draw } from "./scene";
import { described } from "./sheet";
import type { Run } from "./source";

const CELL = { least: 12, most: 84 }; // px
const BELOW = 46; // px for what stands under the map

/** The size of a cell that shows all tokens, where there is room. */
export function cellFor(tokens: readonly string[], width: number, height: number): number {
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

export function HeadMap({ run, looked, picture, children }: Props) {
  const around = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState<Frame>({ left: 0, top: 0, width: 620, height: 580 });
  const measure = (): void => {
    const box = scroller.current!;
    const next = { left: box.scrollLeft, top: box.scrollTop, width: around.current!.clientWidth, height: around.current!.clientHeight - BELOW };
    setView((last) => (JSON.stringify(last) === JSON.stringify(next) ? last : next));
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(around.current!);
    measure();
    return () => observer.disconnect();
  }, []);
  const found = picture(cellFor(run.tokens, view.width, view.height));
  const { cell, tokens } = found;
  const room = margins(tokens, cell);
  const size = tokens.length * cell;
  const frame = { ...view, width: Math.min(view.width, room.left + size + 3), height: Math.min(view.height, room.top + size + 3) };
  const scene = headScene(found, frame);
  useLayoutEffect(() => {
    const scale = devicePixelRatio || 1;
    canvas.current!.width = Math.round(frame.width * scale);
    canvas.current!.height = Math.round(frame.height * scale);
    draw(canvas.current!.getContext("2d")!, scene, scale);
  });
  const place = (row: number, key: number) => ({ left: room.left + key * cell, top: room.top + row * cell });
  useLayoutEffect(() => keepInView(scroller.current!, place(looked.row, looked.key), room, cell), [looked.step.name, looked.head, looked.row, looked.key, cell]);
  const at = (event: MouseEvent): Looked | null => {
    const box = scroller.current!.getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left + view.left - room.left) / cell);
    const row = Math.floor((event.clientY - box.top + view.top - room.top) / cell);
    const isInside = event.clientX - box.left > room.left && event.clientY - box.top > room.top && row < tokens.length && key < tokens.length;
    return isInside ? { ...looked, row, key } : null;
  };
  const point = (event: MouseEvent): void => {
    const now = at(event);
    const last = pointed.peek();
    if (now?.row !== last?.row || now?.key !== last?.key) pointed.value = now;
  };
  const column = looked.head * tokens.length + looked.key;
  return (
    <div class="head-room" ref={around}>
      <div
        ref={scroller}
        class="head-map"
        style={px({ width: frame.width, height: frame.height })}
        role="grid"
        tabIndex={0}
        aria-label={`head ${looked.head} of block ${looked.step.block}: tokens by the tokens they look at`}
        aria-rowcount={tokens.length}
        aria-colcount={tokens.length}
        aria-activedescendant="head-cell"
        onScroll={measure}
        onMouseMove={point}
        onMouseLeave={() => (pointed.value = null)}
        onClick={(event) => {
          const now = at(event);
          if (now) open(run, now);
        }}
        onKeyDown={(event) => mapKey(event, run, looked)}
      >
        <div class="head-map-inner" style={px({ width: room.left + size + 3, height: room.top + size + 3 })}>
          <canvas ref={canvas} aria-hidden="true" style={px({ width: frame.width, height: frame.height })} />
          <div class="row-outline" style={px({ ...place(looked.row, 0), width: size, height: cell - (cell >= 20 ? 2 : 0) })} />
          <Hover count={tokens.length} place={place} cell={cell} />
          <div role="row" aria-rowindex={looked.row + 1}>
            <div id="head-cell" role="gridcell" class="head-cell" aria-colindex={looked.key + 1} aria-selected="true" aria-label={described(run, looked.step.name, looked.row, column)} style={px({ ...place(looked.row, looked.key), width: cell - 1, height: cell - 1 })} />
          </div>
        </div>
      </div>
      {children}
    </div>
  );
}

/** The cell under the pointer, or the row of a token that is: drawn apart, as it moves often. */
function Hover({ count, place, cell }: { readonly count: number; readonly place: (row: number, key: number) => Readonly<Record<string, number>>; readonly cell: number }) {
  const at = pointed.value;
  if (!at || at.row >= count || (at.key ?? 0) >= count) return null;
  const width = (at.key === null ? count * cell : cell) - 1;
  return <div class="hover-outline" style={px({ ...place(at.row, at.key ?? 0), width, height: cell - 1 })} />;
}

function keepInView(box: HTMLElement, { left, top }: { readonly left: number; readonly top: number }, room: { readonly left: number; readonly top: number }, cell: number): void {
  if (left - room.left < box.scrollLeft) box.scrollLeft = left - room.left;
  if (left + cell > box.scrollLeft + box.clientWidth) box.scrollLeft = left + cell - box.clientWidth;
  if (top - room.top < box.scrollTop) box.scrollTop = top - room.top;
  if (top + cell > box.scrollTop + box.clientHeight) box.scrollTop = top + cell - box.clientHeight;
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
