"""The gradient of a model's loss in three ways that must agree: backprop, nudges, and the graph of scalar Values.

All three read the same list of steps. `backprop` is `backward`; `numeric` nudges one weight at a time; `value` runs the
steps on `scalar.Value`s. The last two are for looking at, on models of up to a few hundred weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Role, Steps
from sheetgpt.ops import Penalty
from sheetgpt.run.backward import backward
from sheetgpt.run.forward import forward
from sheetgpt.training import scalar

__all__ = ["Check", "Loss", "gradient_check"]

METHODS = ("backprop", "numeric", "value")
EPSILON = 1e-6
MOST_WEIGHTS = 5000  # for nudges and Values: beyond, one step takes minutes

Matrices = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A list of steps up to the penalties, and what it is given. The loss is the sum of the penalties, each times its
    share, which so is its gradient.
    """

    steps: Steps  #: steps that predict after every token
    given: Matrices  #: ids [..., T], positions [T], targets [..., T], by name
    share: np.ndarray  #: [..., 1, T] of each penalty

    @classmethod
    def of(cls, steps: Steps, ids: np.ndarray, targets: np.ndarray) -> Loss:
        """The mean penalty over ids and targets, [..., T] each; a prediction whose target is below 0 doesn't count."""
        counts = targets[..., None, :] >= 0
        return cls(steps, steps.inputs(ids, targets=targets), counts / counts.sum())

    @property
    def penalties(self) -> str:
        """The name of the stage whose sum, each cell times its share, is the loss."""
        return self.steps.name(Role.PENALTIES)

    @property
    def penalty(self) -> Penalty:
        """The operation that makes the penalties."""
        return cast("Penalty", self.steps.of(Role.PENALTIES).op)

    def values(self, weights: Matrices) -> dict[str, np.ndarray]:
        """Every stage's matrix [..., rows, columns] by name."""
        return forward(self.steps, weights, self.given)

    def total(self, values: Matrices) -> float:
        """The loss, given every stage's matrix [..., rows, columns]; in nats where penalties are -ln p."""
        return float((values[self.penalties] * self.share).sum())

    def __call__(self, weights: Matrices) -> float:
        return self.total(self.values(weights))

    def gradients(self, weights: Matrices, method: str = "backprop", epsilon: float = EPSILON) -> Matrices:
        """The gradient of every weight [rows, columns], by name. Raises SheetGPTError where a method can't do so many
        weights.
        """
        count = sum(matrix.size for matrix in weights.values())
        if method != "backprop" and count > MOST_WEIGHTS:
            raise SheetGPTError(
                f"--gradient {method} is for small models and this one has {count:,} weights "
                f"(at most {MOST_WEIGHTS:,})",
                remedy="use --gradient backprop",
            )
        if method == "numeric":
            return self.nudged(weights, epsilon)
        if method == "value":
            return self.graph(weights)[1]
        found = self.backprop(self.values(weights), weights)
        return {name: found[name] for name in weights}

    def backprop(self, values: Matrices, weights: Matrices) -> dict[str, np.ndarray]:
        """The gradient of every stage [..., rows, columns] and every weight [rows, columns], given all their values."""
        return backward(self.steps, values, weights, {self.penalties: self.share})

    def nudged(self, weights: Matrices, epsilon: float = EPSILON) -> dict[str, np.ndarray]:
        """How much the loss changes when one weight is nudged by epsilon, divided by epsilon; [rows, columns] a weight
        matrix.
        """
        before, found = self(weights), {}
        for name, matrix in weights.items():
            slopes = np.empty(matrix.shape)
            for at in np.ndindex(matrix.shape):
                nudged = matrix.copy()
                nudged[at] += epsilon
                slopes[at] = (self({**weights, name: nudged}) - before) / epsilon
            found[name] = slopes
        return found

    def graph(self, weights: Matrices) -> tuple[list[scalar.Node], dict[str, np.ndarray]]:
        """The graph of Values that ends with the loss, as a table, and the gradient of every weight, [rows, columns]
        each.
        """
        leaves = {name: scalar.to_values(matrix) for name, matrix in weights.items()}
        values = forward(self.steps, leaves, self.given, dtype=object)
        nodes = (values[self.penalties] * self.share).sum().backward()
        cells = [(name, at) for name, leaf in leaves.items() for at in np.ndindex(leaf.shape)]
        names = {id(leaves[name][at]): f"{name}[{at[0]},{at[1]}]" for name, at in cells}
        gradient = np.frompyfunc(lambda leaf: leaf.gradient, 1, 1)
        found = {name: gradient(leaf).astype(float) for name, leaf in leaves.items()}
        return list(scalar.table(nodes, names)), found


@dataclass(frozen=True)
class Check:
    """One weight's gradient, three times."""

    weight: str  #: the matrix
    row: int  #: of the weight in it
    column: int  #: of the weight in it
    value: float  #: the weight itself
    backprop: float  #: its gradient by `backward`
    numeric: float  #: its gradient by a nudge
    value_graph: float  #: its gradient by the graph of Values

    @property
    def difference(self) -> float:
        """The largest of the three less the smallest."""
        found = self.backprop, self.numeric, self.value_graph
        return max(found) - min(found)


def gradient_check(loss: Loss, weights: Matrices, epsilon: float = EPSILON) -> list[Check]:
    """Every weight's gradient by each method, for weights [rows, columns] by name: the table `gradient_check`."""
    by_method = [loss.gradients(weights, method, epsilon) for method in METHODS]
    return [
        Check(name, row, column, float(matrix[row, column]), *(float(found[name][row, column]) for found in by_method))
        for name, matrix in weights.items()
        for row, column in np.ndindex(matrix.shape)
    ]
