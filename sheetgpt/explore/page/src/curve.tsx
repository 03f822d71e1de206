/** The loss over the steps that were done, as a curve that grows. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import * as learning from "./learning";
import * as numbers from "./numbers";
import { theme } from "./state";

const HEIGHT = 250;

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function options(width: number, onPoint: (at: number | null) => void): uPlot.Options {
  const axis = { stroke: colour("mute"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 }, font: "11px system-ui, sans-serif" };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false } },
    axes: [{ ...axis, size: 34, label: "steps done", labelSize: 18, labelFont: "11px system-ui, sans-serif", incrs: WHOLE }, { ...axis, size: 60, values: (_, places, _axis, _space, step) => places.map((one) => numbers.cell(one, decimalsOf(step))) }],
    series: [{}, { stroke: colour("accent"), width: 2, spanGaps: false }],
    hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)] },
  };
}

/** How many decimals tell places apart that are so far from each other. */
const decimalsOf = (step: number): number => (String(Number(step.toPrecision(3))).split(".")[1] ?? "").length || Math.max(0, -Math.floor(Math.log10(step)));

const WHOLE = [1, 2, 5].flatMap((first) => [1, 10, 100, 1e3, 1e4, 1e5, 1e6].map((power) => first * power)).sort((one, other) => one - other);

export function Curve() {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [point, setPoint] = useState<number | null>(null);
  const [now, { steps, losses }] = [theme.value, learning.curve.value];
  useEffect(() => {
    const element = box.current!;
    const made = (plot.current = new uPlot(options(element.clientWidth, setPoint), [[], []], element));
    const observer = new ResizeObserver(() => element.isConnected && made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [now]);
  useEffect(() => plot.current?.setData([[...steps], [...losses]]), [now, steps, losses]);
  const at = point !== null && losses[point] != null ? point : losses.length - 1;
  const loss = losses[at];
  return (
    <section class="curve">
      <h2>
        Loss <i aria-live={learning.isRunning.value ? "off" : "polite"}>{loss == null ? "" : `${numbers.cell(loss, 5)} after ${plural(steps[at]!, "step")}`}</i>
      </h2>
      <div ref={box} role="img" aria-label="the loss over the steps done" />
    </section>
  );
}

export const plural = (count: number, what: string): string => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
