"""A few steps of training with everything kept: stages, loss, every gradient, the optimiser's state, the update.

It is the trainer's own arithmetic (`gradients`, `optimizer`) in float64 on one text, so that each number can be looked
at. Laying it out in a workbook is `workbook.training`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sheetgpt.bpe.words import unspell
from sheetgpt.errors import PromptError
from sheetgpt.model import Model
from sheetgpt.models import ladder
from sheetgpt.run.backward import backward
from sheetgpt.training import optimizers as optimizer
from sheetgpt.training import scalar
from sheetgpt.training.gradients import Check, Loss, gradient_check
from sheetgpt.training.optimizers import Settings, is_decayed

CHECKED = 500  # weights: up to so many, the three gradients are compared
NUDGE_SHOWN = 0.01

Matrices = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Example:
    """What is learned from: at each position the token before, the token to come, and its share of the loss."""

    ids: np.ndarray  # [T]
    targets: np.ndarray  # [T], 0 where nothing is to come
    share: np.ndarray  # [T], adds up to 1
    context: list[str]  # the tokens of `ids`
    coming: list[str]  # the tokens of `targets`; both are empty where nothing is to come

    def loss(self, steps: list) -> Loss:
        given = {"final_tokens": self.ids, "positions": np.arange(len(self.ids)), "targets": self.targets}
        return Loss(steps, given, self.share[None, :])


def example(model: Model, text: str | None, token_ids: Sequence[int] | None = None, room: int = 0) -> Example:
    """The text as training sees it: a document of characters begins after an end token, others with their first token;
    after the last token comes the end token. `room`: at least so many positions, the last ones without a share.
    """
    ids = model.ids_of(text, token_ids)
    end = model.tokenizer.end_of_text if model.tokenizer else None
    if end is None:
        before, coming = ids[:-1], ids[1:]
    elif model.tokenizer.has_characters_only:
        before, coming = [end, *ids], [*ids, end]
    else:
        before, coming = ids, [*ids[1:], end]
    if not before or (end is not None and not ids):
        raise PromptError("there is nothing to learn from: give a text of more tokens")
    if len(before) > model.room(len(before)):
        raise PromptError(
            f"the text takes {len(before)} positions and the model's context holds {model.config.n_ctx}: shorten it"
        )
    limit = model.config.n_ctx if model.config.learned_positions else room
    spare = max(0, min(room, limit) - len(before))
    filler = end if end is not None else 0
    return Example(
        np.array(before + [filler] * spare),
        np.array(coming + [0] * spare),
        np.array([1 / len(before)] * len(before) + [0.0] * spare),
        [readable(model, i) for i in before] + [""] * spare,
        [readable(model, i) for i in coming] + [""] * spare,
    )


def readable(model: Model, i: int) -> str:
    """A token: a character as a person types it, others as the token table spells them."""
    if model.tokenizer is not None and model.tokenizer.has_characters_only:
        return unspell(model.token(i)).decode(errors="replace")
    return model.token(i)


@dataclass(frozen=True)
class OneStep:
    """One step of training: every matrix that takes part, in the order of the data."""

    number: int  # from 1
    weights: Matrices  # before the step
    stages: Matrices
    loss: float
    gradients: Matrices  # of stages and weights, by their names
    moments: Matrices  # `mean_NAME` and `square_NAME` of each weight after the step; empty for SGD
    new: Matrices  # the weights after the step
    nudged: Matrices = field(default_factory=dict)  # the die's: what nudging each weight does

    @cached_property
    def matrices(self) -> dict[str, np.ndarray]:
        """Every matrix [rows, columns] by its name: `d_NAME` is a gradient, `new_NAME` a weight after the step."""
        found = {**self.weights, **self.stages, **self.nudged}
        order = reversed([*self.weights, *self.stages])
        found |= {f"d_{name}": self.gradients[name] for name in order if name in self.gradients}
        found |= self.moments
        return found | {f"new_{name}": matrix for name, matrix in self.new.items()}


@dataclass(frozen=True)
class LossRow:
    """One prediction: what stood before, what came, how probable the model thought it."""

    position: int
    context: str
    target: str
    probability: float
    penalty: float
    share: float


@dataclass(frozen=True)
class Training:
    """Some steps of training on one example."""

    model: Model
    example: Example
    settings: Settings
    loss: Loss
    steps: list[OneStep]
    text: str | None = None

    def loss_table(self, step: OneStep) -> list[LossRow]:
        penalties = step.stages["penalties"][0]
        probability = self.loss.penalty.probability
        return [
            LossRow(position, context, coming, probability(penalty), penalty, share)
            for position, (context, coming, penalty, share) in enumerate(
                zip(self.example.context, self.example.coming, penalties.tolist(), self.example.share, strict=True)
            )
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
    from dataclasses import replace

    return replace(settings, min_learning_rate=settings.learning_rate, warmup=0, clip=0.0)


def train_steps(model: Model, seen: Example, settings: Settings, text: str | None = None) -> Training:
    """`settings.steps` steps of training from the model's weights, on the same example each time."""
    loss = seen.loss(ladder.training_steps(model.config, untied=model.weights.untied))
    settings = constant_rate(settings)
    weights = {name: np.asarray(matrix, np.float64) for name, matrix in model.weights.items()}
    return Training(model, seen, settings, loss, list(_steps(model, loss, weights, settings)), text)


def _steps(model: Model, loss: Loss, weights: Matrices, settings: Settings) -> Iterator[OneStep]:
    names = sorted(weights, key=lambda name: not is_decayed(name))
    n_decayed = sum(weights[name].size for name in names if is_decayed(name))
    state = optimizer.State.of(np.concatenate([weights[name].ravel() for name in names]), n_decayed)

    def views(vector: np.ndarray) -> dict[str, np.ndarray]:
        pieces = np.split(vector.copy(), np.cumsum([weights[name].size for name in names])[:-1])
        by_name = {name: piece.reshape(weights[name].shape) for name, piece in zip(names, pieces, strict=True)}
        return {name: by_name[name] for name in weights}

    for number in range(settings.steps):
        before = views(state.vector)
        values = loss.values(before)
        if settings.gradient == "backprop":
            gradients = backward(loss.steps, values, before, {"penalties": loss.share})
        else:
            gradients = loss.gradients(before, settings.gradient, settings.nudge)
        np.concatenate([gradients[name].ravel() for name in names], out=state.gradient)
        optimizer.update(state, settings, number)
        moments = {}
        if settings.optimizer == "adamw":
            moments |= {f"mean_{name}": matrix for name, matrix in views(state.mean).items()}
            moments |= {f"square_{name}": matrix for name, matrix in views(state.square).items()}
        stages = {name: matrix for name, matrix in values.items() if name not in loss.given}
        total = float((values["penalties"] * loss.share).sum())
        if not math.isfinite(total):
            raise optimizer.TrainingError(f"the loss is {total} at step {number + 1}: try a smaller --learning-rate")
        nudged = nudged_die(loss, before) if model.config.model == "die" else {}
        yield OneStep(number + 1, before, stages, total, gradients, moments, views(state.vector), nudged)


def nudged_die(loss: Loss, weights: Matrices) -> dict[str, np.ndarray]:
    """What a beginner's gradient is: the loss after nudging each weight, and the slope from there."""
    ((name, matrix),) = weights.items()
    counts = np.zeros_like(matrix)
    np.add.at(counts[:, 0], loss.given["targets"], loss.share[0])
    losses = np.empty_like(matrix)
    for row in range(len(matrix)):
        nudged = matrix.copy()
        nudged[row] += NUDGE_SHOWN
        losses[row] = loss({name: nudged})
    return {"target_share": counts, "nudged_loss": losses, "nudged_slope": (losses - loss(weights)) / NUDGE_SHOWN}
