"""From a logit back through the residual stream: how each operation on the way hands a direction to its inputs.

A direction is a vector that, times a stage's last row, gives what the stage adds to the logit. Norms are linear here:
their scale is held fixed. What can't be taken apart further becomes a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatchmethod

import numpy as np

from sheetgpt import ops
from sheetgpt.errors import LensError
from sheetgpt.lens.stream import Stream
from sheetgpt.models.step import POSITIONS, Role, Step
from sheetgpt.run.trace import Trace

EMBEDDING, POSITION, HEAD, BIAS = "token embedding", "position embedding", "head", "bias"


@dataclass(frozen=True)
class Part:
    """What one piece of the model adds. source: the stage or weight it comes from; by_token: of a head, by position."""

    kind: str
    source: str
    adds: float
    block: int | None = None
    head: int | None = None
    by_token: np.ndarray | None = None

    @property
    def place(self) -> str:
        """Its name in its block."""
        return self.kind if self.head is None else f"{self.kind} {self.head}"

    @property
    def label(self) -> str:
        return self.place if self.block is None else f"block {self.block} {self.place}"


def parts_of(trace: Trace, stream: Stream, token: int, against: int | None) -> list[Part]:
    """The parts of a token's logit (minus another's), in the order of the data."""
    scored = trace.steps.of(Role.LOGITS)
    if not isinstance(scored.op, ops.ScoreTokens):
        raise LensError(f"the logits of a {trace.config.model} model are no sum over its residual stream")
    walk = Walk(trace, stream)
    table = walk.matrix(scored.inputs[0])
    walk.back(scored.inputs[1], table[token] - (0 if against is None else table[against]))
    return walk.parts[::-1]


class Walk:
    """The way back; `parts` gathers what is met, the last first. All is float64, whatever the run is."""

    def __init__(self, trace: Trace, stream: Stream):
        self.trace, self.parts = trace, list[Part]()
        self.kinds = {step: write.kind for write in stream.writes for step in (write.made.name, write.after.name)}

    def matrix(self, name: str) -> np.ndarray:
        """A stage's or weight's matrix."""
        weights = self.trace.weights
        found = weights[name] if weights is not None and name in weights else self.trace.arrays[name]
        return np.asarray(found, np.float64)

    def last_row(self, name: str) -> np.ndarray:
        found: np.ndarray = self.matrix(name)[-1]
        return found

    def back(self, name: str, direction: np.ndarray) -> None:
        step = self.trace.steps[name]
        self.take(step.op, step, direction)

    def add(self, kind: str, source: str, adds: float, step: Step, **more: object) -> None:
        self.parts.append(Part(kind, source, float(adds), step.block, **more))  # type: ignore[arg-type]

    def bias(self, name: str, step: Step, direction: np.ndarray) -> None:
        kind = f"{self.kinds[step.name]} {BIAS}" if step.name in self.kinds else f"norm {BIAS}"
        self.add(kind, name, self.last_row(name) @ direction, step)

    # -------------------------------------------------------------------------------------------- operations

    @singledispatchmethod
    def take(self, _op: ops.Op, step: Step, direction: np.ndarray) -> None:
        """What is no sum: a part by itself."""
        self.add(self.kinds.get(step.name, step.title), step.name, self.last_row(step.name) @ direction, step)

    @take.register(ops.Copy | ops.LastRow)
    def _(self, _op: ops.Op, step: Step, direction: np.ndarray) -> None:
        self.back(step.inputs[0], direction)

    @take.register
    def _(self, _op: ops.Add, step: Step, direction: np.ndarray) -> None:
        order = list(self.trace.steps.by_name)
        for name in sorted(step.inputs, key=order.index, reverse=True):  # the last first, as `parts` has them
            self.back(name, direction)

    @take.register
    def _(self, _op: ops.AddRows, step: Step, direction: np.ndarray) -> None:
        x, table, _ = step.inputs
        position = int(self.trace.arrays[POSITIONS][-1])
        self.add(POSITION, table, self.matrix(table)[position] @ direction, step)
        self.back(x, direction)

    @take.register
    def _(self, _op: ops.TakeRows, step: Step, direction: np.ndarray) -> None:
        self.add(EMBEDDING, step.inputs[0], self.last_row(step.name) @ direction, step)

    @take.register
    def _(self, _op: ops.Sinusoids, step: Step, direction: np.ndarray) -> None:
        self.add(POSITION, step.name, self.last_row(step.name) @ direction, step)

    @take.register
    def _(self, _op: ops.ScaleShift, step: Step, direction: np.ndarray) -> None:
        x, gain, bias = step.inputs
        self.bias(bias, step, direction)
        self.back(x, direction * self.last_row(gain))

    @take.register
    def _(self, _op: ops.Normalize, step: Step, direction: np.ndarray) -> None:
        # each part less its own mean: the same as the direction less its mean
        row = self.last_row(step.inputs[0])
        self.back(step.inputs[0], (direction - direction.mean()) / ops.Normalize.deviation(row - row.mean()))

    @take.register
    def _(self, _op: ops.NormalizeRms, step: Step, direction: np.ndarray) -> None:
        self.back(step.inputs[0], direction / ops.root_mean_square(self.last_row(step.inputs[0])))

    @take.register
    def _(self, _op: ops.Linear, step: Step, direction: np.ndarray) -> None:
        x, w, b = step.inputs
        self.bias(b, step, direction)
        self.source(x, step, self.matrix(w) @ direction)

    @take.register
    def _(self, _op: ops.Project, step: Step, direction: np.ndarray) -> None:
        x, w = step.inputs
        self.source(x, step, self.matrix(w) @ direction)

    @take.register
    def _(self, op: ops.AttentionMix, step: Step, direction: np.ndarray) -> None:
        weights, values = step.inputs
        shares = self.last_row(weights).reshape(op.n_head, -1)  # [H, T]
        rows = ops.split_heads(self.matrix(values), op.n_head)  # [H, T, s]
        by_token = shares * np.einsum("hts,hs->ht", rows, direction.reshape(op.n_head, -1))
        for head in reversed(range(op.n_head)):
            self.add(HEAD, step.name, by_token[head].sum(), step, head=head, by_token=by_token[head])

    def source(self, name: str, writer: Step, direction: np.ndarray) -> None:
        """What a matrix was multiplied with: heads, or a hidden layer, which is a part under its writer's name."""
        step = self.trace.steps[name]
        if isinstance(step.op, ops.AttentionMix):
            self.take(step.op, step, direction)
        else:
            kind = self.kinds.get(writer.name, writer.title)
            self.add(kind, writer.name, self.last_row(name) @ direction, writer)
