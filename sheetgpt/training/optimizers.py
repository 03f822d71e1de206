"""From gradients to new weights: AdamW or SGD, the schedule of the learning rate, clipping, and what decays.

Everything works on one vector that holds all weights, in place; what the gradients come from is `train`'s business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sheetgpt.errors import SheetGPTError

OPTIMIZERS = ("adamw", "sgd")


class TrainingError(SheetGPTError):
    """Training can't begin or go on: an empty corpus, a checkpoint of another model, a loss that is not a number."""


@dataclass(frozen=True)
class Settings:
    """How a model is trained. The defaults are nanoGPT's kind, for a small model."""

    steps: int = 2000
    batch: int = 32  # windows a step
    learning_rate: float = 3e-3
    min_learning_rate: float = 1e-4
    warmup: int = 100  # steps
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    clip: float = 1.0  # largest norm of all gradients together; 0 doesn't clip
    seed: int = 1
    optimizer: str = "adamw"
    gradient: str = "backprop"  # "numeric" and "value": `gradients`
    nudge: float = 1e-6  # of one weight, where the gradient is numeric
    evaluate_every: int = 100  # steps between looks at what was held out

    def __post_init__(self):
        for name in ("steps", "batch", "evaluate_every"):
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


def is_decayed(name: str) -> bool:
    """Weight decay pulls on matrices only, not on gains and biases."""
    return not name.endswith(("_g", "_b"))


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
        return cls(vector, *(np.zeros_like(vector) for _ in range(4)), n_decayed)

    def part(self, begin: int, end: int) -> State:
        """A piece of every vector."""
        vectors = (self.vector, self.gradient, self.mean, self.square, self.scratch)
        return State(*(vector[begin:end] for vector in vectors), min(max(self.n_decayed - begin, 0), end - begin))


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
