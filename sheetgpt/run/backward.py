"""The same list in reverse: the gradient of every stage and every weight, by name.

An operation returns its own derivatives only; the chain rule is the one loop here. The loss and the update of the
weights belong in `training`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sheetgpt.models.step import Step

__all__ = ["backward"]

Matrices = Mapping[str, np.ndarray]


def backward(
    steps: Sequence[Step], values: Matrices, weights: Matrices, seeds: Matrices, *, keep_stages: bool = True
) -> dict[str, np.ndarray]:
    """The gradient of each stage and weight on which a seeded stage depends, under its name, in reverse order.

    values: every stage's matrix [..., rows, columns], from `forward` with the same steps and weights, and the run's
    inputs.
    seeds: the gradient at the stages where the chain begins, such as `{"penalties": 1 / count}`.
    keep_stages: False drops a stage's gradient once it has been passed on (training needs only the weights').
    """
    gradients = dict(seeds)
    owned: set[str] = set()  # sums that this loop made itself: only those may be added to in place
    for step in reversed(steps):
        if step.is_given or step.name not in gradients:
            continue
        d_out = gradients[step.name] if keep_stages else gradients.pop(step.name)
        inputs = [values[name] if name in values else weights[name] for name in step.inputs]
        for name, d_input in zip(step.inputs, step.op.gradient(d_out, values[step.name], *inputs), strict=True):
            if d_input is None:
                continue
            if name not in gradients:
                gradients[name] = d_input
            elif name in owned:
                gradients[name] += d_input
            else:
                gradients[name] = gradients[name] + d_input
                owned.add(name)
    return gradients
