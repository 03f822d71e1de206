/** Texts as training sees them: what stands before each prediction, what comes, and its share of the loss. */
import type { Tokenizer } from "./bpe";

export interface Example {
  readonly ids: readonly number[];
  readonly targets: readonly number[];
  readonly share: readonly number[]; // adds up to 1 over all examples of a step
  readonly context: readonly string[]; // the tokens of `ids`
  readonly coming: readonly string[]; // the tokens of `targets`
}

/** How documents become examples: the token that ends one, and whether characters are its tokens. */
export interface Reading {
  readonly end: number | null;
  readonly characters: boolean; // a document of characters begins after an end token
  readonly room: number | null; // positions that the context holds; null where it has no end
  readonly readable: (id: number) => string;
}

/**
 * A document as training sees it: one of characters begins after an end token, others with their first token; after
 * the last token comes the end token. Throws where there is nothing to learn from.
 */
export function exampleOfIds(ids: readonly number[], { end, characters, room, readable }: Reading): Example {
  let [before, coming] = [ids.slice(0, -1), ids.slice(1)];
  if (end !== null && characters) [before, coming] = [[end, ...ids], [...ids, end]];
  else if (end !== null) [before, coming] = [[...ids], [...ids.slice(1), end]];
  if (!before.length || (end !== null && !ids.length)) throw new Error("there is nothing to learn from: give a text of more tokens");
  if (room !== null && before.length > room) {
    throw new Error(`the text takes ${before.length} positions and the model's context holds ${room}: shorten it`);
  }
  const share = before.map(() => 1 / before.length);
  return { ids: before, targets: coming, share, context: before.map(readable), coming: coming.map(readable) };
}

/** The same of a text. room: as in `Reading`. */
export const exampleOf = (tokenizer: Tokenizer, text: string, room: number | null): Example =>
  exampleOfIds(tokenizer.encode(text), { end: tokenizer.endOfText, characters: tokenizer.hasCharactersOnly, room, readable: tokenizer.readable });

/** Examples of one step: each prediction has the same share of the loss. */
export function batchOf(examples: readonly Example[]): Example[] {
  const count = examples.reduce((sum, { ids }) => sum + ids.length, 0);
  return examples.map((example) => ({ ...example, share: example.ids.map(() => 1 / count) }));
}
