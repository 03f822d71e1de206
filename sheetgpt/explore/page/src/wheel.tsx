/** The pick as a wheel: a slice for each candidate, as wide as it is likely; the pointer stands at the target. */
import type { Pick } from "./picking";
import { shown } from "./tokens";

const SMALL = 0.01; // slices below it join at the end
const RADIUS = 180;
const HOLE = 66;
const UPRIGHT = 2; // letters of a token that stands upright
const NAMED = 0.025; // slices from which the token fits

export interface Slice {
  readonly key: string;
  readonly text: string;
  readonly from: number;
  readonly to: number;
  readonly tint: "odd" | "even" | "more";
  readonly picked: boolean;
}

/** Slices in the order of the sums; of the last ones each too small to see, one. */
export function slicesOf({ candidates, index }: Pick, vocabulary: readonly string[]): Slice[] {
  const count = candidates.probabilities.findIndex((one) => one < SMALL);
  const alone = count < 0 ? candidates.probabilities.length : Math.max(count, 1);
  const slices: Slice[] = candidates.ids.slice(0, alone).map((id, i) => ({
    key: String(id),
    text: shown(vocabulary[id] ?? `#${id}`),
    from: i ? candidates.cumulative[i - 1]! : 0,
    to: candidates.cumulative[i]!,
    tint: i % 2 ? "odd" : "even",
    picked: i === index,
  }));
  const rest = candidates.probabilities.slice(alone).filter((one) => one > 0).length;
  const from = slices.at(-1)!.to;
  if (rest) slices.push({ key: "more", text: `${rest.toLocaleString("en")} more`, from, to: 1, tint: "more", picked: index >= alone });
  return slices;
}

const at = (part: number, radius: number): string => {
  const angle = 2 * Math.PI * part;
  return `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
};

/** A piece of the ring; all of it where there is one candidate. */
function ring(from: number, to: number): string {
  if (to - from > 0.9999) return `${ring(0, 0.5)} ${ring(0.5, 0.9998)}`;
  const large = to - from > 0.5 ? 1 : 0;
  return `M${at(from, RADIUS)} A${RADIUS} ${RADIUS} 0 ${large} 1 ${at(to, RADIUS)} L${at(to, HOLE)} A${HOLE} ${HOLE} 0 ${large} 0 ${at(from, HOLE)} Z`;
}

interface WheelProps {
  readonly slices: readonly Slice[];
  readonly target: number;
  readonly label: string;
  readonly onTarget: (target: number) => void;
}

export function Wheel({ slices, target, label, onTarget }: WheelProps) {
  const drag = (event: PointerEvent & { currentTarget: SVGElement }): void => {
    if (event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    onTarget(Math.min(0.9999, (Math.atan2(x, -y) / (2 * Math.PI) + 1) % 1));
  };
  return (
    <svg class="wheel" viewBox="-205 -205 410 410" role="img" aria-label={`wheel of candidates, the pointer at ${label}`} onPointerDown={drag} onPointerMove={drag}>
      {slices.map((slice) => (
        <path key={slice.key} class={`slice ${slice.tint}${slice.picked ? " picked" : ""}`} d={ring(slice.from, slice.to)}>
          <title>{`${slice.text} ${(100 * (slice.to - slice.from)).toFixed(2)}%`}</title>
        </path>
      ))}
      {slices.map((slice) => {
        const middle = (slice.from + slice.to) / 2;
        const turn = 360 * middle - 90;
        const flip = slice.text.length <= UPRIGHT ? -turn : middle > 0.5 ? 180 : 0;
        return slice.to - slice.from >= NAMED ? (
          <text key={slice.key} class={slice.picked ? "picked" : ""} transform={`rotate(${turn}) translate(${(RADIUS + HOLE) / 2} 0) rotate(${flip})`} text-anchor="middle" dominant-baseline="central">
            {slice.text}
          </text>
        ) : null;
      })}
      <text class="zero" y={-RADIUS - 12} text-anchor="middle">
        0
      </text>
      <line y1={-RADIUS - 8} y2={-RADIUS} class="tick" />
      <path class="pointer" d={`M0 ${-RADIUS + 12} l-13 -24 h26 Z`} transform={`rotate(${360 * target})`} />
      <text class="what" y="-12" text-anchor="middle">
        spin
      </text>
      <text class="value" y="12" text-anchor="middle">
        {label}
      </text>
    </svg>
  );
}
