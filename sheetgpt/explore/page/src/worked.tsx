/** How the chosen weight changes, worked with its numbers: the nudge, and the optimiser's update. */
import { known } from "./forward";
import { columnsOf, shown, spot } from "./learn_matrices";
import * as learning from "./learning";
import * as numbers from "./numbers";
import type { TrainedStep } from "./training";

const four = (x: number): string => numbers.short(x, 4);
const five = (x: number): string => numbers.cell(x, 5);
const signed = (x: number): string => (x < 0 ? `(${four(x)})` : four(x));

export function Worked({ step }: { readonly step: TrainedStep }) {
  const [{ name, rows, columns }, { row, column }] = [shown.value, spot.value];
  if (row >= rows || column >= columns) return null;
  const found = (of: string): number | null => columnsOf(shown.value).find((one) => one.name === of)!.of(step, name, row * columns + column);
  const value: Value = (of) => found(of)!;
  const [more, slope] = [found("more"), found("slope")];
  return (
    <div class="worked" aria-label="how the chosen weight changes">
      <p>
        {name}[{row},{column}]
      </p>
      {more !== null && slope !== null && <p>{nudge(step, more, slope)}</p>}
      {learning.settings.value.optimizer === "sgd" ? <p>{sgd(step, name, value)}</p> : <Adamw step={step} name={name} value={value} />}
    </div>
  );
}

type Value = (column: string) => number;

function nudge({ loss }: TrainedStep, more: number, slope: number): string {
  const by = learning.nudge.value;
  return `slope = (${five(more)} − ${five(loss)}) / ${numbers.full(by)} = ${five(slope)}`;
}

/** The old weight, less what decays. */
function kept({ before }: TrainedStep, name: string, old: number): string {
  const { learningRate, weightDecay } = learning.settings.value;
  return weightDecay && before.decayed.has(name) ? `${four(old)} × (1 − ${learningRate} × ${weightDecay})` : four(old);
}

const sgd = (step: TrainedStep, name: string, value: Value): string =>
  `new = ${kept(step, name, value("old"))} − ${learning.settings.value.learningRate} × ${signed(value("gradient"))} = ${four(value("new"))}`;

function Adamw({ step, name, value }: { readonly step: TrainedStep; readonly name: string; readonly value: Value }) {
  const { learningRate, beta1, beta2, epsilon } = learning.settings.value;
  const place = spot.value.row * shown.value.columns + spot.value.column;
  const of = (matrices: TrainedStep["before"]["means"]): number => known(matrices, name).data[place]!;
  const [mean, square, gradient] = [value("mean"), value("square"), value("gradient")];
  const direction = mean / (1 - beta1 ** step.number);
  const size = Math.sqrt(square / (1 - beta2 ** step.number));
  return (
    <>
      <p>
        mean = {beta1} × {signed(of(step.before.means))} + {numbers.long(1 - beta1)} × {signed(gradient)} = {four(mean)}; divided by 1 − {beta1}
        <sup>{step.number}</sup>: {four(direction)}
      </p>
      <p>
        square = {beta2} × {four(of(step.before.squares))} + {numbers.long(1 - beta2)} × {signed(gradient)}² = {four(square)}; the root of it / (1 − {beta2}
        <sup>{step.number}</sup>): {four(size)}
      </p>
      <p>
        new = {kept(step, name, value("old"))} − {learningRate} × {signed(direction)} / ({four(size)} + {numbers.power(epsilon)}) = {four(value("new"))}
      </p>
    </>
  );
}
