/**
 * Text -> words -> letters: GPT-2's pattern cuts a text into words, GPT-2's alphabet spells bytes as letters.
 *
 * Both are fixed; the table that a model learned, and merging by it, belongs in `bpe`.
 */

// Contractions, then letters, digits, or anything else, each with one space before it; then spaces.
// subtle: JavaScript's \s counts U+FEFF among spaces and U+0085 not, so spaces are asked for by their Unicode property
const PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const PLAIN = [range("!", "~"), range("¡", "¬"), range("®", "ÿ")].flat();
const OTHERS = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !PLAIN.includes(byte));
const LETTER_OF_BYTE = new Map([
  ...PLAIN.map((byte): [number, string] => [byte, String.fromCharCode(byte)]),
  ...OTHERS.map((byte, i): [number, string] => [byte, String.fromCharCode(256 + i)]),
  [0x20, " "], // GPT-2 writes Ġ, the weight files a literal space
]);
const BYTE_OF_LETTER = new Map([...LETTER_OF_BYTE].map(([byte, letter]) => [letter, byte]));

function range(first: string, last: string): number[] {
  const begin = first.charCodeAt(0);
  return Array.from({ length: last.charCodeAt(0) - begin + 1 }, (_, i) => begin + i);
}

/** The letters that spell bytes: every table of merges begins with them. */
export const isLetter = (text: string): boolean => BYTE_OF_LETTER.has(text);

/** The words of a text, as GPT-2 cuts it; joined they are the text again. */
export const cut = (text: string): string[] => text.match(PATTERN) ?? [];

/** The UTF-8 bytes of a text as letters. Throws where the text is no Unicode. */
export function spell(text: string): string {
  const lone = /\p{Surrogate}/u.exec(text);
  if (lone) throw new Error(`the text is no Unicode: it has the lone surrogate U+${lone[0].charCodeAt(0).toString(16).toUpperCase()}`);
  return Array.from(new TextEncoder().encode(text), (byte) => LETTER_OF_BYTE.get(byte)!).join("");
}

/** The bytes of a token. A token that is not spelled in letters (some special ones) stands for its own text. */
export function unspell(token: string): Uint8Array {
  const bytes = Array.from(token, (letter) => BYTE_OF_LETTER.get(letter));
  return bytes.includes(undefined) ? new TextEncoder().encode(token) : Uint8Array.from(bytes as number[]);
}

/** The text of bytes; what is no UTF-8 as U+FFFD. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Are the bytes one whole character? */
export function isCharacter(bytes: Uint8Array): boolean {
  try {
    return Array.from(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)).length === 1;
  } catch {
    return false;
  }
}
