/** A source that asks the server which the page comes from: `explore/server.py`. */
import { matrix, type Matrix } from "./matrix";
import { revive } from "./numbers";
import { Refused, type Asked, type Change, type Differences, type Facts, type Origin, type Picture, type Region, type Run, type Source, type StageInfo, type Table, type WeightInfo } from "./source";

type Json = any; // what the server sends; its form is the types of `source.ts`

/** The server no longer keeps the run: it is asked for again. */
class Gone extends Error {}

async function answer(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, init);
  if (response.status === 410) throw new Gone();
  if (!response.ok) throw new Refused(await sentence(response));
  return response;
}

async function sentence(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return JSON.parse(text).error;
  } catch {
    return text.trim();
  }
}

const json = async (path: string): Promise<Json> => (await answer(path)).json();

function picture(data: Json): Picture {
  const bytes = Uint8Array.from(atob(data.pixels), (c) => c.charCodeAt(0));
  return { ...data, pixels: new Int8Array(bytes.buffer) };
}

const pictured = (data: Json): Json => ({ ...data, picture: data.picture && picture(data.picture) });

function stageOf(data: Json): StageInfo {
  const change: Change | null = data.change && { ...data.change, picture: picture(data.change.picture) };
  return { ...data, name: data.stage, picture: picture(data.picture), change };
}

async function doubles(response: Response): Promise<Matrix> {
  const shape = (axis: string): number => Number(response.headers.get(`x-${axis}`));
  return matrix(shape("rows"), shape("columns"), new Float64Array(await response.arrayBuffer()));
}

/** Lines of JSON, each as soon as it is there. */
async function* lines(response: Response): AsyncGenerator<Json> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const found = rest.split("\n");
    rest = found.pop()!;
    for (const line of found) yield JSON.parse(line, revive);
    if (done) return;
  }
}

export class Served implements Source {
  private tokens: Promise<readonly string[]> | null = null;
  readonly isServed = true;
  private readonly underWay = new Map<string, Promise<unknown>>(); // runs that are computed again, by id
  private readonly clean = new Map<string, Run>(); // runs without changes, by what was asked for

  private constructor(readonly facts: Facts) {}

  static async open(): Promise<Served> {
    const { compare, ...facts } = await json("facts");
    return new Served({ ...facts, compare: compare && { ...compare, stages: compare.stages.map(pictured) } });
  }

  differences = async (stage: string): Promise<Differences> => pictured(await json(`differences/${stage}`));

  vocabulary(): Promise<readonly string[]> {
    return (this.tokens ??= json("vocabulary"));
  }

  weight = (name: string): Promise<WeightInfo> | undefined => (this.facts.compare ? undefined : json(`weight/${name}`));

  async run(asked: Asked, onStage: (run: Run) => void = () => {}, signal?: AbortSignal): Promise<Run> {
    const before = asked.sets.length ? (this.known(asked) ?? (await this.run({ ...asked, sets: [] }, undefined, signal))) : null;
    const stages = new Map(before?.stages);
    const body = JSON.stringify(asked);
    const headers = { "content-type": "application/json" };
    const response = await answer("run", { method: "POST", headers, body, signal: signal ?? null });
    let run: Run = { ...(before ?? NOTHING), asked, stages, before, done: false, best: [], travel: [] };
    for await (const { error, run: id, stage, ...facts } of lines(response)) {
      if (error) throw new Refused(error);
      if (stage) stages.set(stage, stageOf({ stage, ...facts }));
      else run = { ...run, ...facts, id: id ?? run.id, done: facts.done ?? false };
      if (!run.done) onStage(run);
    }
    if (!before) this.keep(run);
    return run;
  }

  /** The run without changes, at once where it was asked for before: what is asked next then goes out before anything is drawn. */
  private known(asked: Asked): Run | undefined {
    return this.clean.get(JSON.stringify({ ...asked, sets: [] }));
  }

  private keep(run: Run): void {
    this.clean.set(JSON.stringify(run.asked), run);
    if (this.clean.size > 16) this.clean.delete(this.clean.keys().next().value!);
  }

  async cells(run: Run, { stage, row, column, rows, columns }: Region): Promise<Matrix> {
    const path = `cells/${run.id}/${stage}?row=${row}&column=${column}&rows=${rows}&columns=${columns}`;
    return doubles(await this.again(run, () => answer(path)));
  }

  async heads(run: Run, stage: string): Promise<Matrix> {
    return doubles(await this.again(run, () => answer(`heads/${run.id}/${stage}`)));
  }

  origin(run: Run, stage: string, row: number, column: number): Promise<Origin> {
    return this.again(run, async () => JSON.parse(await (await answer(`origin/${run.id}/${stage}?row=${row}&column=${column}`)).text(), revive));
  }

  lens(run: Run, name: string, options: Readonly<Record<string, string>>): Promise<readonly Table[]> {
    return this.again(run, () => json(`lens/${run.id}/${name}?${new URLSearchParams(options)}`));
  }

  workbook(run: Run, live: boolean): Promise<Blob> {
    return this.again(run, async () => (await answer(`workbook/${run.id}?live=${live ? 1 : 0}`)).blob());
  }

  /** A run once more, however many ask for it. */
  private computedAgain(run: Run): Promise<unknown> {
    const asked = this.underWay.get(run.id) ?? this.run(run.asked).finally(() => this.underWay.delete(run.id));
    this.underWay.set(run.id, asked);
    return asked;
  }

  /** What is asked, and once more where the server has to compute the run again. */
  private async again<T>(run: Run, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      await this.computedAgain(run);
      return ask();
    }
  }
}

const NOTHING = { id: "", prompt: null, ids: [], tokens: [], words: [], tables: {}, places: {}, notices: [] };
