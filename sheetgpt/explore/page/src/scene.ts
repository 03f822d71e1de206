/** A picture as boxes and texts, drawn on a canvas, or written as SVG or PNG: what is saved is what is seen. */

export interface SceneBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
  readonly title?: string; // said when the pointer rests on it, in a saved SVG
  readonly value?: number; // the number it stands for, with every digit in a saved SVG
}

export interface SceneText {
  readonly x: number;
  readonly y: number; // of the baseline
  readonly text: string;
  readonly size: number;
  readonly fill: string;
  readonly anchor?: "start" | "middle" | "end";
  readonly bold?: boolean;
  readonly italic?: boolean;
  readonly turned?: boolean; // reads upwards
}

export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly background: string;
  readonly marks: readonly (SceneBox | SceneText)[]; // later ones lie over earlier ones
}

const FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif';
const PNG_SCALE = 2; // pixels of a PNG for one on the page
const MOST_PIXELS = 8000; // of a side

const isText = (mark: SceneBox | SceneText): mark is SceneText => "text" in mark;

/** The same marks elsewhere, such as a picture within a larger one. */
export const moved = (marks: Scene["marks"], x: number, y: number): Scene["marks"] => marks.map((mark) => ({ ...mark, x: mark.x + x, y: mark.y + y }));

export const width = (text: string, size: number): number => [...text].length * size * 0.58; // near enough for room

// ------------------------------------------------------------------------------------------------ on a canvas

export function draw(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, scene: Scene, scale: number): void {
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.fillStyle = scene.background;
  context.fillRect(0, 0, scene.width, scene.height);
  for (const mark of scene.marks) {
    context.fillStyle = mark.fill;
    if (isText(mark)) drawText(context, mark);
    else context.fillRect(mark.x, mark.y, mark.width, mark.height);
  }
}

function drawText(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, mark: SceneText): void {
  const anchors = { start: "left", middle: "center", end: "right" } as const;
  context.font = `${mark.italic ? "italic " : ""}${mark.bold ? "600 " : ""}${mark.size}px ${FONT}`;
  context.textAlign = anchors[mark.anchor ?? "start"];
  if (!mark.turned) return context.fillText(mark.text, mark.x, mark.y);
  context.save();
  context.translate(mark.x, mark.y);
  context.rotate(-Math.PI / 2);
  context.fillText(mark.text, 0, 0);
  context.restore();
}

export function asPng(scene: Scene): Promise<Blob> {
  const scale = Math.min(PNG_SCALE, MOST_PIXELS / Math.max(scene.width, scene.height));
  const canvas = new OffscreenCanvas(Math.ceil(scene.width * scale), Math.ceil(scene.height * scale));
  draw(canvas.getContext("2d")!, scene, scale);
  return canvas.convertToBlob({ type: "image/png" });
}

// ------------------------------------------------------------------------------------------------ as SVG

const UNWRITABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text as XML holds it; what it can't hold stands as its code. */
const escaped = (text: string): string =>
  text.replace(UNWRITABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).replace(/[&<>"]/g, (c) => ENTITIES[c]!);

const rounded = (x: number): number => Math.round(x * 100) / 100;

export function asSvg(scene: Scene): string {
  const { width: across, height } = scene;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${rounded(across)}" height="${rounded(height)}" viewBox="0 0 ${rounded(across)} ${rounded(height)}" font-family="${escaped(FONT)}" font-variant-numeric="tabular-nums">`,
    `<rect width="100%" height="100%" fill="${scene.background}"/>`,
    ...scene.marks.map((mark) => (isText(mark) ? svgText(mark) : svgBox(mark))),
    "</svg>\n",
  ].join("\n");
}

function svgBox({ x, y, width: across, height, fill, title, value }: SceneBox): string {
  const data = value === undefined ? "" : ` data-value="${value}"`;
  const head = `<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(across)}" height="${rounded(height)}" fill="${fill}"${data}`;
  return title === undefined ? `${head}/>` : `${head}><title>${escaped(title)}</title></rect>`;
}

function svgText({ x, y, text, size, fill, anchor, bold, italic, turned }: SceneText): string {
  const looks = `${anchor ? ` text-anchor="${anchor}"` : ""}${bold ? ' font-weight="600"' : ""}${italic ? ' font-style="italic"' : ""}${turned ? ` transform="rotate(-90 ${rounded(x)} ${rounded(y)})"` : ""}`;
  return `<text x="${rounded(x)}" y="${rounded(y)}" font-size="${size}" fill="${fill}"${looks}>${escaped(text)}</text>`;
}

// ------------------------------------------------------------------------------------------------ to a file

/** Hand a file to the person. */
export function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export async function save(scene: Scene, name: string, kind: "png" | "svg"): Promise<void> {
  const file = kind === "png" ? await asPng(scene) : new Blob([asSvg(scene)], { type: "image/svg+xml" });
  download(file, `${name}.${kind}`);
}
