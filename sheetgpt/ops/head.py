"""The language head: the last row, every token's score, the best token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    Cells,
    GradientReference,
    Gradients,
    InputFormulas,
    Number,
    Op,
    Piece,
    Reference,
    Shape,
    Terms,
    by_rows,
    in_one,
    rows_of,
)
from sheetgpt.ops.terms import number, one, products, same


@dataclass(frozen=True)
class LastRow(Op):
    """The last token's row, which alone decides what comes next: [..., T, d] -> [..., 1, d]."""

    def value(self, x: Array) -> Array:  # [..., T, d] -> [..., 1, d]
        return x[..., -1:, :]

    def formula(self, x: Reference) -> str:
        return x.last_row

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        d_x = np.zeros(x.shape, d_out.dtype)
        d_x[..., -1:, :] = d_out
        return (d_x,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        return [by_rows(x, lambda row: f"{d_out}" if row == x.rows - 1 else "0")]

    def shape(self, x: Shape) -> Shape:
        return *x[:-2], 1, x[-1]

    def terms(self, cell: Cell, x: Array) -> Terms:
        return same(x, 0, len(x) - 1, cell[1])

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return one(0, cell[1]) if cell[0] == len(x) - 1 else []


@dataclass(frozen=True)
class ScoreTokens(Op):
    """Every token's embedding times the predicted one, a column with one score a token: [n_vocab, d], [..., R, d] ->
    [..., n_vocab, R].
    """

    own_row = 0

    def value(self, table: Array, x: Array) -> Array:  # [n_vocab, d], [..., R, d] -> [..., n_vocab, R]
        scores = rows_of(x) @ table.T
        return scores.reshape(*x.shape[:-1], table.shape[0]).swapaxes(-1, -2)

    def formula(self, table: Reference, x: Reference) -> str:
        return f"MMULT({table},TRANSPOSE({x}))"

    def gradient(self, d_out: Array, out: Array, table: Array, x: Array) -> Gradients:
        d_scores = rows_of(d_out.swapaxes(-1, -2))
        return d_scores.T @ rows_of(x), (d_scores @ table).reshape(x.shape)

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, table: GradientReference, x: GradientReference
    ) -> InputFormulas:
        rows = by_rows(table, lambda row: f"MMULT({d_out.row(row)},{x})")
        return [rows, in_one(x, f"MMULT(TRANSPOSE({d_out}),{table})")]

    def shape(self, table: Shape, x: Shape) -> Shape:
        return *x[:-2], table[0], x[-2]

    def terms(self, cell: Cell, table: Array, x: Array) -> Terms:
        token, row = cell
        made = products(table, Cells(0, (token, 0, 1, len(table.T))), x, Cells(1, (row, 0, 1, len(table.T))))
        return Terms(made.total, "{sum}", {}, made)

    def dependents(self, number: int, cell: Cell, table: Array, x: Array) -> list[Box]:
        return [(cell[0], 0, 1, len(x))] if number == 0 else [(0, cell[0], len(table), 1)]


@dataclass(frozen=True)
class BestToken(Op):
    """The greatest score and its token's id; of equals, the first: [..., n_vocab, 1] -> [..., 2, 1]."""

    piece = Piece.CELLS

    def value(self, logits: Array) -> Array:  # [..., n_vocab, 1] -> [..., 2, 1]
        best = logits.argmax(-2, keepdims=True)
        return np.concatenate([np.take_along_axis(logits, best, -2), best.astype(logits.dtype)], axis=-2)

    def formula(self, logits: Reference) -> list[str]:
        return [f"MAX({logits})", f"MATCH(MAX({logits}),{logits},0)-1"]

    def gradient(self, d_out: Array, out: Array, logits: Array) -> Gradients:
        return (None,)

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, logits: GradientReference
    ) -> InputFormulas:
        return [None]

    def shape(self, logits: Shape) -> Shape:
        return *logits[:-2], 2, logits[-1]

    def terms(self, cell: Cell, logits: Array) -> Terms:
        best = int(logits[:, cell[1]].argmax())
        greatest, id_ = number(logits, 0, best, cell[1]), Number(float(best))
        column = Cells(0, (0, cell[1], len(logits), 1))
        value, formula = (greatest.value, "{greatest}") if cell[0] == 0 else (id_.value, "{id}")
        return Terms(value, formula, {"greatest": greatest, "id": id_}, chosen_by=(column,))

    def dependents(self, number: int, cell: Cell, logits: Array) -> list[Box]:
        return [(0, cell[1], 2, 1)]
