"""Attention: who may look where, how well queries fit keys, the weights that follow, and the values mixed by them.

A matrix of scores or weights is [..., queries, heads x keys]: one head's keys stand side by side, then the next head's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    Cells,
    Formulas,
    GradientReference,
    Gradients,
    InputFormulas,
    Op,
    Piece,
    Reference,
    Shape,
    Terms,
    by_cells,
)
from sheetgpt.ops.terms import entry, number, products, row_of_index, softmax_terms

MASKED = -1e10  #: added to the scores that look ahead; exp(MASKED) is exactly 0 in float32 and float64
MASKED_TEXT = "-1e10"  #: the same, as a person writes it
#: at or below it a cell is masked: -1e9 with a score added or as bfloat16 rounds it, -1e10, a type's minimum, -inf, as
#: ports mask
MASKED_BELOW = -9.9e8


def masked_cells(numbers: Array) -> Array:  # [rows, columns] -> bool of that shape
    """Which cells hold any port's mark of "may not look", [rows, columns] -> bool of that shape: about -1e10, the
    type's minimum, -inf, or nothing.
    """
    return np.isnan(numbers) | (numbers <= MASKED_BELOW)


def split_heads(x: Array, n_head: int) -> Array:  # [..., T, H s] -> [..., H, T, s], a view
    """[..., T, H s] -> [..., H, T, s], a view with an axis for the heads."""
    return x.reshape(*x.shape[:-1], n_head, x.shape[-1] // n_head).swapaxes(-3, -2)


def matmul_heads(left: Array, right: Array) -> Array:  # [..., H, T, a], [..., H, a, b] -> [..., T, H b]
    """[..., H, T, a], [..., H, a, b] -> [..., T, H b]: each head's product, written side by side (head-major columns)
    without a copy.
    """
    batch = np.broadcast_shapes(left.shape[:-3], right.shape[:-3])
    heads, rows, columns = left.shape[-3], left.shape[-2], right.shape[-1]
    out = np.empty((*batch, rows, heads, columns), np.result_type(left, right))
    np.matmul(left, right, out=out.swapaxes(-3, -2))
    return out.reshape(*batch, rows, heads * columns)


def row_maxima(x: Array) -> Array:  # [..., n] -> [..., 1]
    """[..., n] -> [..., 1]: the maximum of each row, by its place, as numpy finds that in half the time."""
    return np.take_along_axis(x, x.argmax(-1, keepdims=True), -1)


@dataclass(frozen=True)
class CausalMask(Op):
    """0 where a token may look (itself and before), -1e10 where it would look ahead: positions of queries [Tq] and of
    keys [Tk] -> [Tq, Tk].
    """

    all_rows = (1,)
    masked = True

    def value(self, positions: Array, keys: Array) -> Array:  # [Tq], [Tk] -> [Tq, Tk]
        return np.where(keys[None, :] > positions[:, None], MASKED, 0.0)

    def formula(self, positions: Reference, keys: Reference) -> str:
        return f"IF(TRANSPOSE({keys})>{positions},{MASKED:.0f},0)"

    def gradient(self, d_out: Array, out: Array, positions: Array, keys: Array) -> Gradients:
        return None, None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, positions: GradientReference, keys: GradientReference
    ) -> InputFormulas:
        return [None, None]

    def shape(self, positions: Shape, keys: Shape) -> Shape:
        return *positions, *keys

    def terms(self, cell: Cell, positions: Array, keys: Array) -> Terms:
        query, key = entry(positions, 0, cell[0]), entry(keys, 1, cell[1])
        value, formula = MASKED if key.value > query.value else 0.0, f"if({{key}} > {{query}}, {MASKED_TEXT}, 0)"
        return Terms(value, formula, {"query": query, "key": key})

    def dependents(self, number: int, cell: Cell, positions: Array, keys: Array) -> list[Box]:
        return row_of_index(cell, keys) if number == 0 else [(0, cell[1], len(positions), 1)]


@dataclass(frozen=True)
class AttentionScores(Op):
    """How well each query fits each key, head by head, divided by the root of the head's size, the mask added.

    [..., Tq, d], [..., Tk, d], [Tq, Tk] -> [..., Tq, H Tk]; "Attention Is All You Need", 3.2.1.
    """

    n_head: int  #: how many heads share the columns
    piece = Piece.HEAD
    all_rows = (1,)
    masked = True

    @property
    def groups(self) -> int:
        return self.n_head

    def scale(self, width: int) -> float:
        """The root of a head's size, where all heads together are `width` columns wide."""
        return sqrt(width // self.n_head)

    def value(self, queries: Array, keys: Array, mask: Array) -> Array:
        # [..., Tq, d], [..., Tk, d], [..., Tq, Tk] -> [..., Tq, H Tk]
        per_head = split_heads(keys, self.n_head).swapaxes(-1, -2)
        out = matmul_heads(split_heads(queries, self.n_head), per_head)
        out /= self.scale(keys.shape[-1])
        by_head = out.reshape(*out.shape[:-1], self.n_head, keys.shape[-2])
        in_place = by_head if mask.ndim == 2 else None  # runs side by side may have masks of their own
        masked = np.add(by_head, mask[..., None, :], out=in_place)
        return masked.reshape(*masked.shape[:-2], -1)

    def formula(self, queries: Reference, keys: Reference, mask: Reference) -> str:
        return f"MMULT({queries.part},TRANSPOSE({keys.part}))/SQRT({keys.width // self.n_head})+{mask}"

    def gradient(self, d_out: Array, out: Array, queries: Array, keys: Array, mask: Array) -> Gradients:
        d_scores = split_heads(d_out, self.n_head) / self.scale(keys.shape[-1])
        d_queries = matmul_heads(d_scores, split_heads(keys, self.n_head))
        d_keys = matmul_heads(d_scores.swapaxes(-1, -2), split_heads(queries, self.n_head))
        return d_queries, d_keys, None

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        queries: GradientReference,
        keys: GradientReference,
        mask: GradientReference,
    ) -> InputFormulas:
        size, count = queries.columns // self.n_head, keys.rows

        def by_head(other: GradientReference, *, turned: bool) -> Formulas:
            for head in range(self.n_head):
                d_scores = d_out.columns_from(head * count, count)
                left = f"TRANSPOSE({d_scores})" if turned else d_scores
                formula = f"MMULT({left},{other.columns_from(head * size, size)})/SQRT({size})"
                yield (0, head * size, other.rows, size), formula

        return [by_head(keys, turned=False), by_head(queries, turned=True), None]

    def shape(self, queries: Shape, keys: Shape, mask: Shape) -> Shape:
        return *queries[:-1], self.n_head * keys[-2]

    def terms(self, cell: Cell, queries: Array, keys: Array, mask: Array) -> Terms:
        (head, key), size = divmod(cell[1], len(keys)), keys.shape[-1] // self.n_head
        left, right = Cells(0, (cell[0], head * size, 1, size)), Cells(1, (key, head * size, 1, size))
        made, ahead = products(queries, left, keys, right), number(mask, 2, cell[0], key, addend=True)
        formula = f"{{sum}} / sqrt({size}) + {{mask}}"
        return Terms(made.total / sqrt(size) + ahead.value, formula, {"mask": ahead}, made)

    def dependents(self, number: int, cell: Cell, queries: Array, keys: Array, mask: Array) -> list[Box]:
        (row, column), count, size = cell, len(keys), keys.shape[-1] // self.n_head
        if number == 2:
            return [(row, head * count + column, 1, 1) for head in range(self.n_head)]
        first = column // size * count  # of its head
        return [(row, first, 1, count)] if number == 0 else [(0, first + row, len(queries), 1)]


@dataclass(frozen=True)
class Softmax(Op):
    """Scores to weights that add up to 1, row by row, in each of `groups` equal slices of the columns: [..., T, groups
    n] -> the same.
    """

    groups: int = 1  #: heads, for attention
    piece = Piece.CELL
    shares = True

    def value(self, x: Array) -> Array:  # [..., T, groups n] -> [..., T, groups n]
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        out = grouped - row_maxima(grouped)
        np.exp(out, out=out)
        out /= np.einsum("...n->...", out)[..., None]
        return out.reshape(x.shape)

    def formula(self, x: Reference) -> str:
        row = x.part
        return f"EXP({x.cell}-MAX({row}))/SUM(EXP({row}-MAX({row})))"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        grouped = (*out.shape[:-1], self.groups, -1)
        weights, d_weights = out.reshape(grouped), d_out.reshape(grouped)
        d_x = d_weights - np.vecdot(d_weights, weights)[..., None]
        d_x *= weights
        return (d_x.reshape(x.shape),)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        width = x.columns // self.groups

        def cell(row: int, column: int) -> str:
            group = row, column // width * width, width
            along = f"SUMPRODUCT({d_out.part_of_row(*group)},{out.part_of_row(*group)})"
            return f"{out.cell(row, column)}*({d_out.cell(row, column)}-{along})"

        return [by_cells(x, cell)]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        width = x.shape[-1] // self.groups
        return softmax_terms(number(x, 0, *cell), x, (cell[0], cell[1] // width * width, 1, width))

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        width = x.shape[-1] // self.groups
        return [(cell[0], cell[1] // width * width, 1, width)]


@dataclass(frozen=True)
class AttentionMix(Op):
    """The values, weighted by the attention, head by head: [..., Tq, H Tk], [..., Tk, d] -> [..., Tq, d]."""

    n_head: int  #: how many heads share the columns
    piece = Piece.HEAD
    all_rows = (1,)

    @property
    def groups(self) -> int:
        return self.n_head

    def value(self, weights: Array, values: Array) -> Array:  # [..., Tq, H Tk], [..., Tk, d] -> [..., Tq, d]
        return matmul_heads(split_heads(weights, self.n_head), split_heads(values, self.n_head))

    def formula(self, weights: Reference, values: Reference) -> str:
        return f"MMULT({weights.part},{values.part})"

    def gradient(self, d_out: Array, out: Array, weights: Array, values: Array) -> Gradients:
        d_heads = split_heads(d_out, self.n_head)
        d_weights = matmul_heads(d_heads, split_heads(values, self.n_head).swapaxes(-1, -2))
        d_values = matmul_heads(split_heads(weights, self.n_head).swapaxes(-1, -2), d_heads)
        return d_weights, d_values

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, weights: GradientReference, values: GradientReference
    ) -> InputFormulas:
        size, count = values.columns // self.n_head, values.rows

        def d_weights(head: int) -> str:
            part = values.columns_from(head * size, size)
            return f"MMULT({d_out.columns_from(head * size, size)},TRANSPOSE({part}))"

        def d_values(head: int) -> str:
            part = weights.columns_from(head * count, count)
            return f"MMULT(TRANSPOSE({part}),{d_out.columns_from(head * size, size)})"

        heads = range(self.n_head)
        return [
            (((0, head * count, weights.rows, count), d_weights(head)) for head in heads),
            (((0, head * size, count, size), d_values(head)) for head in heads),
        ]

    def shape(self, weights: Shape, values: Shape) -> Shape:
        return *weights[:-1], values[-1]

    def terms(self, cell: Cell, weights: Array, values: Array) -> Terms:
        (row, column), count = cell, len(values)
        head = column // (values.shape[-1] // self.n_head)
        left, right = Cells(0, (row, head * count, 1, count)), Cells(1, (0, column, count, 1))
        made = products(weights, left, values, right)
        return Terms(made.total, "{sum}", {}, made)

    def dependents(self, number: int, cell: Cell, weights: Array, values: Array) -> list[Box]:
        if number == 1:
            return [(0, cell[1], len(weights), 1)]
        size = values.shape[-1] // self.n_head
        return [(cell[0], cell[1] // len(values) * size, 1, size)]
