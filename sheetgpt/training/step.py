"""A few steps of training with everything kept: stages, loss, every gradient, the optimiser's state, the update.

It is the trainer's own arithmetic (`gradients`, `optimizers`) in float64 on one text, so that each number can be looked
at. Laying it out as files belongs in `dump` and `workbook`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sheetgpt.errors import TrainingError
from sheetgpt.model import Model
from sheetgpt.models.kinds import kind_of, training_steps, weights_of
from sheetgpt.models.step import TARGETS, Step, Weight
from sheetgpt.training import optimizers, scalar
from sheetgpt.training.example import Example
from sheetgpt.training.gradients import Check, Loss, gradient_check
from sheetgpt.training.matrices import NUDGE_SHOWN, StepMatrix, What
from sheetgpt.training.optimizers import Packing, Settings

__all__ = ["LossRow", "OneStep", "Training", "train_steps"]

CHECKED = 500  # weights: up to so many, the three gradients are compared

Matrices = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class OneStep:
    """One step of training: every matrix that takes part. Stages and weights have their names."""

    number: int  #: from 1
    about: Mapping[str, Step | Weight]  #: what each name stands for
    weights: Matrices  #: [rows, columns] by name, before the step
    stages: Matrices  #: [rows, columns] by name
    loss: float  #: before the step
    gradients: Matrices  #: [rows, columns] of stages and weights, by name
    means: Matrices  #: [rows, columns] of the weights' gradients after the step, as AdamW keeps them; empty for SGD
    squares: Matrices  #: [rows, columns] the means of their squares, likewise
    new: Matrices  #: [rows, columns] the weights after the step
    #: [rows, columns] what nudging each weight does, where it is shown
    nudged: Mapping[What, np.ndarray] = field(default_factory=dict)

    @cached_property
    def described(self) -> dict[str, StepMatrix]:
        """Every matrix by its name, in the order of the data."""
        made = (StepMatrix(what, of, self.about[of], numbers) for what, of, numbers in self._in_order())
        return {one.name: one for one in made}

    def _in_order(self) -> Iterator[tuple[What, str, np.ndarray]]:
        yield from ((What.WEIGHT, name, matrix) for name, matrix in self.weights.items())
        yield from ((What.STAGE, name, matrix) for name, matrix in self.stages.items())
        yield from ((what, next(iter(self.weights)), matrix) for what, matrix in self.nudged.items())
        backwards = reversed([*self.weights, *self.stages])
        yield from ((What.GRADIENT, name, self.gradients[name]) for name in backwards if name in self.gradients)
        yield from ((What.MEAN, name, matrix) for name, matrix in self.means.items())
        yield from ((What.SQUARE, name, matrix) for name, matrix in self.squares.items())
        yield from ((What.NEW, name, matrix) for name, matrix in self.new.items())

    @cached_property
    def matrices(self) -> dict[str, np.ndarray]:
        """Every matrix [rows, columns] by its name: `d_NAME` is a gradient, `new_NAME` a weight after the step."""
        return {name: one.numbers for name, one in self.described.items()}


@dataclass(frozen=True)
class LossRow:
    """One prediction: what stood before, what came, how probable the model thought it."""

    position: int  #: from 0
    context: str  #: the token before
    target: str  #: the token that came
    probability: float  #: that the model gave it, 0 to 1
    penalty: float  #: what the loss is the mean of
    share: float  #: of the loss


@dataclass(frozen=True)
class Training:
    """Some steps of training on one example."""

    model: Model  #: that the steps began with
    example: Example  #: that it learned from
    settings: Settings  #: of the optimizer
    loss: Loss  #: what was made smaller
    steps: list[OneStep]  #: each with all its matrices
    text: str | None = None  #: the example as text, where it was one

    def loss_table(self, step: OneStep) -> list[LossRow]:
        """One row a prediction, as the model stood before a step."""
        seen, penalties = self.example, step.stages[self.loss.penalties][0].tolist()
        probability = self.loss.penalty.probability
        rows = zip(seen.context, seen.coming, penalties, seen.share, strict=True)
        return [
            LossRow(position, context, coming, probability(penalty), penalty, share)
            for position, (context, coming, penalty, share) in enumerate(rows)
            if share
        ]

    @cached_property
    def gradient_check(self) -> list[Check]:
        """The first step's gradients three times, where the model is small enough; else empty."""
        weights = self.steps[0].weights
        if sum(matrix.size for matrix in weights.values()) > CHECKED:
            return []
        return gradient_check(self.loss, weights, self.settings.nudge)

    @cached_property
    def value_graph(self) -> list[scalar.Node]:
        """The graph of Values of the first step, where gradients come from it; else empty."""
        return self.loss.graph(self.steps[0].weights)[0] if self.settings.gradient == "value" else []


def constant_rate(settings: Settings) -> Settings:
    """The settings without schedule and clipping: each step's update can be followed with a calculator."""
    return replace(settings, min_learning_rate=settings.learning_rate, warmup=0, clip=0.0)


def train_steps(model: Model, seen: Example, settings: Settings, text: str | None = None) -> Training:
    """`settings.steps` steps of training from the model's weights, on the same example each time, in float64.

    Raises TrainingError where no step is asked for, or the loss is no finite number.
    """
    if settings.steps < 1:
        raise TrainingError(f"--steps is {settings.steps}; a step to look at needs at least 1")
    loss = seen.loss(training_steps(model.config, untied=model.weights.untied))
    settings = constant_rate(settings)
    return Training(model, seen, settings, loss, list(_steps(model, loss, settings)), text)


def _steps(model: Model, loss: Loss, settings: Settings) -> Iterator[OneStep]:
    about = weights_of(model.config, untied=model.weights.untied)
    packing, plain_shares = Packing.of(about), kind_of(model.config).plain_shares
    vector = packing.packed({name: np.asarray(matrix, np.float64) for name, matrix in model.weights.items()})
    state = optimizers.State.of(vector, packing.n_decayed)

    def kept(vector: np.ndarray) -> dict[str, np.ndarray]:
        by_name = packing.views(vector.copy())
        return {name: by_name[name] for name in about}

    for number in range(1, settings.steps + 1):
        before = kept(state.vector)
        values = loss.values(before)
        total = loss.total(values)
        if not math.isfinite(total):
            raise TrainingError(f"the loss is {total} at step {number}", remedy="try a smaller --learning-rate")
        gradients = _gradients(loss, values, before, settings)
        state.gradient[:] = packing.packed(gradients)
        optimizers.update(state, settings, number - 1)
        keeps_means = settings.optimizer == "adamw"
        yield OneStep(
            number,
            {**about, **loss.steps.by_name},
            before,
            {name: matrix for name, matrix in values.items() if name not in loss.given},
            total,
            gradients,
            kept(state.mean) if keeps_means else {},
            kept(state.square) if keeps_means else {},
            kept(state.vector),
            nudged_shares(loss, before) if plain_shares else {},
        )


def _gradients(loss: Loss, values: Matrices, weights: Matrices, settings: Settings) -> Matrices:
    """Backprop's of every stage and weight; by the other methods those of the weights."""
    if settings.gradient == "backprop":
        return loss.backprop(values, weights)
    return loss.gradients(weights, settings.gradient, settings.nudge)


def nudged_shares(loss: Loss, weights: Matrices) -> dict[What, np.ndarray]:
    """What a beginner's gradient is: the loss after nudging each weight, and the slope from there."""
    ((name, matrix),) = weights.items()
    counts = np.zeros_like(matrix)
    np.add.at(counts[:, 0], loss.given[TARGETS], loss.share[0])
    losses = np.empty_like(matrix)
    for row in range(len(matrix)):
        nudged = matrix.copy()
        nudged[row] += NUDGE_SHOWN
        losses[row] = loss({name: nudged})
    slopes = (losses - loss(weights)) / NUDGE_SHOWN
    return {What.TARGET_SHARE: counts, What.NUDGED_LOSS: losses, What.NUDGED_SLOPE: slopes}
