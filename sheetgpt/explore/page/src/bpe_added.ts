/** Tokens that are found in a text before it is cut into words: the end of text, and what was added to a table. */
import { textOf, unspell } from "./words";

export const END_OF_TEXT = "<|endoftext|>";
const SPECIAL = /^<[^<>\p{White_Space}]+>$/u; // how a table that says nothing of them spells them
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u; // as Hugging Face's library has it
const SPACE = /\p{White_Space}/u;

/** A token, and how it is found: a special one only where it is asked for, others always. */
export interface Added {
  readonly id: number;
  readonly text: string;
  readonly special: boolean;
  readonly normalized: boolean; // those that are not are found first
  readonly single_word: boolean; // not inside of a word
  readonly lstrip: boolean; // with the spaces before it
  readonly rstrip: boolean; // with the spaces behind it
}

type Part = [text: string, id: number | null]; // a text that holds no such token, and the one behind it

/** The special tokens of a table that says nothing of them: `<...>` that no merge makes. */
export function inferred(tokens: readonly string[], made: readonly string[]): Added[] {
  const known = new Set(made);
  const how = { special: true, normalized: false, single_word: false, lstrip: false, rstrip: false };
  return tokens.flatMap((token, id) => (SPECIAL.test(token) && !known.has(token) ? [{ id, text: textOf(unspell(token)), ...how }] : []));
}

/** What stands in the table for a token that can't. */
export const standIn = (id: number): string => `#${id}`;

/** The text in parts; special tokens are found only where `special`. */
export function partsOf(text: string, added: readonly Added[], special: boolean): Part[] {
  if (!special && added.every((token) => token.special)) return [[text, null]];
  let parts: Part[] = [[text, null]];
  for (const late of [false, true]) {
    const group = added.filter((token) => token.normalized === late && token.text);
    if (group.length) parts = parts.flatMap((part) => split(part, group, special));
  }
  return parts;
}

/**
 * A part, cut where tokens of one group stand, the longest of those that begin at a place.
 *
 * subtle: a special token that is not asked for hides what is in it, and one that begins with spaces that the token
 * before took along is not found: so does Hugging Face's library.
 */
function split([text, behind]: Part, group: readonly Added[], special: boolean): Part[] {
  const byText = new Map(group.map((token) => [token.text, token]));
  const texts = [...byText.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(texts.map((one) => one.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"), "gu");
  const parts: Part[] = [];
  let begin = 0;
  for (const match of text.matchAll(pattern)) {
    const token = byText.get(match[0])!;
    let [start, stop] = [match.index, match.index + match[0].length];
    if (start < begin || (token.special && !special) || (token.single_word && isInsideWord(text, start, stop))) continue;
    while (token.lstrip && start > begin && SPACE.test(text[start - 1])) start--;
    while (token.rstrip && stop < text.length && SPACE.test(text[stop])) stop++;
    parts.push([text.slice(begin, start), token.id]);
    begin = stop;
  }
  return [...parts, [text.slice(begin), behind]];
}

const isInsideWord = (text: string, start: number, stop: number): boolean =>
  [Array.from(text.slice(Math.max(0, start - 2), start)).at(-1), Array.from(text.slice(stop, stop + 2))[0]].some((one) => one !== undefined && WORD.test(one));
