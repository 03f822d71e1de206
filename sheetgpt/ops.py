"""Each operation of GPT-2 once, its three views side by side: value, formula, gradient.

- `value`   : arrays in, array out. A matrix is [..., rows, columns]; leading axes are batches, as the trainer
  uses them.
- `formula` : references in, the text of an Excel formula out (without `=`). `{x}` is a whole matrix by its name,
  `x.part` the piece of it that one formula is about; `piece` says what that is.
- `gradient`: the upstream gradient, the value, and the inputs in; one gradient an input out (None for integers).

No operation changes its inputs, and a result that is a view of an input (`Copy`, `Columns`) says so by being one.
Which operation follows which is `steps`' business; labels are `frames`'; running is `forward`'s and `backward`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import ClassVar, Protocol

import numpy as np

LAYER_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON_TEXT = "0.00001"  # the same, as a spreadsheet's user would type it
POSITION_BASE = 10000  # of the angles by which sinusoidal and rotary positions turn
MASKED = -1e10  # added to the scores that look ahead; exp(MASKED) is exactly 0 in float32 and float64
MASKED_TEXT = "-1e10"  # the same, as a person writes it
GELU_CUBIC = 0.044715
GELU_SLOPE = sqrt(2 / pi)


class Reference(Protocol):
    """What a formula knows of an input. As text it is the whole matrix, by its name."""

    part: str  # what the formula's piece needs of it: a row, a head's columns, the row of a cell's head, one id
    cell: str  # the cell in the same place
    last_row: str
    width: int  # columns
    box: tuple[int, int, int, int]  # (row, column, rows, columns) of the formula's piece in its stage

    def at(self, rows: int, columns: int) -> str:
        """The cell that many rows and columns away from `cell`."""

    def columns(self, index: int, count: int) -> str:
        """One of `count` equal slices of its columns."""


@dataclass(frozen=True)
class Op:
    """One operation. The class attributes tell interpreters what the views alone don't."""

    piece: ClassVar[str] = "matrix"  # what a formula fills: "matrix", "row", "column", "head", "cell" ("cells": a list)
    all_rows: ClassVar[tuple[int, ...]] = ()  # inputs that a single new row needs whole: a decoder caches them

    masked: ClassVar[bool] = False
    shares: ClassVar[bool] = False

    @property
    def groups(self) -> int:
        return getattr(self, "n_head", 1)

    def shape(self, *shapes):
        made = [np.zeros(s, int) if len(s) == 1 else np.ones(s) for s in shapes]
        return self.value(*made).shape

    def value(self, *inputs: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def formula(self, *inputs: Reference) -> str:
        raise NotImplementedError

    def gradient(self, d_out: np.ndarray, out: np.ndarray, *inputs: np.ndarray) -> tuple[np.ndarray | None, ...]:
        raise NotImplementedError


def rows_of(x: np.ndarray) -> np.ndarray:  # [..., n] -> [rows, n]
    """All rows of all batches under each other: one matrix product is quicker than one a batch."""
    return x.reshape(-1, x.shape[-1])


def row_means(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:  # [..., n] -> [..., 1]
    """The mean of each row of x (of x * y), without a temporary matrix."""
    total = np.einsum("...n->...", x) if y is None else np.vecdot(x, y)
    return total[..., None] / x.dtype.type(x.shape[-1])


def row_maxima(x: np.ndarray) -> np.ndarray:  # [..., n] -> [..., 1]
    """The maximum of each row, by its place: numpy finds that in half the time."""
    return np.take_along_axis(x, x.argmax(-1, keepdims=True), -1)


MASKED_BELOW = -1e9  # -1e10, a type's minimum, -inf: whatever number a port masks with


def masked_cells(numbers: np.ndarray) -> np.ndarray:  # [rows, columns] -> bool of that shape
    """Cells that hold any port's mark of "may not look": about -1e10, the type's minimum, -inf, or nothing."""
    return np.isnan(numbers) | (numbers <= MASKED_BELOW)


def column_sums(x: np.ndarray) -> np.ndarray:  # [m, n] -> [1, n]
    return np.ones((1, x.shape[0]), x.dtype) @ x


def add_at_rows(shape: tuple[int, int], index: np.ndarray, rows: np.ndarray) -> np.ndarray:  # [m], [m, n] -> shape
    """A matrix of zeros with each row of `rows` added at its index; an index may repeat."""
    total = np.zeros(shape, rows.dtype)
    if index.size:
        order = np.argsort(index, kind="stable")
        present, starts = np.unique(index[order], return_index=True)
        total[present] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def angles(positions: np.ndarray, size: int) -> np.ndarray:  # [T] -> [T, size // 2], float64
    """The angle of each pair of columns, position / 10000^(2i / size): slower from pair to pair."""
    return positions[:, None] / POSITION_BASE ** (np.arange(0, size - 1, 2) / size)


def split_heads(x: np.ndarray, n_head: int) -> np.ndarray:  # [..., T, H s] -> [..., H, T, s], a view
    return x.reshape(*x.shape[:-1], n_head, x.shape[-1] // n_head).swapaxes(-3, -2)


def matmul_heads(left: np.ndarray, right: np.ndarray) -> np.ndarray:  # [..., H, T, a], [..., H, a, b] -> [..., T, H b]
    """Each head's product, written side by side (head-major columns) without a copy."""
    batch = np.broadcast_shapes(left.shape[:-3], right.shape[:-3])
    heads, rows, columns = left.shape[-3], left.shape[-2], right.shape[-1]
    out = np.empty((*batch, rows, heads, columns), np.result_type(left, right))
    np.matmul(left, right, out=out.swapaxes(-3, -2))
    return out.reshape(*batch, rows, heads * columns)


# ------------------------------------------------------------------------------------------------ tokens and positions


@dataclass(frozen=True)
class Given(Op):
    """A stage that is not computed from matrices: words, merges and tokens come from `bpe`."""


@dataclass(frozen=True)
class TakeRows(Op):
    """Row `id` of a table for each token id."""

    piece = "row"

    def value(self, table, ids):  # [n, d], [..., T] -> [..., T, d]
        return table[ids]

    def formula(self, table, ids):
        return f"INDEX({table},{ids.part}+1,0)"

    def gradient(self, d_out, out, table, ids):
        return add_at_rows(table.shape, ids.ravel(), rows_of(d_out)), None


@dataclass(frozen=True)
class AddRows(Op):
    """Each row plus the table's row for its position."""

    piece = "row"

    def value(self, x, table, positions):  # [..., T, d], [n_ctx, d], [T] -> [..., T, d]
        return x + table[positions]

    def formula(self, x, table, positions):
        return f"{x.part}+INDEX({table},{positions.part}+1,0)"

    def gradient(self, d_out, out, x, table, positions):
        each_position = d_out.reshape(-1, *d_out.shape[-2:]).sum(0)
        return d_out, add_at_rows(table.shape, positions, each_position), None


@dataclass(frozen=True)
class Sinusoids(Op):
    """The position table of "Attention Is All You Need" (3.5), as wide as x: sine and cosine of the pair's angle."""

    piece = "cell"

    def value(self, x, positions):  # [..., T, d], [T] -> [T, d]
        width = x.shape[-1]
        angle = angles(positions, width + width % 2)
        table = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(positions), -1)
        return table[:, :width].astype(x.dtype)

    def formula(self, x, positions):
        column = x.box[1]
        width = x.width + x.width % 2
        function = "COS" if column % 2 else "SIN"
        return f"{function}({positions.part}/{POSITION_BASE}^({column - column % 2}/{width}))"

    def gradient(self, d_out, out, x, positions):
        return None, None


@dataclass(frozen=True)
class CausalMask(Op):
    """0 where a token may look (itself and before), -1e10 where it would look ahead."""

    all_rows = (1,)
    masked = True

    def value(self, positions, keys):  # [Tq], [Tk] -> [Tq, Tk]
        return np.where(keys[None, :] > positions[:, None], MASKED, 0.0)

    def formula(self, positions, keys):
        return f"IF(TRANSPOSE({keys})>{positions},{MASKED:.0f},0)"

    def gradient(self, d_out, out, positions, keys):
        return None, None


# ------------------------------------------------------------------------------------------------ rows


@dataclass(frozen=True)
class Copy(Op):
    """The same matrix under the name of the next stage."""

    def value(self, x):  # [..., T, n] -> the same
        return x

    def formula(self, x):
        return f"{x}"

    def gradient(self, d_out, out, x):
        return (d_out,)


@dataclass(frozen=True)
class Normalize(Op):
    """Each row to mean 0 and (population) variance 1, the first half of a layer normalisation."""

    piece = "row"

    def value(self, x):  # [..., T, d] -> [..., T, d]
        out = x - row_means(x)
        out /= self.deviation(out)
        return out

    @staticmethod
    def deviation(centred):  # [..., T, d] -> [..., T, 1]
        return np.sqrt(row_means(centred, centred) + centred.dtype.type(LAYER_NORM_EPSILON))

    def formula(self, x):
        return f"({x.part}-AVERAGE({x.part}))/SQRT(VARP({x.part})+{LAYER_NORM_EPSILON_TEXT})"

    def gradient(self, d_out, out, x):
        # out = (x - mean) / deviation, so a step along 1 or along out changes nothing to first order
        along_mean, along_out = row_means(d_out), row_means(d_out, out)
        d_x = out * -along_out
        d_x += d_out
        d_x -= along_mean
        d_x /= self.deviation(x - row_means(x))
        return (d_x,)


@dataclass(frozen=True)
class ScaleShift(Op):
    """Times the gain, plus the bias, column by column: the second half of a layer normalisation."""

    def value(self, x, gain, bias):  # [..., T, d], [1, d], [1, d] -> [..., T, d]
        out = x * gain
        out += bias
        return out

    def formula(self, x, gain, bias):
        return f"{x}*{gain}+{bias}"

    def gradient(self, d_out, out, x, gain, bias):
        return d_out * gain, column_sums(rows_of(d_out * x)), column_sums(rows_of(d_out))


@dataclass(frozen=True)
class Linear(Op):
    """x @ w + b, with w as [in, out]."""

    def value(self, x, w, b):  # [..., T, in], [in, out], [1, out] -> [..., T, out]
        out = rows_of(x) @ w
        out += b
        return out.reshape(*x.shape[:-1], w.shape[1])

    def formula(self, x, w, b):
        return f"MMULT({x},{w})+{b}"

    def gradient(self, d_out, out, x, w, b):
        d_rows = rows_of(d_out)
        d_x = (d_rows @ w.T).reshape(x.shape)
        return d_x, rows_of(x).T @ d_rows, column_sums(d_rows)


@dataclass(frozen=True)
class Columns(Op):
    """One of several equal slices of the columns, such as the queries of queries, keys, values."""

    index: int
    count: int

    def slice(self, width: int) -> slice:
        size = width // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def value(self, x):  # [..., T, count n] -> [..., T, n], a view
        return x[..., self.slice(x.shape[-1])]

    def formula(self, x):
        return x.columns(self.index, self.count)

    def gradient(self, d_out, out, x):
        d_x = np.zeros(x.shape, d_out.dtype)
        d_x[..., self.slice(x.shape[-1])] = d_out
        return (d_x,)


@dataclass(frozen=True)
class Add(Op):
    """The residual: what came in is added to what was made of it."""

    def value(self, x, y):  # [..., T, d], [..., T, d] -> [..., T, d]
        return x + y

    def formula(self, x, y):
        return f"{x}+{y}"

    def gradient(self, d_out, out, x, y):
        return d_out, d_out


@dataclass(frozen=True)
class Gelu(Op):
    """GPT-2's activation: the tanh approximation of x times the normal distribution's cumulative function."""

    def value(self, x):  # [..., T, n] -> [..., T, n]
        out = x * x
        out *= GELU_SLOPE * GELU_CUBIC
        out += GELU_SLOPE
        out *= x
        np.tanh(out, out=out)
        out += 1
        out *= x
        out *= 0.5
        return out

    def formula(self, x):
        return f"0.5*{x}*(1+TANH(SQRT(2/PI())*({x}+{GELU_CUBIC}*{x}^3)))"

    def gradient(self, d_out, out, x):
        # in the forward pass this was 0.5 x (1 + t), t = tanh(u), u = GELU_SLOPE (x + GELU_CUBIC x^3)
        # so the slope is 0.5 (1 + t) (1 + x (1 - t) du), du = GELU_SLOPE (1 + 3 GELU_CUBIC x^2)
        slope = x * x
        slope *= GELU_SLOPE * GELU_CUBIC
        t = slope + GELU_SLOPE
        t *= x
        np.tanh(t, out=t)
        slope *= 3
        slope += GELU_SLOPE
        slope *= x
        slope -= slope * t
        slope += 1
        t += 1
        slope *= t
        slope *= 0.5
        slope *= d_out
        return (slope,)


# ------------------------------------------------------------------------------------------------ attention


@dataclass(frozen=True)
class Rotate(Op):
    """Each pair of columns (2i, 2i + 1) of a head turned by position / 10000^(2i / head size): RoFormer's positions.

    After it, a query and a key meet at an angle that tells how far apart they are.
    """

    n_head: int
    piece = "cell"

    def value(self, x, positions):  # [..., T, d], [T] -> [..., T, d]
        return self.turned(x, angles(positions, x.shape[-1] // self.n_head))

    def turned(self, x, angle):  # [..., T, d], [T, s // 2] -> [..., T, d]
        pairs = x.reshape(*x.shape[:-1], self.n_head, -1, 2)
        cos, sin = (function(angle)[:, None].astype(x.dtype) for function in (np.cos, np.sin))
        even, odd = pairs[..., 0], pairs[..., 1]
        return np.stack([even * cos - odd * sin, odd * cos + even * sin], -1).reshape(x.shape)

    def formula(self, x, positions):
        size, column = x.width // self.n_head, x.box[1]
        first = column % size - column % 2
        angle = f"{positions.part}/{POSITION_BASE}^({first}/{size})"
        partner = x.at(0, -1 if column % 2 else 1)
        return f"{x.cell}*COS({angle}){'+' if column % 2 else '-'}{partner}*SIN({angle})"

    def gradient(self, d_out, out, x, positions):
        return self.turned(d_out, -angles(positions, x.shape[-1] // self.n_head)), None


@dataclass(frozen=True)
class AttentionScores(Op):
    """How well each query fits each key, head by head, scaled by the head's size, the mask added."""

    n_head: int
    all_rows = (1,)
    piece = "head"
    masked = True

    def scale(self, width: int) -> float:
        return sqrt(width // self.n_head)

    def value(self, queries, keys, mask):  # [..., Tq, d], [..., Tk, d], [Tq, Tk] -> [..., Tq, H Tk]
        per_head = split_heads(keys, self.n_head).swapaxes(-1, -2)
        out = matmul_heads(split_heads(queries, self.n_head), per_head)
        out /= self.scale(keys.shape[-1])
        by_head = out.reshape(*out.shape[:-1], self.n_head, keys.shape[-2])
        by_head += mask[:, None, :]
        return out

    def formula(self, queries, keys, mask):
        return f"MMULT({queries.part},TRANSPOSE({keys.part}))/SQRT({keys.width // self.n_head})+{mask}"

    def gradient(self, d_out, out, queries, keys, mask):
        d_scores = split_heads(d_out, self.n_head) / self.scale(keys.shape[-1])
        d_queries = matmul_heads(d_scores, split_heads(keys, self.n_head))
        d_keys = matmul_heads(d_scores.swapaxes(-1, -2), split_heads(queries, self.n_head))
        return d_queries, d_keys, None


@dataclass(frozen=True)
class Softmax(Op):
    """Scores to weights that add up to 1, row by row, in each of `groups` equal slices of the columns."""

    groups: int = 1
    piece = "cell"
    shares = True

    def value(self, x):  # [..., T, groups n] -> [..., T, groups n]
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        out = grouped - row_maxima(grouped)
        np.exp(out, out=out)
        out /= np.einsum("...n->...", out)[..., None]
        return out.reshape(x.shape)

    def formula(self, x):
        return f"EXP({x.cell}-MAX({x.part}))/SUM(EXP({x.part}-MAX({x.part})))"

    def gradient(self, d_out, out, x):
        grouped = (*out.shape[:-1], self.groups, -1)
        weights, d_weights = out.reshape(grouped), d_out.reshape(grouped)
        d_x = d_weights - np.vecdot(d_weights, weights)[..., None]
        d_x *= weights
        return (d_x.reshape(x.shape),)


@dataclass(frozen=True)
class AttentionMix(Op):
    """The values, weighted by the attention, head by head."""

    n_head: int
    all_rows = (1,)
    piece = "head"

    def value(self, weights, values):  # [..., Tq, H Tk], [..., Tk, d] -> [..., Tq, d]
        return matmul_heads(split_heads(weights, self.n_head), split_heads(values, self.n_head))

    def formula(self, weights, values):
        return f"MMULT({weights.part},{values.part})"

    def gradient(self, d_out, out, weights, values):
        d_heads = split_heads(d_out, self.n_head)
        d_weights = matmul_heads(d_heads, split_heads(values, self.n_head).swapaxes(-1, -2))
        d_values = matmul_heads(split_heads(weights, self.n_head).swapaxes(-1, -2), d_heads)
        return d_weights, d_values


# ------------------------------------------------------------------------------------------------ language head


@dataclass(frozen=True)
class LastRow(Op):
    """The last token's row: it alone decides what comes next."""

    def value(self, x):  # [..., T, d] -> [..., 1, d]
        return x[..., -1:, :]

    def formula(self, x):
        return x.last_row

    def gradient(self, d_out, out, x):
        d_x = np.zeros(x.shape, d_out.dtype)
        d_x[..., -1:, :] = d_out
        return (d_x,)


@dataclass(frozen=True)
class ScoreTokens(Op):
    """Every token's embedding times the predicted one: a column, one score a token."""

    def value(self, table, x):  # [n_vocab, d], [..., R, d] -> [..., n_vocab, R]
        scores = rows_of(x) @ table.T
        return scores.reshape(*x.shape[:-1], table.shape[0]).swapaxes(-1, -2)

    def formula(self, table, x):
        return f"MMULT({table},TRANSPOSE({x}))"

    def gradient(self, d_out, out, table, x):
        d_scores = rows_of(d_out.swapaxes(-1, -2))
        return d_scores.T @ rows_of(x), (d_scores @ table).reshape(x.shape)


@dataclass(frozen=True)
class BestToken(Op):
    """The greatest score and its token's id; of equals, the first."""

    piece = "cells"

    def value(self, logits):  # [..., n_vocab, 1] -> [..., 2, 1]
        best = logits.argmax(-2, keepdims=True)
        return np.concatenate([np.take_along_axis(logits, best, -2), best.astype(logits.dtype)], axis=-2)

    def formula(self, logits):
        return [f"MAX({logits})", f"MATCH(MAX({logits}),{logits},0)-1"]

    def gradient(self, d_out, out, logits):
        return (None,)


# ------------------------------------------------------------------------------------------------ smaller models


@dataclass(frozen=True)
class Spread(Op):
    """The same column of scores at every position: a model that doesn't look at what came before."""

    piece = "column"

    def value(self, scores, ids):  # [n_vocab, 1], [..., T] -> [..., n_vocab, T], a view
        return np.broadcast_to(scores, (*ids.shape[:-1], len(scores), ids.shape[-1]))

    def formula(self, scores, ids):
        return f"{scores}"

    def gradient(self, d_out, out, scores, ids):
        return rows_of(d_out.swapaxes(-1, -2)).sum(0)[:, None], None


@dataclass(frozen=True)
class Turn(Op):
    """Rows become columns."""

    def value(self, x):  # [..., T, n] -> [..., n, T], a view
        return x.swapaxes(-1, -2)

    def formula(self, x):
        return f"TRANSPOSE({x})"

    def gradient(self, d_out, out, x):
        return (d_out.swapaxes(-1, -2),)


@dataclass(frozen=True)
class Window(Op):
    """The rows of the last `size` tokens side by side, the oldest first; zeros where there is none.

    The rows are given twice: those that windows are wanted for, the last ones, and all of them.
    """

    size: int
    all_rows = (1,)
    piece = "cell"

    def value(self, wanted, x):  # [..., W, d], [..., T, d] -> [..., W, size d]
        missing = self.size - 1
        padded = np.concatenate([np.zeros((*x.shape[:-2], missing, x.shape[-1]), x.dtype), x], axis=-2)
        first, count = x.shape[-2] - wanted.shape[-2], wanted.shape[-2]
        return np.concatenate([padded[..., first + k : first + k + count, :] for k in range(self.size)], axis=-1)

    def formula(self, wanted, x):
        row, column, _, _ = x.box
        back = self.size - 1 - column // x.width
        return x.at(-back, column % x.width - column) if row >= back else "0"

    def gradient(self, d_out, out, wanted, x):
        d_x, count, width = np.zeros(x.shape, d_out.dtype), x.shape[-2], x.shape[-1]
        for k in range(self.size):
            back = self.size - 1 - k
            if back < count:
                d_x[..., : count - back, :] += d_out[..., back:, k * width : (k + 1) * width]
        return None, d_x


@dataclass(frozen=True)
class Shares(Op):
    """Each column divided by its sum: weights to probabilities, plainly."""

    piece = "column"
    shares = True

    def value(self, x):  # [..., n_vocab, R] -> [..., n_vocab, R]
        return x / x.sum(-2, keepdims=True)

    def formula(self, x):
        return f"{x.part}/SUM({x.part})"

    def gradient(self, d_out, out, x):
        return ((d_out - (d_out * out).sum(-2, keepdims=True)) / x.sum(-2, keepdims=True),)


@dataclass(frozen=True)
class SoftmaxColumns(Op):
    """Each column's exponentials divided by their sum: scores to probabilities."""

    piece = "column"
    shares = True

    def value(self, x):  # [..., n_vocab, R] -> [..., n_vocab, R]
        powers = np.exp(x - x.max(-2, keepdims=True))
        return powers / powers.sum(-2, keepdims=True)

    def formula(self, x):
        return f"EXP({x.part}-MAX({x.part}))/SUM(EXP({x.part}-MAX({x.part})))"

    def gradient(self, d_out, out, x):
        return (out * (d_out - (d_out * out).sum(-2, keepdims=True)),)


@dataclass(frozen=True)
class Log(Op):
    """The natural logarithm, cell by cell."""

    def value(self, x):  # [..., n, R] -> [..., n, R], positive numbers
        return np.log(x)

    def formula(self, x):
        return f"LN({x})"

    def gradient(self, d_out, out, x):
        return (d_out / x,)


# ------------------------------------------------------------------------------------------------ loss


@dataclass(frozen=True)
class LogLoss(Op):
    """-ln of the probability that the scores give to the token that came: each prediction's penalty."""

    piece = "column"

    def value(self, logits, targets):  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        highest = logits.max(-2, keepdims=True)
        log_total = highest + np.log(np.exp(logits - highest).sum(-2, keepdims=True))
        return log_total - np.take_along_axis(logits, targets[..., None, :], -2)

    def formula(self, logits, targets):
        return (
            f"LN(SUM(EXP({logits.part}-MAX({logits.part}))))+MAX({logits.part})-INDEX({logits.part},{targets.part}+1)"
        )

    def gradient(self, d_out, out, logits, targets):
        # the penalty rises by each token's probability and falls by 1 for the token that came
        target = targets[..., None, :]
        log_total = out + np.take_along_axis(logits, target, -2)
        d_logits = np.exp(logits - log_total)
        np.put_along_axis(d_logits, target, np.take_along_axis(d_logits, target, -2) - 1, -2)
        d_logits *= d_out
        return d_logits, None


def spread_at_targets(d_out: np.ndarray, targets: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros but at each prediction's target: [..., 1, R], [..., R] -> [..., n_vocab, R]."""
    spread = np.zeros(shape, d_out.dtype)
    np.put_along_axis(spread, targets[..., None, :], d_out, -2)
    return spread


@dataclass(frozen=True)
class Missed(Op):
    """1 minus the probability of the token that came: the plainest penalty."""

    piece = "column"

    def value(self, probabilities, targets):  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        return 1 - np.take_along_axis(probabilities, targets[..., None, :], -2)

    def formula(self, probabilities, targets):
        return f"1-INDEX({probabilities.part},{targets.part}+1)"

    def gradient(self, d_out, out, probabilities, targets):
        return spread_at_targets(-d_out, targets, probabilities.shape), None


@dataclass(frozen=True)
class Surprise(Op):
    """-ln of the probability of the token that came."""

    piece = "column"

    def value(self, probabilities, targets):  # [..., n_vocab, R], [..., R] -> [..., 1, R]
        return -np.log(np.take_along_axis(probabilities, targets[..., None, :], -2))

    def formula(self, probabilities, targets):
        return f"-LN(INDEX({probabilities.part},{targets.part}+1))"

    def gradient(self, d_out, out, probabilities, targets):
        chosen = np.take_along_axis(probabilities, targets[..., None, :], -2)
        return spread_at_targets(-d_out / chosen, targets, probabilities.shape), None
