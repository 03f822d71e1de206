/** Scales and what stands on them: shares, values, changes, differences, each with one meaning. */

export type Rgb = readonly [number, number, number];

export interface Theme {
  readonly dark: boolean;
  readonly zero: Rgb; // what a scale fades to
  readonly low: Rgb;
  readonly high: Rgb;
  readonly share: Rgb;
  readonly changes: readonly [Rgb, Rgb, Rgb];
  readonly mask: Rgb;
  readonly ink: string;
  readonly words: readonly [Rgb, Rgb];
}

const hex = (text: string): Rgb => [0, 2, 4].map((at) => parseInt(text.slice(at, at + 2), 16)) as unknown as Rgb;

export const LIGHT: Theme = {
  dark: false,
  zero: hex("FFFFFF"),
  low: hex("4FA3A5"),
  high: hex("E0A96D"),
  share: hex("4FA3A5"),
  changes: [hex("FFE9A8"), hex("FFC94A"), hex("E8923C")],
  mask: hex("E4E9ED"),
  ink: "#1F2933",
  words: [hex("A9B4C0"), hex("4FA3A5")],
};

export const DARK: Theme = {
  dark: true,
  zero: hex("12181D"),
  low: hex("4FA3A5"),
  high: hex("D99A56"),
  share: hex("5FB9BB"),
  changes: [hex("4A3B12"), hex("B98A1E"), hex("F0A04B")],
  mask: hex("232C34"),
  ink: "#E3E8EC",
  words: [hex("4A5864"), hex("5FB9BB")],
};

export const mix = (from: Rgb, to: Rgb, part: number): Rgb =>
  [0, 1, 2].map((i) => Math.round(from[i]! + (to[i]! - from[i]!) * part)) as unknown as Rgb;

export const css = ([red, green, blue]: Rgb): string => `rgb(${red},${green},${blue})`;

const within = (x: number): number => (x < 0 ? 0 : x > 1 ? 1 : x);

/** 0 is the page's own colour, 1 the share's. */
export const share = (theme: Theme, value: number): Rgb => mix(theme.zero, theme.share, within(value));

/** Symmetric about 0; `end` has the full colour. */
export function diverging(theme: Theme, value: number, end: number): Rgb {
  const part = within(Math.abs(value) / (end || 1));
  return mix(theme.zero, value < 0 ? theme.low : theme.high, Number.isFinite(part) ? part : 0);
}

const STEPS = [0, 0.15, 0.5, 1];

/** By the size of a change; any change begins at half of the first step, so that it is seen. */
export function changed(theme: Theme, change: number, end: number): Rgb {
  if (change === 0) return theme.zero;
  const part = Math.max(STEPS[1]! / 2, Number.isFinite(change) ? within(Math.abs(change) / (end || 1)) : 1);
  const colours = [theme.zero, ...theme.changes];
  const step = STEPS.findIndex((limit, i) => i > 0 && part <= limit);
  return mix(colours[step - 1]!, colours[step]!, (part - STEPS[step - 1]!) / (STEPS[step]! - STEPS[step - 1]!));
}

/** Relative luminance, 0 to 1 (WCAG 2). */
function luminance(rgb: Rgb): number {
  const [red, green, blue] = rgb.map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** The colour of text on a fill: never under 4.5:1. */
export function inkOn(theme: Theme, fill: Rgb): string {
  if (!theme.dark) return theme.ink;
  const light = luminance(fill);
  return light > 0.179 ? "#000" : light > 0.06 ? "#FFF" : theme.ink;
}
