/**
 * A matrix of any size as a sheet: only the cells in view are in the document, at places that never depend on content.
 *
 * Every column is as wide as its decimals need and every row as high as the next, so a cell's place is a product, and
 * nothing is measured. The cell itself is a `div` that is made for its coordinates; nothing is recycled.
 */
import type { ComponentChildren } from "preact";
import type { Signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Label } from "./labels";
import { px } from "./px";

const SPARE = 3; // rows and columns beyond the view
const HEAD_LINE = 17;

export interface CellLook {
  readonly text: string;
  readonly style?: Readonly<Record<string, string | undefined>>;
  readonly classes?: string;
  readonly glyph?: string;
}

interface GridProps {
  readonly id: string;
  readonly name: string; // what a reader is told the sheet is
  readonly rows: number;
  readonly columns: number;
  readonly rowHeight: number;
  readonly columnWidth: number;
  readonly labelWidths: readonly [number, number];
  readonly rowNames: readonly [string, string];
  readonly columnNames: readonly string[];
  readonly rowLabel: (row: number) => Label;
  readonly columnLabel: (column: number) => Label;
  readonly bordered?: (column: number) => boolean; // does a head begin here?
  readonly look: (row: number, column: number) => CellLook;
  readonly at?: { readonly row: number; readonly column: number } | null; // the chosen cell, kept in view
  readonly marked?: { readonly row?: number; readonly column?: number }; // a row or column that is a source
  readonly rowNote?: (row: number) => string | null; // instead of the token
  readonly height?: number | string; // "fit": as high as its rows
  readonly describe?: (row: number, column: number) => string;
  readonly onPick?: (row: number, column: number, extend: boolean) => void;
  readonly onOpen?: (row: number, column: number) => void;
  readonly onHoverRow?: (row: number | null) => void;
  readonly onKeyDown?: (event: KeyboardEvent, page: number) => void;
  readonly over?: ComponentChildren; // drawn among the cells, such as the input
  readonly focusable?: boolean;
  readonly together?: Signal<Scrolled>; // shared by sheets that scroll together
}

export interface Scrolled {
  readonly top: number;
  readonly left: number;
}

interface Window {
  readonly top: number;
  readonly left: number;
  readonly width: number;
  readonly height: number;
}

export function Grid(props: GridProps) {
  const { rows, columns, rowHeight, columnWidth, columnNames } = props;
  const labels = props.labelWidths[0] + props.labelWidths[1];
  const head = HEAD_LINE * columnNames.length;
  const scroller = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState<Window>({ top: 0, left: 0, width: 900, height: 600 });
  const measure = (): void => {
    const box = scroller.current!;
    const next = { top: box.scrollTop, left: box.scrollLeft, width: box.clientWidth, height: box.clientHeight };
    setShown((last) => (JSON.stringify(last) === JSON.stringify(next) ? last : next));
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(scroller.current!);
    measure();
    return () => observer.disconnect();
  }, []);
  const { together } = props;
  useLayoutEffect(() => together?.subscribe(({ top, left }) => void Object.assign(scroller.current!, { scrollTop: top, scrollLeft: left })), [together]);
  const follow = (): void => {
    const { scrollTop: top, scrollLeft: left } = scroller.current!;
    const last = together?.peek();
    if (together && last && (last.top !== top || last.left !== left)) together.value = { top, left };
    measure();
  };
  const at = props.at ?? null;
  useLayoutEffect(() => {
    if (at && scroller.current) keepInView(scroller.current, at.row * rowHeight, at.column * columnWidth, rowHeight, columnWidth, head, labels);
  }, [props.id, at?.row, at?.column, columnWidth, rowHeight, shown.height]);

  const first = { row: from(shown.top, rowHeight), column: from(shown.left, columnWidth) };
  const last = {
    row: Math.min(rows, Math.ceil((shown.top + shown.height - head) / rowHeight) + SPARE),
    column: Math.min(columns, Math.ceil((shown.left + shown.width - labels) / columnWidth) + SPARE),
  };
  const rowNumbers = range(first.row, last.row);
  const columnNumbers = range(first.column, last.column);
  const width = labels + columns * columnWidth;
  const height = props.height === "fit" ? head + rows * rowHeight : props.height;
  const skipped = px({ width: first.column * columnWidth }); // columns left of the view
  const inRow = (row: number): boolean => at?.row === row;
  return (
    <div
      ref={scroller}
      class="grid"
      id={props.id}
      style={px({ height })}
      role="grid"
      aria-label={props.name}
      aria-rowcount={rows + columnNames.length}
      aria-colcount={columns + 1}
      aria-activedescendant={at && rowNumbers.includes(at.row) && columnNumbers.includes(at.column) ? `${props.id}-${at.row}-${at.column}` : undefined}
      tabIndex={props.focusable === false ? -1 : 0}
      onScroll={follow}
      onKeyDown={(event) => props.onKeyDown?.(event, Math.max(1, Math.floor((shown.height - head) / rowHeight) - 1))}
    >
      <div class="grid-inner" style={px({ width, height: head + rows * rowHeight })}>
        <div class="grid-head" style={px({ height: head, width })}>
          {columnNames.map((name, line) => (
            <div key={line} role="row" aria-rowindex={line + 1} class="grid-line" style={px({ top: line * HEAD_LINE, width })}>
              <div role="columnheader" class="corner" style={px({ width: labels })}>
                <span>{line === columnNames.length - 1 ? props.rowNames[0] : ""}</span>
                <i>{name === "" ? props.rowNames[1] : name}</i>
              </div>
              {columnNumbers.map((column) => {
                const label = props.columnLabel(column);
                const text = name === "head" ? label.head : name === "token" ? label.token : label.number;
                return (
                  <div
                    key={column}
                    role="columnheader"
                    aria-colindex={column + 2}
                    class={classes("label", at?.column === column && "chosen", props.marked?.column === column && "source", props.bordered?.(column) && "bordered")}
                    style={px({ left: labels + column * columnWidth, width: columnWidth })}
                  >
                    {text}
                  </div>
                );
              })}
            </div>
          ))}
        </div>
        {rowNumbers.map((row) => {
          const label = props.rowLabel(row);
          const note = props.rowNote?.(row) ?? null;
          return (
            <div
              key={row}
              role="row"
              aria-rowindex={row + 1 + columnNames.length}
              class={classes("grid-row", props.marked?.row === row && "source")}
              style={px({ top: head + row * rowHeight, height: rowHeight, width })}
              onMouseEnter={props.onHoverRow && (() => props.onHoverRow!(row))}
              onMouseLeave={props.onHoverRow && (() => props.onHoverRow!(null))}
            >
              <div role="rowheader" aria-colindex={1} class={classes("row-label", inRow(row) && "chosen")} style={px({ width: labels, height: rowHeight })}>
                <span class="number" style={px({ width: props.labelWidths[0] })}>{label.number}</span>
                <span class={note === null ? "token" : "token note"} style={px({ width: props.labelWidths[1] })}>{note ?? label.token}</span>
              </div>
              <span class="skipped" style={skipped} />
              {columnNumbers.map((column) => {
                const look = props.look(row, column);
                const isAt = inRow(row) && at?.column === column;
                return (
                  <div
                    key={column}
                    id={isAt ? `${props.id}-${row}-${column}` : undefined}
                    role="gridcell"
                    aria-colindex={column + 2}
                    aria-selected={isAt ? "true" : undefined}
                    class={classes("cell", look.classes, isAt && "at", props.bordered?.(column) && "bordered", props.marked?.column === column && "source-column")}
                    style={{ ...look.style, ...px({ width: columnWidth }) }}
                    onMouseOver={props.describe && ((event) => (event.currentTarget.title = props.describe!(row, column)))}
                    onMouseDown={props.onPick && ((event) => event.button === 0 && props.onPick!(row, column, event.shiftKey))}
                    onMouseEnter={props.onPick && ((event) => event.buttons === 1 && props.onPick!(row, column, true))}
                    onDblClick={props.onOpen && (() => props.onOpen!(row, column))}
                  >
                    {look.glyph && <span class="glyph">{look.glyph}</span>}
                    {look.text}
                  </div>
                );
              })}
            </div>
          );
        })}
        {props.over}
      </div>
    </div>
  );
}

const from = (offset: number, size: number): number => Math.max(0, Math.floor(offset / size) - SPARE);
const range = (first: number, last: number): number[] => Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
export const classes = (...names: (string | false | undefined | null)[]): string => names.filter(Boolean).join(" ");

function keepInView(box: HTMLElement, top: number, left: number, rowHeight: number, columnWidth: number, head: number, labels: number): void {
  if (top < box.scrollTop) box.scrollTop = top;
  const bottom = top + rowHeight + head - box.clientHeight;
  if (bottom > box.scrollTop) box.scrollTop = bottom;
  if (left < box.scrollLeft) box.scrollLeft = left;
  const right = left + columnWidth + labels - box.clientWidth;
  if (right > box.scrollLeft) box.scrollLeft = right;
}
