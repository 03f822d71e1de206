"""The formulas of a training step's matrices: the stages, the gradients back to the weights, the update, the nudges.

What each says stands in `ops`, but for the update and the nudges; where matrices stand is decided in `bands`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sheetgpt.models.step import TARGETS
from sheetgpt.ops import Box
from sheetgpt.training.matrices import What, in_step
from sheetgpt.training.step import OneStep, Training
from sheetgpt.training.workbook.given import SHARE
from sheetgpt.training.workbook.layout import TRAINING
from sheetgpt.training.workbook.shared import Cells
from sheetgpt.workbook.references import GradientInput, Names, Source, formulas

Sources = Mapping[str, Source]


@dataclass(frozen=True)
class StepFormulas:
    """Makes the formulas of one step from where everything stands."""

    training: Training
    step: OneStep
    sources: Sources  # by their names, and what the step is given
    previous: Sources  # of the step before; empty for the first
    names: Names  # those that formulas use are added here

    def cells(self) -> dict[str, Cells]:
        """The formula of each piece of each matrix, by name."""
        found: dict[str, Cells] = {**self.weights(), **self.stages()}
        found[What.GRADIENT.name_of(self.training.loss.penalties)] = {(0, 0, 1, len(self.training.example.ids)): SHARE}
        found |= self.backward()
        for name in self.step.weights:
            found |= self.update(name)
        return found | (self.nudges() if self.step.nudged else {})

    def weights(self) -> dict[str, Cells]:
        """Those after the step before."""
        if not self.previous:
            return {}
        return {
            name: {(0, 0, *matrix.shape): self.previous[What.NEW.name_of(name)].name}
            for name, matrix in self.step.weights.items()
        }

    def stages(self) -> dict[str, Cells]:
        found: dict[str, Cells] = {}
        for one in self.training.loss.steps.computed:
            sources, out = [self.sources[name] for name in one.inputs], self.sources[one.name].area
            found[one.name] = {slot.box: text for slot, text, _ in formulas(one.op, out, sources, self.names)}
        return found

    def backward(self) -> dict[str, Cells]:
        found: dict[str, dict[Box, str]] = {}
        for one in reversed(self.training.loss.steps.computed):
            if one.name not in self.step.gradients:
                continue
            inputs = [self.matrix(What.STAGE, name) for name in one.inputs]
            d_out, out = self.matrix(What.GRADIENT, one.name), self.matrix(What.STAGE, one.name)
            for name, cells in zip(one.inputs, one.op.gradient_formula(d_out, out, *inputs), strict=True):
                if cells:
                    add(found.setdefault(What.GRADIENT.name_of(name), {}), cells)
        return {**found}

    def update(self, name: str) -> dict[str, Cells]:
        """The optimiser's state and the new weights. (Kingma and Ba 2015; Loshchilov and Hutter 2019)"""
        settings, t = self.training.settings, self.step.number
        d, mean, square, new = (what.name_of(name) for what in (What.GRADIENT, What.MEAN, What.SQUARE, What.NEW))
        old, slope = self.sources[name].name, self.sources[d].name
        decays = settings.weight_decay and self.step.described[name].is_decayed
        kept = f"{old}*(1-learning_rate*weight_decay)" if decays else old
        box = (0, 0, *self.step.weights[name].shape)
        if settings.optimizer == "sgd":
            return {new: {box: f"{kept}-learning_rate*{slope}"}}
        means, squares = f"(1-beta1)*{slope}", f"(1-beta2)*{slope}^2"
        if self.previous:
            means = f"beta1*{self.previous[mean].name}+{means}"
            squares = f"beta2*{self.previous[square].name}+{squares}"
        moved = f"({self.sources[mean].name}/(1-beta1^{t}))"
        spread = f"(SQRT({self.sources[square].name}/(1-beta2^{t}))+epsilon)"
        return {mean: {box: means}, square: {box: squares}, new: {box: f"{kept}-learning_rate*{moved}/{spread}"}}

    def nudges(self) -> dict[str, Cells]:
        """The gradient by nudging: the loss with one weight a little higher, for each."""
        (name,) = self.step.weights
        kinds = What.WEIGHT, What.TARGET_SHARE, What.NUDGED_LOSS
        weights, counts, nudged = (self.matrix(what, name) for what in kinds)
        targets, share = (self.sources[one].area.range(fixed=True) for one in (TARGETS, SHARE))
        loss = in_step(self.step.number, "loss")
        found: dict[What, dict[Box, str]] = {what: {} for what in self.step.nudged}
        for row in range(weights.rows):
            box = (row, 0, 1, 1)
            found[What.TARGET_SHARE][box] = f"SUMIF({targets},{row},{share})"
            hit = f"(SUMPRODUCT({weights},{counts})+nudge*{counts.cell(row, 0)})/(SUM({weights})+nudge)"
            found[What.NUDGED_LOSS][box] = f"1-{hit}"
            found[What.NUDGED_SLOPE][box] = f"({nudged.cell(row, 0)}-{loss})/nudge"
        return {what.name_of(name): cells for what, cells in found.items()}

    def matrix(self, what: What, of: str) -> GradientInput:
        return GradientInput(self.sources[what.name_of(of)], TRAINING)


def add(found: dict[Box, str], cells: Iterable[tuple[Box, str]]) -> None:
    """Add formulas to those of the same pieces: what goes several ways has the sum of their gradients."""
    for box, text in cells:
        found[box] = f"{found[box]}+{text}" if box in found else text
