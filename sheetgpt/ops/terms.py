"""What the operations' `terms` and `dependents` are made of: numbers and products with the cells that hold them.

What terms are stands in `base`; the operations say which.
"""

from __future__ import annotations

import numpy as np

from sheetgpt.ops.base import Array, Box, Cell, Cells, Factors, Number, Sum, Terms


def taken(x: Array, box: Box) -> Array:  # [rows, columns] or [n] -> [cells of the box], as doubles
    """The numbers of a box, row by row."""
    row, column, rows, columns = box
    return np.atleast_2d(x)[row : row + rows, column : column + columns].astype(np.float64).ravel()


def number(x: Array, place: int, row: int, column: int, *, addend: bool = False) -> Number:
    """One cell of the input in that place."""
    box = (row, column, 1, 1)
    return Number(float(taken(x, box)[0]), Cells(place, box), addend)


def entry(x: Array, place: int, index: int) -> Number:
    """One of a list of ids or positions."""
    return number(x, place, 0, index)


def products(x: Array, left: Cells, y: Array, right: Cells) -> Sum:
    """The cells of two boxes multiplied pair by pair."""
    sides = Factors(taken(x, left.box), left), Factors(taken(y, right.box), right)
    return Sum(sides[0].values * sides[1].values, *sides)


def same(x: Array, place: int, row: int, column: int, *chosen_by: Cells | None) -> Terms:
    """A cell that is one cell of an input."""
    found = number(x, place, row, column)
    return Terms(found.value, "{x}", {"x": found}, chosen_by=tuple(cells for cells in chosen_by if cells))


def softmax_terms(score: Number, x: Array, box: Box) -> Terms:
    """The share of one score among those of a box: its exponential, and the exponentials of all."""
    scores = taken(x, box)
    greatest = float(scores.max())
    powers, numerator = np.exp(scores - greatest), float(np.exp(score.value - greatest))
    all_of_them = Cells(0, box)
    made = Sum(powers, Factors(scores, all_of_them), what="exponential")
    numbers = {"score": score, "greatest": Number(greatest, all_of_them)}
    numbers |= {"numerator": Number(numerator), "denominator": Number(made.total)}
    return Terms(
        float(np.divide(numerator, made.total)), "exp({score} - {greatest}) / {sum}", numbers, made, source="score"
    )


# ------------------------------------------------------------------------------------------------ dependents


def one(row: int, column: int) -> list[Box]:
    return [(row, column, 1, 1)]


def whole_row(cell: Cell, x: Array) -> list[Box]:
    """The row of a cell in a value as wide as x."""
    return [(cell[0], 0, 1, x.shape[-1])]


def row_of_index(cell: Cell, x: Array) -> list[Box]:
    """The row that belongs to one of a list of ids or positions, in a value as wide as x."""
    return [(cell[1], 0, 1, x.shape[-1])]


def rows_where(index: Array, row: int, column: int) -> list[Box]:
    """A column's cell in each row whose index is that row of a table."""
    return [(int(at), column, 1, 1) for at in np.flatnonzero(index == row)]
