"""From gradients to new weights: AdamW or SGD, the schedule of the learning rate, clipping, and what decays.

Everything works on one vector that holds all weights, in place. Where gradients come from stands in `gradients` and
`trainer`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sheetgpt.errors import TrainingError
from sheetgpt.models.step import Weight

__all__ = ["Settings"]

OPTIMIZERS = ("adamw", "sgd")

Matrices = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Settings:
    """How a model is trained. The defaults are nanoGPT's kind, for a small model.

    Raises TrainingError where a number is out of its range, or there is no such optimizer.
    """

    steps: int = 2000  #: how many; 0: the first weights, from which nothing is learned
    batch: int = 32  #: windows a step
    learning_rate: float = 3e-3  #: the largest, after warm-up
    min_learning_rate: float = 1e-4  #: the last
    warmup: int = 100  #: steps in which the learning rate rises
    weight_decay: float = 0.1  #: of matrices; AdamW's, apart from the gradient (Loshchilov and Hutter 2019)
    beta1: float = 0.9  #: of the mean of gradients
    beta2: float = 0.99  #: of the mean of their squares
    epsilon: float = 1e-8  #: added to the root of that mean
    clip: float = 1.0  #: largest norm of all gradients together; 0 doesn't clip
    seed: int = 1  #: of the first weights and of what is drawn for each batch
    optimizer: str = "adamw"  #: "adamw" or "sgd"
    gradient: str = "backprop"  #: "backprop", "numeric" or "value": `Loss.gradients`
    nudge: float = 1e-6  #: of one weight, where the gradient is numeric
    evaluate_every: int = 100  #: steps between looks at what was held out

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise TrainingError(f"--steps is {self.steps}; it must be at least 0")
        for name in ("batch", "evaluate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "nudge"):
            if not getattr(self, name) > 0 or not math.isfinite(getattr(self, name)):
                raise TrainingError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be above 0")
        if self.optimizer not in OPTIMIZERS:
            raise TrainingError(f"--optimizer is {self.optimizer}; choose one of {', '.join(OPTIMIZERS)}")

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0): linear warm-up, then half a cosine down to the minimum."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        lowest = min(self.min_learning_rate, self.learning_rate)
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return lowest + cosine * (self.learning_rate - lowest)


# ------------------------------------------------------------------------------------------------ one vector


@dataclass(frozen=True)
class Packing:
    """Where each weight lies in a vector of all of them: first those that decay, so that these are one slice.

    Weight decay pulls on matrices only, not on gains and biases.
    """

    shapes: Mapping[str, tuple[int, int]]  # in the vector's order
    n_decayed: int

    @classmethod
    def of(cls, weights: Mapping[str, Weight]) -> Packing:
        decayed = {name: weight.shape for name, weight in weights.items() if not weight.is_vector}
        others = {name: weight.shape for name, weight in weights.items() if weight.is_vector}
        return cls(decayed | others, sum(rows * columns for rows, columns in decayed.values()))

    def packed(self, matrices: Matrices) -> np.ndarray:
        return np.concatenate([matrices[name].ravel() for name in self.shapes])

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Each weight's matrix, a view into the vector."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes.values()])
        pieces = np.split(vector, ends[:-1])
        return {name: piece.reshape(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}


@np.errstate(all="ignore")
def clip(gradient: np.ndarray, largest: float) -> float:
    """Scale the gradient down, in place, to the largest norm allowed (0: any). Returns its norm before."""
    norm = float(np.sqrt(np.dot(gradient, gradient)))
    if largest and norm > largest:
        gradient *= gradient.dtype.type(largest / (norm + 1e-6))
    return norm


@dataclass(frozen=True)
class State:
    """All weights, their gradient, and AdamW's moments, as vectors of one length; `scratch` holds nothing."""

    vector: np.ndarray
    gradient: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    scratch: np.ndarray
    n_decayed: int  # that many weights, the first ones, decay

    @classmethod
    def of(cls, vector: np.ndarray, n_decayed: int) -> State:
        gradient, mean, square, scratch = (np.zeros_like(vector) for _ in range(4))
        return cls(vector, gradient, mean, square, scratch, n_decayed)

    def part(self, begin: int, end: int) -> State:
        """A piece of every vector."""
        vectors = (self.vector, self.gradient, self.mean, self.square, self.scratch)
        vector, gradient, mean, square, scratch = (one[begin:end] for one in vectors)
        n_decayed = min(max(self.n_decayed - begin, 0), end - begin)
        return State(vector, gradient, mean, square, scratch, n_decayed)


@np.errstate(all="ignore")  # numbers that ran away show in the loss
def update(state: State, settings: Settings, step: int) -> float:
    """One update of the weights from their gradient, in place; `step` counts from 0. Returns the learning rate."""
    rate = settings.rate(step)
    number = state.vector.dtype.type
    state.vector[: state.n_decayed] *= number(1 - rate * settings.weight_decay)
    if settings.optimizer == "sgd":
        np.multiply(state.gradient, number(rate), out=state.scratch)
        np.subtract(state.vector, state.scratch, out=state.vector)
        return rate
    _adamw(state, settings, step, rate)
    return rate


def _adamw(state: State, settings: Settings, step: int, rate: float) -> None:
    number = state.vector.dtype.type
    gradient, mean, square, scratch = state.gradient, state.mean, state.square, state.scratch
    np.multiply(gradient, number(1 - settings.beta1), out=scratch)
    mean *= number(settings.beta1)
    mean += scratch
    np.multiply(gradient, gradient, out=scratch)
    scratch *= number(1 - settings.beta2)
    square *= number(settings.beta2)
    square += scratch
    np.sqrt(square, out=scratch)
    scratch *= number(1 / math.sqrt(1 - settings.beta2 ** (step + 1)))
    scratch += number(settings.epsilon)
    np.divide(mean, scratch, out=scratch)
    scratch *= number(rate / (1 - settings.beta1 ** (step + 1)))
    np.subtract(state.vector, scratch, out=state.vector)
