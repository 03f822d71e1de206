"""Rows brought to one size: layer normalisation in its two halves, and the plainer one by the root mean square."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

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
    by_columns,
    by_rows,
    column_sums,
    in_one,
    rows_of,
)
from sheetgpt.ops.terms import number, one, products, taken, whole_row

LAYER_NORM_EPSILON = 1e-5  #: added to the variance, as in OpenAI's code and PyTorch
LAYER_NORM_EPSILON_TEXT = np.format_float_positional(LAYER_NORM_EPSILON)  #: as a spreadsheet's user types it: 0.00001


def row_means(x: Array, y: Array | None = None) -> Array:  # [..., n] -> [..., 1]
    """The mean of each row of x (of x * y), [..., n] -> [..., 1], without a temporary matrix."""
    total = np.einsum("...n->...", x) if y is None else np.vecdot(x, y)
    return total[..., None] / x.dtype.type(x.shape[-1])


def root_mean_square(x: Array) -> Array:  # [..., n] -> [..., 1]
    """The root of each row's mean square and `LAYER_NORM_EPSILON`: [..., n] -> [..., 1]."""
    return np.sqrt(row_means(x, x) + x.dtype.type(LAYER_NORM_EPSILON))


@dataclass(frozen=True)
class Normalize(Op):
    """Each row to mean 0 and (population) variance 1, the first half of a layer normalisation (Ba, Kiros and Hinton
    2016): [..., T, d] -> the same.
    """

    piece = Piece.ROW

    def value(self, x: Array) -> Array:  # [..., T, d] -> [..., T, d]
        out = x - row_means(x)
        out /= self.deviation(out)
        return out

    @staticmethod
    def deviation(centred: Array) -> Array:  # [..., T, d] -> [..., T, 1]
        """The standard deviation that rows are divided by, of rows whose mean is 0: [..., T, d] -> [..., T, 1]."""
        return root_mean_square(centred)

    def formula(self, x: Reference) -> str:
        row = x.part
        return f"({row}-AVERAGE({row}))/SQRT(VARP({row})+{LAYER_NORM_EPSILON_TEXT})"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        # out = (x - mean) / deviation, so a step along 1 or along out changes nothing to first order
        along_mean, along_out = row_means(d_out), row_means(d_out, out)
        d_x = out * -along_out
        d_x += d_out
        d_x -= along_mean
        d_x /= self.deviation(x - row_means(x))
        return (d_x,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        def row(i: int) -> str:
            along = f"SUMPRODUCT({d_out.row(i)},{out.row(i)})/{x.columns}"
            deviation = f"SQRT(VARP({x.row(i)})+{LAYER_NORM_EPSILON_TEXT})"
            return f"({d_out.row(i)}-AVERAGE({d_out.row(i)})-{out.row(i)}*{along})/{deviation}"

        return [by_rows(x, row)]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found, row = number(x, 0, *cell), Cells(0, (cell[0], 0, 1, x.shape[-1]))
        numbers = taken(x, row.box)
        mean, variance = float(numbers.mean()), float(numbers.var())
        value = (found.value - mean) / sqrt(variance + LAYER_NORM_EPSILON)
        formula = f"({{x}} - {{mean}}) / sqrt({{variance}} + {LAYER_NORM_EPSILON_TEXT})"
        made = {"x": found, "mean": Number(mean, row), "variance": Number(variance, row)}
        return Terms(value, formula, made)

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return whole_row(cell, x)


@dataclass(frozen=True)
class ScaleShift(Op):
    """Times the gain, plus the bias, column by column, the second half of a layer normalisation: [..., T, d], [1, d],
    [1, d] -> [..., T, d].
    """

    def value(self, x: Array, gain: Array, bias: Array) -> Array:  # [..., T, d], [1, d], [1, d] -> [..., T, d]
        out = x * gain
        out += bias
        return out

    def formula(self, x: Reference, gain: Reference, bias: Reference) -> str:
        return f"{x}*{gain}+{bias}"

    def gradient(self, d_out: Array, out: Array, x: Array, gain: Array, bias: Array) -> Gradients:
        return d_out * gain, column_sums(rows_of(d_out * x)), column_sums(rows_of(d_out))

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        x: GradientReference,
        gain: GradientReference,
        bias: GradientReference,
    ) -> InputFormulas:
        products = by_columns(gain, lambda i: f"SUMPRODUCT({d_out.column(i)},{x.column(i)})")
        sums = by_columns(bias, lambda i: f"SUM({d_out.column(i)})")
        return [in_one(x, f"{d_out}*{gain}"), products, sums]

    def shape(self, x: Shape, gain: Shape, bias: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array, gain: Array, bias: Array) -> Terms:
        (row, column), shift = cell, number(bias, 2, 0, cell[1], addend=True)
        made = products(x, Cells(0, (row, column, 1, 1)), gain, Cells(1, (0, column, 1, 1)))
        return Terms(made.total + shift.value, "{sum} + {bias}", {"bias": shift}, made)

    def dependents(self, number: int, cell: Cell, x: Array, gain: Array, bias: Array) -> list[Box]:
        return one(*cell) if number == 0 else [(0, cell[1], len(x), 1)]


@dataclass(frozen=True)
class NormalizeRms(Op):
    """Each row divided by its root mean square, with neither mean nor gain nor bias (Zhang and Sennrich 2019): [..., T,
    d] -> the same.
    """

    piece = Piece.ROW

    def value(self, x: Array) -> Array:  # [..., T, d] -> [..., T, d]
        return x / root_mean_square(x)

    def formula(self, x: Reference) -> str:
        row = x.part
        return f"{row}/SQRT(SUMSQ({row})/{x.width}+{LAYER_NORM_EPSILON_TEXT})"

    def gradient(self, d_out: Array, out: Array, x: Array) -> Gradients:
        # out = x / root, so a step along out changes (almost) nothing to first order
        d_x = out * -row_means(d_out, out)
        d_x += d_out
        d_x /= root_mean_square(x)
        return (d_x,)

    def gradient_formula(self, d_out: GradientReference, out: GradientReference, x: GradientReference) -> InputFormulas:
        def row(i: int) -> str:
            along = f"SUMPRODUCT({d_out.row(i)},{out.row(i)})/{x.columns}"
            root = f"SQRT(SUMSQ({x.row(i)})/{x.columns}+{LAYER_NORM_EPSILON_TEXT})"
            return f"({d_out.row(i)}-{out.row(i)}*{along})/{root}"

        return [by_rows(x, row)]

    def shape(self, x: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array) -> Terms:
        found, row = number(x, 0, *cell), Cells(0, (cell[0], 0, 1, x.shape[-1]))
        mean_square = float(np.mean(taken(x, row.box) ** 2))
        formula = f"{{x}} / sqrt({{mean_square}} + {LAYER_NORM_EPSILON_TEXT})"
        made = {"x": found, "mean_square": Number(mean_square, row)}
        return Terms(found.value / sqrt(mean_square + LAYER_NORM_EPSILON), formula, made)

    def dependents(self, number: int, cell: Cell, x: Array) -> list[Box]:
        return whole_row(cell, x)
