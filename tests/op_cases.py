"""For every operation a way to draw inputs that fit it: the laws over all operations quantify over these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sheetgpt import ops

HEADS, SIZE, ROWS, WIDE, TABLE = 3, 4, 5, 7, 11
D = HEADS * SIZE


Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Case:
    """An operation and what draws each of its inputs; `batch` is the leading axes."""

    op: ops.Op
    draws: tuple[Draw, ...]

    def __str__(self):
        return type(self.op).__name__

    def draw(self, rng: np.random.Generator, batch: tuple[int, ...]) -> list[np.ndarray]:
        return [draw(rng, batch) for draw in self.draws]

    def is_positions(self, number: int) -> bool:
        return self.draws[number] is positions


def normal(*shape):
    return lambda rng, batch: rng.standard_normal((*batch, *shape))


def positive(*shape):
    return lambda rng, batch: rng.uniform(0.2, 1.5, (*batch, *shape))


def weight(*shape):
    return lambda rng, _batch: rng.standard_normal(shape)


def whole(limit, *shape):
    return lambda rng, batch: rng.integers(0, limit, (*batch, *shape))


def positions(_rng, _batch):
    return np.arange(ROWS)


def case(op, *draws):
    return Case(op, draws)


CASES = [
    case(ops.TakeRows(), weight(TABLE, D), whole(TABLE, ROWS)),
    case(ops.AddRows(), normal(ROWS, D), weight(TABLE, D), positions),
    case(ops.Sinusoids(), normal(ROWS, D), positions),
    case(ops.Rotate(HEADS), normal(ROWS, D), positions),
    case(ops.CausalMask(), positions, positions),
    case(ops.Copy(), normal(ROWS, D)),
    case(ops.Normalize(), normal(ROWS, D)),
    case(ops.NormalizeRms(), normal(ROWS, D)),
    case(ops.ScaleShift(), normal(ROWS, D), weight(1, D), weight(1, D)),
    case(ops.Linear(), normal(ROWS, D), weight(D, WIDE), weight(1, WIDE)),
    case(ops.Project(), normal(ROWS, D), weight(D, WIDE)),
    case(ops.Columns(1, 3), normal(ROWS, D)),
    case(ops.Add(), normal(ROWS, D), normal(ROWS, D)),
    case(ops.Gelu(), normal(ROWS, WIDE)),
    case(ops.Relu(), normal(ROWS, WIDE)),
    case(ops.AttentionScores(HEADS), normal(ROWS, D), normal(ROWS, D), weight(ROWS, ROWS)),
    case(ops.Softmax(HEADS), normal(ROWS, HEADS * ROWS)),
    case(ops.AttentionMix(HEADS), normal(ROWS, HEADS * ROWS), normal(ROWS, D)),
    case(ops.LastRow(), normal(ROWS, D)),
    case(ops.ScoreTokens(), weight(TABLE, D), normal(2, D)),
    case(ops.BestToken(), normal(TABLE, 1)),
    case(ops.Spread(), weight(TABLE, 1), whole(TABLE, ROWS)),
    case(ops.Turn(), normal(ROWS, WIDE)),
    case(ops.Window(3), normal(ROWS, D), normal(ROWS, D)),
    case(ops.Shares(), positive(TABLE, ROWS)),
    case(ops.SoftmaxColumns(), normal(TABLE, ROWS)),
    case(ops.Log(), positive(TABLE, ROWS)),
    case(ops.Missed(), positive(TABLE, 2), whole(TABLE, 2)),
    case(ops.Surprise(), positive(TABLE, 2), whole(TABLE, 2)),
    case(ops.LogLoss(), normal(TABLE, 2), whole(TABLE, 2)),
]
