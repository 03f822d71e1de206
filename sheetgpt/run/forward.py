"""The forward run: steps, weights and token ids in, every stage's matrix out. What a run shows is in `trace`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.models.step import Step

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Matrices = Mapping[str, np.ndarray]
NO_OVERRIDES: Matrices = {}


def forward(
    steps: Iterable[Step],
    weights: Matrices,
    given: Matrices,
    *,
    dtype: DTypeLike = np.float64,
    overrides: Matrices = NO_OVERRIDES,
    base: Matrices = NO_OVERRIDES,
) -> dict[str, np.ndarray]:
    """Every stage's matrix by name, in order, each read-only and of `dtype`.

    given: the run's inputs, token ids [..., T] and positions [T] (`Steps.inputs`).
    overrides: matrices that replace a stage or a weight.
    base: the stages of a run without the overrides; what doesn't depend on an override is taken from it.
    """
    values = dict(given)
    changed = set(overrides)
    for step in steps:
        if step.is_given:
            continue
        if step.name in overrides:
            value = overrides[step.name]
        elif step.name in base and not changed.intersection(step.inputs):
            value = base[step.name]
        else:
            inputs = [values[name] if name in values else matrix(name, overrides, weights) for name in step.inputs]
            value = step.op.value(*inputs)
            changed.add(step.name)
        made = np.asarray(value, dtype).view()
        made.flags.writeable = False
        values[step.name] = made
    return values


def matrix(name: str, overrides: Matrices, weights: Matrices) -> np.ndarray:
    return overrides[name] if name in overrides else weights[name]
