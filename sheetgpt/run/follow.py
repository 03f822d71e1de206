"""What follows from changed stages of a run, and nothing else: only what they reach, only what is wanted.

Changed stages may have leading axes: each is a run of its own, and all go on side by side, as every operation has it.
A whole run belongs in `forward`, cells that a person sets in `edit`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.models.step import Step
from sheetgpt.run.forward import Matrices, matrix

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["follow"]


def follow(
    steps: Sequence[Step],
    weights: Matrices,
    base: Matrices,
    changed: Matrices,
    wanted: Collection[str],
    dtype: DTypeLike = np.float64,
) -> dict[str, np.ndarray]:
    """The stages `wanted` of a run in which those in `changed` [..., rows, columns] stand, by name.

    base: the stages of the run without them (at least its inputs). What no step reads any more is let go.
    """
    plan = to_compute(steps, base, changed, wanted)
    last_reader = {name: number for number, step in enumerate(plan) for name in step.inputs}
    values = dict(changed)
    for number, step in enumerate(plan):
        inputs = [values[name] if name in values else matrix(name, base, weights) for name in step.inputs]
        values[step.name] = np.asarray(step.op.value(*inputs), dtype)
        for name in step.inputs:
            if last_reader[name] == number and name not in wanted:
                values.pop(name, None)
    return {name: values[name] if name in values else base[name] for name in wanted}


def to_compute(steps: Sequence[Step], base: Matrices, changed: Matrices, wanted: Collection[str]) -> list[Step]:
    """The steps that lead to what is wanted and are reached by a change, or missing in the base; in order."""
    new, needed, found = reached(steps, changed), set(wanted), []
    for step in reversed(steps):
        if step.name in needed and step.name not in changed and (step.name in new or step.name not in base):
            needed.update(step.inputs)
            found.append(step)
    return found[::-1]


def reached(steps: Sequence[Step], changed: Matrices) -> set[str]:
    """The stages that depend on a change, and what is changed."""
    found = set(changed)
    for step in steps:
        if not found.isdisjoint(step.inputs):
            found.add(step.name)
    return found
