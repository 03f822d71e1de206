/** Pictures of matrices on canvas, at the device's own pixels. */
import { useCanvas } from "./canvas";
import { changed, diverging, mix, share, type Rgb, type Theme } from "./colours";
import type { Picture, StageInfo, Step } from "./source";
import { theme } from "./state";
import { FULL, MASKED } from "./thumbnail";

const FADED = 0.4; // of values under changes

type Fill = (part: number) => Rgb; // of a pixel, -1 to 1

/** How a stage's picture is coloured. */
function fillOf(step: Step | undefined, picture: Picture, colours: Theme): Fill {
  return step?.shares ? (part) => share(colours, part * picture.end) : (part) => diverging(colours, part, 1);
}

/** The colours of a picture, pixel by pixel. */
function colours(picture: Picture, fill: Fill, mask: Rgb): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(picture.pixels.length * 4);
  const colour = known((pixel) => (pixel === MASKED ? mask : fill(pixel / FULL)));
  picture.pixels.forEach((pixel, i) => put(rgba, i, colour(pixel)));
  return rgba;
}

/** A pixel's colour, mixed once for all pixels of its size. */
function known(fill: (pixel: number) => Rgb): (pixel: number) => Rgb {
  const found: Rgb[] = [];
  return (pixel) => (found[pixel - MASKED] ??= fill(pixel));
}

function put(rgba: Uint8ClampedArray, i: number, [red, green, blue]: Rgb): void {
  const at = 4 * i;
  rgba[at] = red;
  rgba[at + 1] = green;
  rgba[at + 2] = blue;
  rgba[at + 3] = 255;
}

const scratch = new OffscreenCanvas(1, 1); // a picture in its own size, before it is drawn in boxes

/** A picture over the whole canvas, its pixels as even boxes. */
export function paint(canvas: HTMLCanvasElement, picture: Picture, rgba: Uint8ClampedArray<ArrayBuffer>, heads = 1, border = ""): void {
  const context = canvas.getContext("2d");
  if (!context || !picture.width || !picture.height) return;
  [scratch.width, scratch.height] = [picture.width, picture.height];
  scratch.getContext("2d")!.putImageData(new ImageData(rgba, picture.width, picture.height), 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, 0, 0, canvas.width, canvas.height);
  if (heads > 1 && border) {
    context.fillStyle = border;
    for (let head = 1; head < heads; head++) context.fillRect(Math.round((head * canvas.width) / heads), 0, Math.max(1, Math.floor(devicePixelRatio || 1)), canvas.height);
  }
}

interface ThumbnailProps {
  readonly info: StageInfo | undefined;
  readonly step: Step | undefined;
  readonly className?: string;
  readonly stale?: boolean;
  readonly changesOnly?: boolean;
}

/** A stage in colours; with changes its values faded, and what changed above them. */
export function Thumbnail({ info, step, className = "thumbnail", stale = false, changesOnly = false }: ThumbnailProps) {
  const now = theme.value;
  const draw = (canvas: HTMLCanvasElement): void => {
    if (!info) return;
    const heads = step?.byHead ? step.groups : 1;
    paint(canvas, info.picture, stageColours(info, step, now, changesOnly), heads, now.dark ? "#4A5864" : "#A9B4C0");
  };
  const canvas = useCanvas(draw, [info, step, now, changesOnly]);
  return <canvas ref={canvas} class={className} data-stale={stale} aria-hidden="true" />;
}

function stageColours(info: StageInfo, step: Step | undefined, now: Theme, changesOnly: boolean): Uint8ClampedArray<ArrayBuffer> {
  const { change, picture } = info;
  const fill = fillOf(step, picture, now);
  const faded: Fill = change ? (part) => mix(now.zero, fill(part), changesOnly ? 0 : FADED) : fill;
  const rgba = colours(picture, faded, changesOnly ? now.zero : now.mask);
  if (change && change.picture.pixels.length === picture.pixels.length) {
    const tint = known((pixel) => changed(now, pixel / FULL, 1));
    change.picture.pixels.forEach((pixel, i) => pixel && put(rgba, i, tint(pixel)));
  }
  return rgba;
}

/** Differences in colours, `end` in full. */
export function DifferencePicture({ picture, end, className = "thumbnail" }: { picture: Picture; end: number; className?: string }) {
  const now = theme.value;
  const draw = (canvas: HTMLCanvasElement): void => paint(canvas, picture, colours(picture, (part) => diverging(now, part * picture.end, end), now.mask));
  const canvas = useCanvas(draw, [picture, end, now]);
  return <canvas ref={canvas} class={className} aria-hidden="true" />;
}

/** A row of boxes of these widths in turn of two tints: words, tokens. */
export function Pieces({ lengths, depth = 1 }: { lengths: readonly (readonly number[])[]; depth?: number }) {
  const now = theme.value;
  const canvas = useCanvas((element) => drawPieces(element, lengths, depth, now), [JSON.stringify(lengths), now]);
  return <canvas ref={canvas} class="thumbnail" aria-hidden="true" />;
}

function drawPieces(canvas: HTMLCanvasElement, lengths: readonly (readonly number[])[], depth: number, now: Theme): void {
  const context = canvas.getContext("2d")!;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const height = canvas.height / Math.max(depth, lengths.length);
  lengths.forEach((row, line) => {
    const total = row.reduce((sum, one) => sum + one, 0) || 1;
    let at = 0;
    row.forEach((one, i) => {
      const [left, right] = [(at * canvas.width) / total, ((at + one) * canvas.width) / total];
      const [red, green, blue] = mix(now.zero, now.words[lengths.length > 1 ? 1 : 0], i % 2 ? 0.55 : 0.95);
      context.fillStyle = `rgb(${red},${green},${blue})`;
      context.fillRect(Math.round(left), Math.round(line * height), Math.max(1, Math.round(right) - Math.round(left) - 1), Math.max(1, Math.floor(height) - (lengths.length > 1 ? 1 : 0)));
      at += one;
    });
  });
}
