/** One head, or all of them, as a picture with labels: tokens by the tokens that they look at. */
import { changed, css, inkOn, mix, share, type Rgb, type Theme } from "./colours";
import { isHidden } from "./heads";
import * as numbers from "./numbers";
import { moved, width, type Scene, type SceneBox, type SceneText } from "./scene";
import type { Step } from "./source";

const LABEL = 12; // px of the labels' type
const SMALLEST = 11; // px that a label needs
const LEVEL = 44; // px of a cell from which on the labels of keys stand level
const ROOM = { least: 46, most: 112 };
const FADED = 0.4; // of shares under changes, as in thumbnails
const NUMBERED = 26; // px of a cell that holds a number

/** Colours that the theme's scales don't hold. */
export interface Inks {
  readonly theme: Theme;
  readonly ink: string;
  readonly mute: string;
  readonly hidden: Rgb; // cells that may not be looked at
}

export interface HeadPicture {
  readonly step: Step;
  readonly head: number;
  readonly tokens: readonly string[]; // as they are shown, one a row
  readonly value: (row: number, key: number) => number | undefined;
  readonly before: ((row: number, key: number) => number | undefined) | null; // where something is changed
  readonly changeEnd: number;
  readonly cell: number; // px
  readonly bold: { readonly row: number; readonly key: number } | null;
  readonly inks: Inks;
}

/** The part that is in view: pixels from the first cell, and how many there are to see, labels included. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The room that labels take, at the left and above. */
export function margins(tokens: readonly string[], cell: number): { readonly left: number; readonly top: number } {
  const longest = Math.max(0, ...tokens.map((token) => width(token, LABEL)));
  const left = Math.max(ROOM.least, Math.min(ROOM.most, longest + 16));
  return { left, top: cell >= LEVEL ? 36 : Math.min(ROOM.most, longest + 10) + 18 };
}

/** All of a head, or what is in view of it. */
export function headScene(picture: HeadPicture, view?: Frame): Scene {
  const { tokens, cell, inks } = picture;
  const room = margins(tokens, cell);
  const size = tokens.length * cell;
  const frame = view ?? { left: 0, top: 0, width: room.left + size + 1, height: room.top + size + 1 };
  const seen = (from: number, length: number): readonly [number, number] => [Math.floor(from / cell), Math.min(tokens.length, Math.ceil((from + length) / cell))];
  const [rows, keys] = [seen(frame.top, frame.height - room.top), seen(frame.left, frame.width - room.left)];
  const origin = { x: room.left - frame.left, y: room.top - frame.top };
  const cells = range(rows).flatMap((row) => range(keys).flatMap((key) => cellMarks(picture, row, key, view === undefined)));
  const background = css(inks.theme.zero);
  const bands: SceneBox[] = [
    { x: 0, y: 0, width: frame.width, height: room.top, fill: background },
    { x: 0, y: 0, width: room.left, height: frame.height, fill: background },
  ];
  const corner: SceneBox = { x: 0, y: 0, width: room.left, height: room.top, fill: background };
  const every = Math.ceil(SMALLEST / cell);
  const named = (i: number): boolean => i % every === 0;
  return {
    width: frame.width,
    height: frame.height,
    background,
    marks: [
      ...moved(cells, origin.x, origin.y),
      ...(view ? bands : []),
      ...range(rows).filter(named).map((row) => rowLabel(picture, row, room.left, origin.y)),
      ...range(keys).filter(named).map((key) => keyLabel(picture, key, origin.x, room.top)),
      ...(view ? [corner] : []),
      { x: room.left - 8, y: 13, text: "from", size: 10.5, fill: inks.mute, anchor: "end", italic: true },
      { x: room.left + 2, y: 13, text: "looks at", size: 10.5, fill: inks.mute, italic: true },
    ],
  };
}

const range = ([from, to]: readonly [number, number]): number[] => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

function rowLabel({ tokens, cell, bold, inks }: HeadPicture, row: number, left: number, top: number): SceneText {
  const size = Math.min(LABEL, Math.max(8, cell - 1));
  return { x: left - 8, y: top + (row + 0.5) * cell + size * 0.35, text: fitting(tokens[row]!, left - 12, size), size, fill: inks.ink, anchor: "end", bold: bold?.row === row };
}

function keyLabel({ tokens, cell, bold, inks }: HeadPicture, key: number, left: number, top: number): SceneText {
  const x = left + (key + 0.5) * cell;
  const look = { fill: inks.ink, bold: bold?.key === key };
  if (cell >= LEVEL) return { x, y: top - 7, text: fitting(tokens[key]!, cell - 2, LABEL), size: LABEL, anchor: "middle", ...look };
  const size = Math.min(LABEL, Math.max(8, cell - 1));
  return { x: x + size * 0.35, y: top - 6, text: fitting(tokens[key]!, top - 24, size), size, turned: true, ...look };
}

/** As much of a text as there is room for. */
function fitting(text: string, room: number, size: number): string {
  const most = Math.max(1, Math.floor(room / (size * 0.58)));
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, Math.max(1, most - 1)).join("")}…`;
}

/** A cell: its colour, its number where there is room, and the way it moved; with what it says, where that is saved. */
function cellMarks(picture: HeadPicture, row: number, key: number, isSaved: boolean): (SceneBox | SceneText)[] {
  const { step, cell, inks, tokens } = picture;
  const value = picture.value(row, key);
  const gap = cell >= 20 ? 2 : cell >= 8 ? 1 : 0;
  const box = { x: key * cell, y: row * cell, width: cell - gap, height: cell - gap };
  if (value === undefined || isHidden(step, row, key, value)) return [{ ...box, fill: css(inks.hidden) }];
  const old = picture.before?.(row, key);
  const by = old === undefined ? 0 : value - old;
  const fill = by ? changed(inks.theme, by, picture.changeEnd) : picture.before ? inks.theme.zero : share(inks.theme, value);
  const title = (): string => `${tokens[row]} looks at ${tokens[key]}: ${numbers.short(value)}${by ? `, was ${numbers.short(old!)}` : ""}`;
  const marks: (SceneBox | SceneText)[] = [{ ...box, fill: css(fill), ...(isSaved ? { value, title: title() } : {}) }];
  if (cell < NUMBERED) return marks;
  const ink = inkOn(inks.theme, fill);
  marks.push({ x: box.x + box.width / 2, y: box.y + box.height / 2 + 4, text: inCell(value, cell), size: cell < 40 ? 10.5 : LABEL, fill: ink, anchor: "middle" });
  if (by) marks.push({ x: box.x + 3, y: box.y + 9, text: by > 0 ? "▲" : "▼", size: 7, fill: ink });
  return marks;
}

/** A share in the room of a cell: `0.793`, `.79`. */
const inCell = (value: number, cell: number): string => (cell >= 40 ? numbers.cell(value, 3) : value === 0 ? "0" : value.toFixed(2).replace(/^0\./, "."));

// ------------------------------------------------------------------------------------------------ small maps

/** The colour of a cell of a small map; changes lie over faded shares. */
export function mapColour(inks: Inks, step: Step, row: number, key: number, value: number, old: number | null, end: number): Rgb {
  if (isHidden(step, row, key, value)) return inks.hidden;
  const plain = share(inks.theme, value);
  if (old === null) return plain;
  return value === old ? mix(inks.theme.zero, plain, FADED) : changed(inks.theme, value - old, end / 2);
}
