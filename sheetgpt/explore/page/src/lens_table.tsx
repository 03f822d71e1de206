/** A lens's table: numbers on the scale of their column, labels and cells that lead to the stage they speak of. */
import { css, diverging, inkOn, share, type Rgb, type Theme } from "./colours";
import { classes } from "./grid";
import { stepOf, weightOf } from "./labels";
import * as numbers from "./numbers";
import type { Table, TableLook } from "./source";
import * as state from "./state";
import { shown } from "./tokens";

const WORST_RANK = 1000; // from here on ranks have no colour; they are seen by their sizes

type Cell = number | string | null;
type Place = Table["places"][number][number];

export function LensTable({ table }: { readonly table: Table }) {
  const here = nearest(table);
  return (
    <section class="lens-table">
      <h2>{spaced(table.title)}</h2>
      <div class="lens-scroll">
        <table onKeyDown={tableKey}>
          <thead>
            {table.columnNames.map((name, level) => (
              <tr key={level}>
                {level === table.columnNames.length - 1 ? table.rowNames.map((row) => <th key={row} class="name">{row}</th>) : <th colSpan={table.rowNames.length} />}
                {table.columns.map((labels, column) => (
                  <ColumnHead key={column} text={labelText(labels[level]!, name)} link={stageOfColumn(table, column)} isText={typeof table.cells[0]?.[column] === "string"} />
                ))}
              </tr>
            ))}
          </thead>
          <tbody>
            {table.rows.map((labels, row) => (
              <tr key={row} class={classes(here(table.links[row] ?? null) && "here")} data-stage={table.links[row] ?? undefined}>
                {labels.map((text, level) => (
                  <th key={level} scope="row">
                    <StageLink stage={table.links[row] ?? null} text={labelText(text, table.rowNames[level]!)} place={ownPlace(table, row)} />
                  </th>
                ))}
                {table.cells[row]!.map((cell, column) => (
                  <LensCell key={column} cell={cell} look={table.looks[column]!} end={table.ends[column]!} place={table.places[row]![column] ?? null} isAt={column === chosenIn(table.places[row]!)} isFirst={row === 0 && column === 0} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {table.notes.map((note) => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
    </section>
  );
}

/** A level of a label; tokens without the quotes that a sentence needs. */
function labelText(text: string, name: string): string {
  if (name === "token") return shown(text);
  return name === "tokens" ? text.replace(QUOTED, (_, token: string) => shown(token)) : text;
}

const QUOTED = /"([^"]*)"/g;
const dots = (spaces: string): string => "·".repeat(spaces.length);

/** A sentence in which the spaces at the ends of what is quoted can be seen. */
export const spaced = (text: string): string => text.replace(QUOTED, (_, quoted: string) => `"${quoted.replace(/^ +| +$/g, dots)}"`);

/** Does a row speak of the chosen stage; where none does, of its block? */
function nearest({ links }: Table): (link: string | null) => boolean {
  const { stage } = state.cell.value;
  if (links.includes(stage)) return (link) => link === stage;
  const blockOf = (name: string): number | null => (stepOf(state.facts, name) ?? weightOf(state.facts, name))?.block ?? null;
  const block = blockOf(stage);
  return (link) => link !== null && block !== null && blockOf(link) === block;
}

/** The column whose cell speaks of the chosen one: of those of its row, the slice that it is in. */
function chosenIn(places: readonly Place[]): number {
  const { stage, row, column } = state.cell.value;
  const near = places.map((place, i) => ({ place, i })).filter(({ place }) => place?.[0] === stage && place[1] === row && place[2] <= column);
  return near.sort((one, other) => other.place![2] - one.place![2])[0]?.i ?? -1;
}

/** The stage that all cells of a column speak of; null where they don't agree. */
function stageOfColumn({ places }: Table, column: number): string | null {
  const stages = new Set(places.map((row) => row[column]?.[0] ?? null));
  return stages.size === 1 ? [...stages][0]! : null;
}

function ColumnHead({ text, link, isText }: { readonly text: string; readonly link: string | null; readonly isText: boolean }) {
  return (
    <th scope="col" class={classes(isText && "name", link !== null && link === state.cell.value.stage && "here")}>
      <StageLink stage={link} text={text} />
    </th>
  );
}

/** The cell that a whole row speaks of; null where it speaks of several. */
function ownPlace({ links, places }: Table, row: number): Place {
  const [first, ...rest] = places[row]!;
  const isOne = first?.[0] === links[row] && rest.every((one) => one?.join() === first?.join());
  return isOne ? first ?? null : null;
}

function StageLink({ stage, text, place = null }: { readonly stage: string | null; readonly text: string; readonly place?: Place }) {
  if (stage === null) return <>{text}</>;
  return (
    <button title={`look at ${stage}`} onClick={() => lookAt(place ?? [stage, state.cell.peek().row, state.cell.peek().column])}>
      {text}
    </button>
  );
}

/** The sheet beside; where there is no room for both, instead of the lens. */
function lookAt([stage, row, column]: NonNullable<Place>): void {
  if (innerWidth < 1000) state.view.value = "run";
  state.choose({ stage, row, column });
}

// ------------------------------------------------------------------------------------------------ cells

interface CellProps {
  readonly cell: Cell;
  readonly look: TableLook;
  readonly end: number;
  readonly place: Place;
  readonly isAt: boolean; // does it speak of the chosen cell?
  readonly isFirst: boolean;
}

function LensCell({ cell, look, end, place, isAt, isFirst }: CellProps) {
  const theme = state.theme.value;
  const fill = typeof cell === "number" ? fillOf(cell, look, end, theme) : null;
  return (
    <td
      class={classes(typeof cell === "string" ? "text" : "", place && "leads", isAt && "at", cell === 0 && "zero")}
      style={fill ? { background: css(fill), color: cell === 0 ? undefined : inkOn(theme, fill) } : undefined}
      title={title(cell, place)}
      data-value={cell === null ? undefined : String(cell)}
      tabIndex={place ? (isFirst ? 0 : -1) : undefined}
      onClick={place ? () => lookAt(place) : undefined}
    >
      {cellText(cell, look)}
    </td>
  );
}

function fillOf(cell: number, look: TableLook, end: number, theme: Theme): Rgb | null {
  if (look === "values") return diverging(theme, cell, end);
  if (look === "shares") return share(theme, cell);
  return look === "ranks" ? share(theme, 1 - Math.log(cell) / Math.log(WORST_RANK)) : null;
}

/** A cell as a person reads it: values with their sign, shares in percent, tokens with their spaces. */
function cellText(cell: Cell, look: TableLook): string {
  if (cell === null) return "";
  if (typeof cell === "string") return look === "tokens" ? shown(cell) : cell;
  if (look === "values") return `${cell > 0 ? "+" : ""}${numbers.cell(cell, 3)}`;
  if (look === "shares") return numbers.percent(cell);
  return Number.isInteger(cell) ? cell.toLocaleString("en") : numbers.short(cell);
}

function title(cell: Cell, place: Place): string | undefined {
  const of = place ? state.addressOf({ stage: place[0], row: place[1], column: place[2] }) : "";
  return typeof cell === "number" ? `${numbers.long(cell)}${of && `, ${of}`}` : of || undefined;
}

/** Arrows go from cell to cell, Enter looks at what a cell speaks of. */
function tableKey(event: KeyboardEvent): void {
  const cell = (event.target as HTMLElement).closest("td");
  if (!cell || event.altKey || event.ctrlKey) return;
  if (event.key === "Enter") return cell.click();
  const row = cell.parentElement as HTMLTableRowElement;
  const next: Readonly<Record<string, Element | null | undefined>> = {
    ArrowLeft: cell.previousElementSibling,
    ArrowRight: cell.nextElementSibling,
    ArrowUp: row.previousElementSibling?.children[cell.cellIndex],
    ArrowDown: row.nextElementSibling?.children[cell.cellIndex],
  };
  if (!(event.key in next)) return;
  event.preventDefault();
  (next[event.key] as HTMLElement | null | undefined)?.focus();
}
