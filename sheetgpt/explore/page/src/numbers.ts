/** Numbers as they are shown: U+2212 as the minus, zeros that are exact as `0`, masks short. */
import { isMasked as isMaskedOrNone } from "./ops_attention";

const minus = (text: string): string => text.replace("-", "−");

/** A cell that is no number is no mask: it is shown as what it is. */
export const isMasked = (x: number): boolean => !Number.isNaN(x) && isMaskedOrNone(x);

/** In a cell: `0` is exact, `0.000` is rounded; masks and what is too large for the column by powers of ten. */
export function cell(x: number, decimals: number): string {
  if (x === 0) return "0";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (Math.abs(x) >= 1e6) return minus(x.toExponential(0).toUpperCase());
  const text = x.toFixed(decimals);
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
}

/** 12 significant digits, as the value box has it. */
export const long = (x: number): string => (Number.isFinite(x) ? minus(String(Number(x.toPrecision(12)))) : cell(x, 3));

/** All digits, with an ASCII minus: what is copied. */
export const full = (x: number): string => String(x);

/** Three decimals, or powers of ten where that would say nothing; `–` where there is no number. */
export function short(x: number | null, decimals = 3): string {
  if (x === null) return "–";
  if (!Number.isFinite(x)) return cell(x, decimals);
  const size = Math.abs(x);
  return size !== 0 && (size < 0.5 * 10 ** -decimals || size >= 1e6) ? power(x) : cell(x, decimals);
}

/** `2.3e−4`. */
export const power = (x: number): string => (x === 0 || !Number.isFinite(x) ? cell(x, 0) : minus(x.toExponential(1).replace("e-", "e−").replace("e+", "e")));

/** The size of a difference: `2.3e−4`; three decimals where it is as large as that. */
export const size = (x: number): string => (Math.abs(x) < 0.1 ? power(x) : short(x, 3));

/** The same with its sign: `+2.3e−4`. */
export const difference = (x: number): string => (x > 0 ? "+" : "") + size(x);

export const percent = (x: number): string => (Number.isNaN(x) ? "NaN" : `${(100 * x).toFixed(2)}%`);

const SENT: Readonly<Record<string, number>> = { nan: NaN, inf: Infinity, "-inf": -Infinity };
const FIELDS = "value left right total largest ratio logit probability largest_change least mean greatest deviation".split(" ");

/** A number as the server sends it: a text where JSON has none for it. */
export const numberOf = (sent: number | string): number => (typeof sent === "number" ? sent : SENT[sent] ?? NaN);

/** For `JSON.parse`: the fields of runs and origins that are numbers. */
export const revive = (name: string, sent: unknown): unknown =>
  typeof sent === "string" && sent in SENT && FIELDS.includes(name) ? numberOf(sent) : sent;

/** A typed number: a decimal comma and U+2212 are taken too; null where it is none. */
export function parse(text: string): number | null {
  const plain = text.trim().replace(/−/g, "-").replace(/^(-?\d+),(\d+)$/, (all, whole: string, part: string) => (part.length === 3 && whole.length <= 4 ? all : `${whole}.${part}`)); // 1,234 may be either
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) && Number.isFinite(Number(plain)) ? Number(plain) : null;
}
