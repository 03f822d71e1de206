"""What the models below GPT-2 need besides: scores that ignore the context, a window of rows, plain probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    Cells,
    Factors,
    GradientReference,
    Gradients,
    InputFormulas,
    Op,
    Piece,
    Reference,
    Shape,
    Sum,
    Terms,
    by_cells,
    by_rows,
    in_one,
    rows_of,
)
from sheetgpt.ops.terms import number, one, same, softmax_terms, taken


@dataclass(frozen=True)
class Spread(Op):
    """The same column of scores at every position, for a model that doesn't look at what came before: [n_vocab, 1], ids
    [..., T] -> [..., n_vocab, T].
    """

    piece = Piece.COLUMN

    def value(self, scores: Array, ids: Array) -> Array:  # [n_vocab, 1], [..., T] -> [..., n_vocab, T], a view
        return np.broadcast_to(scores, (*ids.shape[:-1], len(scores), ids.shape[-1]))

    def formula(self, scores: Reference, ids: Reference) -> str:
        return f"{scores}"

    def gradient(self, d_out: Array, out: Array, scores: Array, ids: Array) -> Gradients:
        return rows_of(d_out.swapaxes(-1, -2)).sum(0)[:, None], None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, scores: GradientReference, ids: GradientReference
    ) -> InputFormulas:
        return [by_rows(scores, lambda row: f"SUM({d_out.row(row)})"), None]

    def shape(self, scores: Shape, ids: Shape) -> Shape:
        return *ids[:-1], scores[0], ids[-1]

    def terms(self, cell: Cell, scores: Array, ids: Array) -> Terms:
        return same(scores, 0, cell[0], 0)

    def dependents(self, number: int, cell: Cell, scores: Array, ids: Array) -> list[Box]:
        return [(cell[0], 0, 1, len(ids))] if number == 0 else []


@dataclass(frozen=True)
class Turn(Op):
    """Rows become columns: [..., T, n] -> [..., n, T]."""

    def value(self, x: Array) -> Array:  # [..., T, n] -> [..., n, T], a view
        return x.swapaxes(-1, -2)

    def formula(self, x: Reference) -> str:
        return f"TRANSPOSE({x})"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return (d_out.swapaxes(-1, -2),)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        return [in_one(x, f"TRANSPOSE({d_out})")]

    def shape(self, x: Shape) -> Shape:
        return *x[:-2], x[-1], x[-2]

    def terms(self, cell: Cell, x: Array) -> Terms:
        return same(x, 0, cell[1], cell[0])

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return one(cell[1], cell[0])


@dataclass(frozen=True)
class Window(Op):
    """The rows of the last `size` tokens side by side, the oldest first; zeros where there is none.

    [..., W, d], [..., T, d] -> [..., W, size d]. The rows are given twice: those that windows are wanted for, the last
    ones, and all of them.
    """

    size: int  #: tokens in a window
    piece = Piece.CELL
    all_rows = (1,)

    def value(self, wanted: Array, x: Array) -> Array:  # [..., W, d], [..., T, d] -> [..., W, size d]
        missing = self.size - 1
        padded = np.concatenate([np.zeros((*x.shape[:-2], missing, x.shape[-1]), x.dtype), x], axis=-2)
        first, count = x.shape[-2] - wanted.shape[-2], wanted.shape[-2]
        return np.concatenate([padded[..., first + k : first + k + count, :] for k in range(self.size)], axis=-1)

    def formula(self, wanted: Reference, x: Reference) -> str:
        row, column, _, _ = x.box
        back = self.size - 1 - column // x.width
        return x.at(-back, column % x.width - column) if row >= back else "0"

    def gradient(self, d_out: Array, out: Array, wanted: Array, x: Array) -> Gradients:
        d_x, count, width = np.zeros(x.shape, d_out.dtype), x.shape[-2], x.shape[-1]
        for k in range(self.size):
            back = self.size - 1 - k
            if back < count:
                d_x[..., : count - back, :] += d_out[..., back:, k * width : (k + 1) * width]
        return None, d_x

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, wanted: GradientReference, x: GradientReference
    ) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            places = ((row + back, (self.size - 1 - back) * x.columns + column) for back in range(self.size))
            return "+".join(d_out.cell(at, place) for at, place in places if at < x.rows)

        return [None, by_cells(x, cell)]

    def shape(self, wanted: Shape, x: Shape) -> Shape:
        return *x[:-2], wanted[-2], self.size * x[-1]

    def terms(self, cell: Cell, wanted: Array, x: Array) -> Terms:
        place, column = divmod(cell[1], x.shape[-1])
        row = len(x) - len(wanted) + cell[0] - (self.size - 1 - place)
        return same(x, 1, row, column) if row >= 0 else Terms(0.0, "0", {})

    def dependents(self, number: int, cell: Cell, wanted: Array, x: Array) -> list[Box]:
        (row, column), first = cell, len(x) - len(wanted)
        places = ((row + back - first, (self.size - 1 - back) * x.shape[-1] + column) for back in range(self.size))
        return [(*place, 1, 1) for place in places if 0 <= place[0] < len(wanted)] if number == 1 else []


@dataclass(frozen=True)
class Shares(Op):
    """Each column divided by its sum, weights to probabilities, plainly: [..., n_vocab, R] -> the same."""

    piece = Piece.COLUMN
    shares = True

    def value(self, x: Array) -> Array:  # [..., n_vocab, R] -> [..., n_vocab, R]
        return x / x.sum(-2, keepdims=True)

    def formula(self, x: Reference) -> str:
        return f"{x.part}/SUM({x.part})"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return ((d_out - (d_out * out).sum(-2, keepdims=True)) / x.sum(-2, keepdims=True),)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            along = f"SUMPRODUCT({d_out.column(column)},{out.column(column)})"
            return f"({d_out.cell(row, column)}-{along})/SUM({x.column(column)})"

        return [by_cells(x, cell)]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found, column = number(x, 0, *cell), Cells(0, (0, cell[1], len(x), 1))
        numbers = taken(x, column.box)
        made = Sum(numbers, Factors(numbers, column), what="weight")
        return Terms(float(np.divide(found.value, made.total)), "{x} / {sum}", {"x": found}, made, source="x")

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return [(0, cell[1], len(x), 1)]


@dataclass(frozen=True)
class SoftmaxColumns(Op):
    """Each column's exponentials divided by their sum, scores to probabilities: [..., n_vocab, R] -> the same."""

    piece = Piece.COLUMN
    shares = True

    def value(self, x: Array) -> Array:  # [..., n_vocab, R] -> [..., n_vocab, R]
        powers = np.exp(x - x.max(-2, keepdims=True))
        return powers / powers.sum(-2, keepdims=True)

    def formula(self, x: Reference) -> str:
        column = x.part
        return f"EXP({column}-MAX({column}))/SUM(EXP({column}-MAX({column})))"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return (out * (d_out - (d_out * out).sum(-2, keepdims=True)),)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        def cell(row: int, column: int) -> str:
            along = f"SUMPRODUCT({d_out.column(column)},{out.column(column)})"
            return f"{out.cell(row, column)}*({d_out.cell(row, column)}-{along})"

        return [by_cells(x, cell)]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        return softmax_terms(number(x, 0, *cell), x, (0, cell[1], len(x), 1))

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return [(0, cell[1], len(x), 1)]


@dataclass(frozen=True)
class Log(Op):
    """The natural logarithm, cell by cell: [..., n, R], positive numbers -> the same shape."""

    def value(self, x: Array) -> Array:  # [..., n, R] -> [..., n, R], positive numbers
        return np.log(x)

    def formula(self, x: Reference) -> str:
        return f"LN({x})"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return (d_out / x,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        return [in_one(x, f"{d_out}/{x}")]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found = number(x, 0, *cell)
        return Terms(float(np.log(found.value)), "ln({x})", {"x": found})

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        return one(*cell)
