/**
 * Text -> tokens -> text by a merge table: byte-pair encoding as GPT-2 does it, with every pass on record.
 *
 * The tables come as data. Words and letters come from `words`, tokens that stand between words from `bpe_added`.
 */
import { type Added, END_OF_TEXT, inferred, partsOf, standIn } from "./bpe_added";
import { MergeTrace } from "./bpe_trace";
import { cut, isCharacter, isLetter, spell, textOf, unspell } from "./words";

/** The tables of one model, spelled as in its files. */
export interface Tables {
  readonly merges: readonly (readonly [left: string, right: string])[]; // by rank
  readonly scores: readonly number[]; // one for each merge, never rising
  readonly tokens: readonly string[]; // row number = id
  readonly added: readonly Added[] | null; // found before words are cut; null: those spelled `<...>`, where asked for
}

const pairKey = (left: string, right: string): string => `${left}\n${right}`; // no token holds a line break

export class Tokenizer {
  readonly tokens: readonly string[];
  readonly added: readonly Added[];
  private readonly scores = new Map<string, number>();
  private readonly ranks = new Map<string, number>();
  private readonly ids = new Map<string, number>();
  private characters?: boolean;
  private readonly says: boolean; // does the model's folder say which tokens were added?

  constructor({ merges, scores, tokens, added }: Tables) {
    this.tokens = tokens;
    this.says = added !== null;
    this.added = added ?? inferred(tokens, merges.map(([left, right]) => left + right));
    // subtle: merges of equal score share a rank, so that the first of them in the word is merged, as in the sheet
    const rankOfScore = new Map([...new Set(scores)].map((score, rank) => [score, rank]));
    merges.forEach(([left, right], i) => {
      this.scores.set(pairKey(left, right), scores[i]);
      this.ranks.set(pairKey(left, right), rankOfScore.get(scores[i])!);
    });
    tokens.forEach((token, id) => this.ids.set(token, id));
  }

  /** The ids of a text. special: each special token in it is one token, not the letters that spell it. */
  encode = (text: string, special = false): number[] => this.trace(text, special).ids;

  /** Everything of the text's encoding. Throws where the table has no token for a character. */
  trace(text: string, special = false): MergeTrace {
    const words: string[][] = [];
    const whole = new Set<number>(); // words that are tokens as they stand
    for (const [part, found] of this.parts(text, special)) {
      words.push(...cut(part).map((word) => Array.from(spell(word))));
      if (found !== null) whole.add(words.push([this.tokens[found]]) - 1);
    }
    return new MergeTrace(this, words, whole);
  }

  private parts(text: string, special: boolean): [part: string, id: number | null][] {
    if (!this.says && !special) return [[text, null]];
    if (!this.says && !this.ids.has(END_OF_TEXT) && text.includes(END_OF_TEXT)) {
      throw new Error(`bpe_token_ids.csv has no token ${END_OF_TEXT}: encode the text without special tokens`);
    }
    return partsOf(text, this.added, special);
  }

  /** The text that the ids stand for; bytes that are no UTF-8 (half a character, say) as U+FFFD. */
  decode(ids: Iterable<number>): string {
    return textOf(Uint8Array.from(Array.from(ids, (id) => [...this.bytes(id)]).flat()));
  }

  private bytes(id: number): Uint8Array {
    if (!(id in this.tokens)) throw new Error(`there is no token id ${id}: bpe_token_ids.csv has the ids 0 to ${this.tokens.length - 1}`);
    const text = this.says && this.tokens[id] === standIn(id) ? this.added.find((one) => one.id === id)?.text : undefined;
    return text === undefined ? unspell(this.tokens[id]) : new TextEncoder().encode(text);
  }

  /** The ids of tokens that merging made. Throws for one that the table has not. */
  idsOf(tokens: readonly string[]): number[] {
    return tokens.map((token) => {
      const id = this.ids.get(token);
      if (id !== undefined) return id;
      if (isLetter(token)) throw new Error(`the model has no token for ${JSON.stringify(characterAt(tokens, token))}: leave it out`);
      throw new Error(`bpe_token_ids.csv has no token ${JSON.stringify(token)}: the model has no row for it, avoid this text`);
    });
  }

  /** The score of a pair; undefined where no merge joins it. */
  score = (left: string, right: string): number | undefined => this.scores.get(pairKey(left, right));

  /**
   * Merges the pair of lowest rank, the first of the best, again and again, in place; yields where each pair stands
   * before it is merged. In the end `symbols` holds the tokens.
   */
  *mergePasses(symbols: string[]): Generator<number> {
    const rank = (at: number): number => this.ranks.get(pairKey(symbols[at], symbols[at + 1])) ?? Infinity;
    const ranks = symbols.slice(1).map((_, at) => rank(at)); // of the pair that begins here
    for (;;) {
      const place = ranks.reduce((best, one, at) => (one < ranks[best] ? at : best), 0);
      if (!(ranks[place] < Infinity)) return;
      yield place;
      symbols.splice(place, 2, symbols[place] + symbols[place + 1]);
      ranks.splice(place, 1);
      if (place > 0) ranks[place - 1] = rank(place - 1);
      if (place < ranks.length) ranks[place] = rank(place);
    }
  }

  /** The tokens that a word's symbols become. */
  finalSymbols(symbols: readonly string[]): string[] {
    const tokens = [...symbols];
    for (const _ of this.mergePasses(tokens));
    return tokens;
  }

  /** The id that ends a document: `<|endoftext|>`, or the last one where every token is a single character. */
  get endOfText(): number | null {
    return this.ids.get(END_OF_TEXT) ?? (this.hasCharactersOnly ? this.tokens.length - 1 : null);
  }

  /** Is every token one character (but `<|endoftext|>`)? */
  get hasCharactersOnly(): boolean {
    return (this.characters ??= this.tokens.every((token, id) => token === END_OF_TEXT || isCharacter(this.bytes(id))));
  }

  /** A token: a character as a person types it, others as the token table spells them. */
  readable = (id: number): string => (this.hasCharactersOnly ? textOf(unspell(this.tokens[id])) : this.tokens[id]);
}

/** The character of a word that a token stands for, or for a byte of. */
function characterAt(tokens: readonly string[], token: string): string {
  const before = unspell(tokens.slice(0, tokens.indexOf(token)).join(""));
  const whole = textOf(unspell(tokens.join("")));
  const begun = Array.from(textOf(before).replace(/\ufffd+$/, "")).length;
  return Array.from(whole)[begun];
}
