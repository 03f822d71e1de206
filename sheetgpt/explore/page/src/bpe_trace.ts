/** The encoding of one text: its words, their tokens and ids, and every merge pass between them. */
import type { Tokenizer } from "./bpe";

/** A pass of one word: its symbols, and the place of the pair that merges; null where none is left. */
interface Pass {
  readonly symbols: readonly string[];
  readonly place: number | null;
}

export type Row = (string | number)[]; // of a table as the reference lays it out

export class MergeTrace {
  readonly words: readonly string[];
  readonly tokens: readonly string[];
  readonly ids: number[];
  readonly nPasses: number; // the length of the longest word; the last passes may be idle
  private readonly byWord: readonly string[][]; // the tokens of each
  private readonly passed: Pass[][] = []; // of each word, as soon as it is asked for; the last has no pair

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly letters: readonly string[][],
    readonly whole: ReadonlySet<number>, // the words that are tokens as they stand
  ) {
    this.words = letters.map((word) => word.join(""));
    this.byWord = letters.map((word) => tokenizer.finalSymbols(word));
    this.tokens = this.byWord.flat();
    this.ids = this.byWord.flatMap((tokens) => tokenizer.idsOf(tokens));
    this.nPasses = letters.reduce((most, word) => Math.max(most, word.length), 0);
  }

  /** A pass of a word, both by number; a word that is done stays as it is. */
  pass(word: number, number: number): Pass {
    const passed = (this.passed[word] ??= passes(this.tokenizer, this.letters[word]));
    return passed[number] ?? passed.at(-1)!;
  }

  /** (rows, columns) of the table: it grows with the longest word's square. */
  get shape(): [rows: number, columns: number] {
    return [Math.max(7 * this.nPasses, 1), Math.max(this.words.length * (this.nPasses + 1), 1)];
  }

  /**
   * The merges as the reference lays them out: seven rows a pass, the first column holds their labels. Each word takes
   * as many columns as the longest has letters, with an empty one between words. The ids are texts.
   */
  table(): Row[] {
    const rows: Row[] = [];
    for (let number = 0; number < this.nPasses; number++) {
      const states = this.words.map((_, word) => this.pass(word, number));
      const scores = states.map(({ symbols }) => pairs(symbols).map(([left, right]) => this.tokenizer.score(left, right) ?? ""));
      rows.push(
        this.row(`Pass ${number}`, []),
        this.row("Input", states.map(({ symbols }) => symbols)),
        this.row("Pairs", states.map(({ symbols }) => pairs(symbols).map((pair) => pair.join(",")))),
        this.row("Scores", scores),
        this.row("Max Score", scores.map((row, word) => row.map((score, i) => (i === states[word].place ? score : "")))),
        this.row("Merged", states.map(({ symbols, place }) => merged(symbols, place))),
      );
      if (number < this.nPasses - 1) rows.push(this.row("", []));
    }
    return [...rows, this.row("TokenID", this.byWord.map((tokens) => this.tokenizer.idsOf(tokens).map(String)))];
  }

  private row(label: string, cells: readonly (readonly (string | number)[])[]): Row {
    const columns = this.shape[1];
    const row: Row = Array(columns).fill("");
    row[0] = label;
    cells.forEach((word, i) => word.forEach((cell, j) => (row[1 + i * (this.nPasses + 1) + j] = cell)));
    return row.slice(0, columns);
  }
}

function passes(tokenizer: Tokenizer, word: readonly string[]): Pass[] {
  const found: Pass[] = [];
  const symbols = [...word];
  for (const place of tokenizer.mergePasses(symbols)) found.push({ symbols: [...symbols], place });
  return [...found, { symbols, place: null }];
}

/** The symbols after the merge of the pair that begins at `place`. */
function merged(symbols: readonly string[], place: number | null): readonly string[] {
  return place === null ? symbols : [...symbols.slice(0, place), symbols[place] + symbols[place + 1], ...symbols.slice(place + 2)];
}

const pairs = (symbols: readonly string[]): [string, string][] => symbols.slice(1).map((right, i) => [symbols[i], right]);
