/** Sizes as styles: numbers are pixels. */
export const px = (sizes: Readonly<Record<string, number | string | undefined>>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, typeof size === "number" ? `${size}px` : size]));
