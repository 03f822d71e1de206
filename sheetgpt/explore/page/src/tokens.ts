/** Tokens as they are shown: spaces as `·`, line ends as `⏎`, other bytes by their code; never trimmed. */

const CONTROL = /[\u0000-\u001f\u007f-\u00a0\u200b-\u200f\u2028\u2029\ufeff]/gu;

export const shown = (token: string): string =>
  token
    .replace(/ /g, "·")
    .replace(/\n/g, "⏎")
    .replace(CONTROL, (c) => {
      const code = c.codePointAt(0)!;
      return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    });
