/** The cells that are in view: asked for by tiles, kept for a while, drawn again when they arrive. */
import { signal } from "@preact/signals";
import type { Matrix } from "./matrix";
import { Refused, type Run, type Source } from "./source";

const ROWS = 64;
const COLUMNS = 128;
const RETRY = 2000; // ms
const MOST = 1000; // tiles of at most 64 kB that are kept

/** Counts what has arrived. */
const arrived = signal(0);

/** The run that holds a stage's or weight's numbers: the one without changes, where these didn't reach it. */
export function home(run: Run, stage: string): Run {
  const before = run.before;
  const isSet = run.asked.sets.some((set) => set.startsWith(`${stage}[`) || set.startsWith(`${stage}=`));
  return before && !isSet && run.stages.get(stage) === before.stages.get(stage) ? before : run;
}

export class Tiles {
  private readonly kept = new Map<string, Matrix | Promise<Matrix> | Error>();

  constructor(private readonly source: Source) {}

  /** A number; undefined until it is there. */
  at(run: Run, stage: string, row: number, column: number): number | undefined {
    void arrived.value; // who asks is drawn again when it comes
    if (!run.id || run.tables[stage]) return undefined; // no run yet; a stage of texts
    const tile = this.tile(run, stage, Math.floor(row / ROWS), Math.floor(column / COLUMNS));
    if (!tile) return undefined;
    return tile.data[(row % ROWS) * tile.columns + (column % COLUMNS)];
  }

  private tile(run: Run, stage: string, down: number, across: number): Matrix | null {
    const of = home(run, stage);
    if (!of.id) return null; // no run yet
    const key = `${of.id}/${stage}/${down}/${across}`;
    const found = this.kept.get(key);
    if (found instanceof Error) return null;
    if (found !== undefined) return found instanceof Promise ? null : found;
    const region = { stage, row: down * ROWS, column: across * COLUMNS, rows: ROWS, columns: COLUMNS };
    const keep = (tile: Matrix | Error): void => {
      this.kept.set(key, tile);
      arrived.value++;
    };
    const asked = this.source.cells(of, region);
    this.kept.set(key, asked);
    asked.then(keep, (error: Error) => {
      keep(error);
      if (!(error instanceof Refused)) setTimeout(() => this.kept.delete(key) && arrived.value++, RETRY); // the server may be back
    });
    this.letGo();
    return null;
  }

  private letGo(): void {
    for (const key of this.kept.keys()) {
      if (this.kept.size <= MOST) return;
      this.kept.delete(key);
    }
  }
}
