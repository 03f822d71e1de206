"""The forward run: steps, weights and token ids in, every stage's matrix out. What a run shows is in `trace`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.models.step import Step

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["forward"]

Matrices = Mapping[str, np.ndarray]
Override = np.ndarray | Callable[[np.ndarray], np.ndarray]  # a matrix, or what becomes of the one that is computed
Overrides = Mapping[str, Override]
OnStage = Callable[[str, np.ndarray], None]  # what to do with each stage as soon as it is there
NO_OVERRIDES: Matrices = {}


def forward(
    steps: Iterable[Step],
    weights: Matrices,
    given: Matrices,
    *,
    dtype: DTypeLike = np.float64,
    overrides: Overrides = NO_OVERRIDES,
    base: Matrices = NO_OVERRIDES,
    on_stage: OnStage | None = None,
) -> dict[str, np.ndarray]:
    """Every stage's matrix [..., rows, columns] by name, in order, each read-only and of `dtype`.

    given: the run's inputs, token ids [..., T] and positions [T] (`Steps.inputs`).
    overrides: what replaces a stage, and the matrices that replace a weight.
    base: the stages of a run without the overrides; what doesn't depend on an override is taken from it.
    """
    values = dict(given)
    changed = set(overrides)
    replaced = {name: matrix for name, matrix in overrides.items() if isinstance(matrix, np.ndarray)}
    for step in steps:
        if step.is_given:
            continue
        if step.name in base and step.name not in overrides and not changed.intersection(step.inputs):
            values[step.name] = base[step.name]  # itself, so that it can be told from what is computed again
        else:
            values[step.name] = made(step, values, replaced, overrides, weights, dtype)
            changed.add(step.name)
        if on_stage is not None:
            on_stage(step.name, values[step.name])
    return values


def made(
    step: Step, values: Matrices, replaced: Matrices, overrides: Overrides, weights: Matrices, dtype: DTypeLike
) -> np.ndarray:
    """A stage, computed or replaced; read-only."""
    if step.name in replaced:
        value = replaced[step.name]
    else:
        inputs = [values[name] if name in values else matrix(name, replaced, weights) for name in step.inputs]
        value = step.op.value(*inputs)
    override = overrides.get(step.name)
    found = np.asarray(override(value) if callable(override) else value, dtype).view()
    found.flags.writeable = False
    return found


def matrix(name: str, overrides: Matrices, weights: Matrices) -> np.ndarray:
    return overrides[name] if name in overrides else weights[name]
