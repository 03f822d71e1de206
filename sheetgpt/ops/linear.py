"""What is linear in its input: products with a weight matrix, slices of columns, sums, and the plain copy."""

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
    Op,
    Reference,
    Shape,
    Sum,
    Terms,
    by_columns,
    by_rows,
    column_sums,
    in_one,
    rows_of,
)
from sheetgpt.ops.terms import number, one, products, same, whole_row


@dataclass(frozen=True)
class Copy(Op):
    """The same matrix [..., T, n] under the name of the next stage."""

    def value(self, x: Array) -> Array:  # [..., T, n] -> the same
        return x

    def formula(self, x: Reference) -> str:
        return f"{x}"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        return (d_out,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        return [in_one(x, f"{d_out}")]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        return same(x, 0, *cell)

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        return one(*cell)


@dataclass(frozen=True)
class Linear(Op):
    """x @ w + b, with w as [in, out] (PyTorch's `Linear` stores [out, in]): [..., T, in], [in, out], [1, out] -> [...,
    T, out].
    """

    def value(self, x: Array, w: Array, b: Array) -> Array:  # [..., T, in], [in, out], [1, out] -> [..., T, out]
        out = rows_of(x) @ w
        out += b
        return out.reshape(*x.shape[:-1], w.shape[1])

    def formula(self, x: Reference, w: Reference, b: Reference) -> str:
        return f"MMULT({x},{w})+{b}"

    def gradient(self, d_out: Array, out: Array, x: Array, w: Array, b: Array) -> Gradients:
        d_rows = rows_of(d_out)
        return (d_rows @ w.T).reshape(x.shape), rows_of(x).T @ d_rows, column_sums(d_rows)

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        x: GradientReference,
        w: GradientReference,
        b: GradientReference,
    ) -> InputFormulas:
        d_x, d_w = product_gradients(d_out, x, w)
        return [d_x, d_w, by_columns(b, lambda column: f"SUM({d_out.column(column)})")]

    def shape(self, x: Shape, w: Shape, b: Shape) -> Shape:
        return *x[:-1], w[1]

    def terms(self, cell: Cell, x: Array, w: Array, b: Array) -> Terms:
        made, bias = product_row(cell, x, w), number(b, 2, 0, cell[1], addend=True)
        return Terms(made.total + bias.value, "{sum} + {bias}", {"bias": bias}, made)

    def dependents(self, number: int, cell: Cell, x: Array, w: Array, b: Array) -> list[Box]:
        return whole_row(cell, w) if number == 0 else [(0, cell[1], len(x), 1)]


@dataclass(frozen=True)
class Project(Op):
    """x @ w without a bias, with w as [in, out]: [..., T, in], [in, out] -> [..., T, out]."""

    def value(self, x: Array, w: Array) -> Array:  # [..., T, in], [in, out] -> [..., T, out]
        return (rows_of(x) @ w).reshape(*x.shape[:-1], w.shape[1])

    def formula(self, x: Reference, w: Reference) -> str:
        return f"MMULT({x},{w})"

    def gradient(self, d_out: Array, out: Array, x: Array, w: Array) -> Gradients:
        d_rows = rows_of(d_out)
        return (d_rows @ w.T).reshape(x.shape), rows_of(x).T @ d_rows

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, x: GradientReference, w: GradientReference
    ) -> InputFormulas:
        return product_gradients(d_out, x, w)

    def shape(self, x: Shape, w: Shape) -> Shape:
        return *x[:-1], w[1]

    def terms(self, cell: Cell, x: Array, w: Array) -> Terms:
        made = product_row(cell, x, w)
        return Terms(made.total, "{sum}", {}, made)

    def dependents(self, number: int, cell: Cell, x: Array, w: Array) -> list[Box]:
        return whole_row(cell, w) if number == 0 else [(0, cell[1], len(x), 1)]


def product_row(cell: Cell, x: Array, w: Array) -> Sum:
    """The products that a cell of x @ w adds up."""
    (row, column), n = cell, len(w)
    return products(x, Cells(0, (row, 0, 1, n)), w, Cells(1, (0, column, n, 1)))


def product_gradients(d_out: GradientReference, x: GradientReference, w: GradientReference) -> InputFormulas:
    """The formulas of the gradients of x and w, given that of x @ w."""
    rows = by_rows(x, lambda row: f"MMULT({d_out.row(row)},TRANSPOSE({w}))")
    return [rows, in_one(w, f"MMULT(TRANSPOSE({x}),{d_out})")]


@dataclass(frozen=True)
class Columns(Op):
    """One of several equal slices of the columns, such as the queries of queries, keys, values: [..., T, count n] ->
    [..., T, n].
    """

    index: int  #: which slice, from 0
    count: int  #: how many slices there are

    def slice(self, width: int) -> slice:
        """Which columns of a matrix of that width."""
        size = width // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def value(self, x: Array) -> Array:  # [..., T, count n] -> [..., T, n], a view
        return x[..., self.slice(x.shape[-1])]

    def formula(self, x: Reference) -> str:
        return x.columns(self.index, self.count)

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        d_x = np.zeros(x.shape, d_out.dtype)
        d_x[..., self.slice(x.shape[-1])] = d_out
        return (d_x,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        width = x.columns // self.count
        return [iter([((0, self.index * width, x.rows, width), f"{d_out}")])]

    def shape(self, x: Shape) -> Shape:
        return *x[:-1], x[-1] // self.count

    def terms(self, cell: Cell, x: Array) -> Terms:
        return same(x, 0, cell[0], cell[1] + self.slice(x.shape[-1]).start)

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        kept = self.slice(x.shape[-1])
        return one(cell[0], cell[1] - kept.start) if kept.start <= cell[1] < kept.stop else []


@dataclass(frozen=True)
class Add(Op):
    """The residual, what came in added to what was made of it: [..., T, d], [..., T, d] -> [..., T, d]."""

    def value(self, x: Array, y: Array) -> Array:  # [..., T, d], [..., T, d] -> [..., T, d]
        return x + y

    def formula(self, x: Reference, y: Reference) -> str:
        return f"{x}+{y}"

    def gradient(self, d_out: Array, out: Array, x: Array, y: Array) -> Gradients:
        return d_out, d_out

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, x: GradientReference, y: GradientReference
    ) -> InputFormulas:
        return [by_rows(x, d_out.row), by_rows(y, d_out.row)]

    def shape(self, x: Shape, y: Shape) -> Shape:
        return np.broadcast_shapes(x, y)  # y may be the same for a whole batch, as a table of positions is

    def terms(self, cell: Cell, x: Array, y: Array) -> Terms:
        left, right = number(x, 0, *cell, addend=True), number(y, 1, *cell, addend=True)
        return Terms(left.value + right.value, "{left} + {right}", {"left": left, "right": right})

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        return one(*cell)
