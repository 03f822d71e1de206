/** What a page that is a file holds: the model as data, packed. `explore/export.py` writes it. */
import type { Tables } from "./bpe";
import { matrix, type Matrix } from "./matrix";
import type { Facts, Place, Table } from "./source";

interface Packed {
  readonly rows: number;
  readonly columns: number;
  readonly data: readonly number[];
}

/** A formula of the live workbook, and the cells that it fills. */
type Piece = readonly [row: number, column: number, rows: number, columns: number, formula: string];

/** The run of a page that doesn't compute. */
interface Recorded {
  readonly prompt: string | null;
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  readonly words: readonly string[];
  readonly tables: Readonly<Record<string, readonly (readonly unknown[])[]>>;
  readonly notices: readonly string[];
  readonly stages: Readonly<Record<string, Packed>>;
}

export interface PageData {
  readonly facts: Facts;
  readonly vocabulary: readonly string[];
  readonly tokenizer: Tables | null;
  readonly weights: Readonly<Record<string, Packed>> | null; // null: the page shows one run
  readonly workbook: {
    readonly tokens: number; // places and formulas are those of prompts so long
    readonly places: Readonly<Record<string, Place>>;
    readonly formulas: Readonly<Record<string, readonly Piece[]>>;
  };
  readonly lenses: Readonly<Record<string, readonly Table[]>>; // on the first run, by name
  readonly run: Recorded | null;
}

const unpacked = ({ rows, columns, data }: Packed): Matrix => matrix(rows, columns, Float64Array.from(data));

export const unpackedAll = (all: Readonly<Record<string, Packed>>): Map<string, Matrix> =>
  new Map(Object.entries(all).map(([name, one]) => [name, unpacked(one)]));

/** The page's data; null where the page comes from a server. */
export async function pageData(): Promise<PageData | null> {
  const element = document.getElementById("data");
  if (!element) return null;
  const bytes = Uint8Array.from(atob(element.textContent!), (c) => c.charCodeAt(0));
  element.remove();
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
