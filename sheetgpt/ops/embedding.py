"""Tokens and positions to rows: looked up in tables, or computed from the position alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from sheetgpt.ops.base import (
    Array,
    Box,
    Cell,
    GradientReference,
    Gradients,
    InputFormulas,
    Number,
    Op,
    Piece,
    Reference,
    Shape,
    Terms,
    by_cells,
    by_rows,
    in_one,
    rows_of,
)
from sheetgpt.ops.terms import entry, number, one, row_of_index, rows_where, same

POSITION_BASE = 10000  #: of the angles by which sinusoidal and rotary positions turn


def add_at_rows(shape: Shape, index: Array, rows: Array) -> Array:  # [m], [m, n] -> shape
    """A matrix of zeros with each row of `rows` [m, n] added at its `index` [m]; an index may repeat."""
    total = np.zeros(shape, rows.dtype)
    if index.size:
        order = np.argsort(index, kind="stable")
        present, starts = np.unique(index[order], return_index=True)
        total[present] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def angles(positions: Array, size: int) -> Array:  # [T] -> [T, size // 2], float64
    """The angle of each pair of columns at each position, in radians, [T] -> [T, size // 2] float64: position /
    10000^(2i / size), slower from pair to pair.
    """
    return positions[:, None] / POSITION_BASE ** (np.arange(0, size - 1, 2) / size)


def angle_text(position: str, column: int, size: int) -> str:
    """The same as a formula, of the pair that a column is in.

    >>> angle_text("B3", 5, 8)
    'B3/10000^(4/8)'
    """
    return f"{position}/{POSITION_BASE}^({column - column % 2}/{size})"


def angle_in_words(column: int, size: int) -> str:
    """The same over a number called position.

    >>> angle_in_words(5, 8)
    '{position} / 10000^(4 / 8)'
    """
    return f"{{position}} / {POSITION_BASE}^({column - column % 2} / {size})"


@dataclass(frozen=True)
class TakeRows(Op):
    """Row `id` of a table [n, d] for each token id [..., T] -> [..., T, d]."""

    piece = Piece.ROW

    def value(self, table: Array, ids: Array) -> Array:  # [n, d], [..., T] -> [..., T, d]
        return table[ids]

    def formula(self, table: Reference, ids: Reference) -> str:
        return f"INDEX({table},{ids.part}+1,0)"

    def gradient(self, d_out: Array, out: Array, table: Array, ids: Array) -> Gradients:
        return add_at_rows(table.shape, ids.ravel(), rows_of(d_out)), None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, table: GradientReference, ids: GradientReference
    ) -> InputFormulas:
        # the ids stand in a row, so this is a row of ones where a token took the table's row, times their gradients
        return [by_rows(table, lambda row: f"MMULT(1*({ids}={row}),{d_out})"), None]

    def shape(self, table: Shape, ids: Shape) -> Shape:
        return *ids, table[1]

    def terms(self, cell: Cell, table: Array, ids: Array) -> Terms:
        return same(table, 0, int(ids[cell[0]]), cell[1], entry(ids, 1, cell[0]).cells)

    def dependents(self, number: int, cell: Cell, table: Array, ids: Array) -> list[Box]:
        return rows_where(ids, *cell) if number == 0 else row_of_index(cell, table)


@dataclass(frozen=True)
class AddRows(Op):
    """Each row [..., T, d] plus the table's row [n_ctx, d] for its position [T] -> [..., T, d]."""

    piece = Piece.ROW

    def value(self, x: Array, table: Array, positions: Array) -> Array:  # [..., T, d], [n_ctx, d], [T] -> [..., T, d]
        return x + table[positions]

    def formula(self, x: Reference, table: Reference, positions: Reference) -> str:
        return f"{x.part}+INDEX({table},{positions.part}+1,0)"

    def gradient(self, d_out: Array, out: Array, x: Array, table: Array, positions: Array) -> Gradients:
        each_position = d_out.reshape(-1, *d_out.shape[-2:]).sum(0)
        return d_out, add_at_rows(table.shape, positions, each_position), None

    def gradient_formula(
        self,
        d_out: GradientReference,
        out: GradientReference,
        x: GradientReference,
        table: GradientReference,
        positions: GradientReference,
    ) -> InputFormulas:
        # subtle: positions count from 0, as a training step's always do
        rows = by_rows(table, lambda row: d_out.row(row) if row < d_out.rows else "0")
        return [in_one(x, f"{d_out}"), rows, None]

    def shape(self, x: Shape, table: Shape, positions: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array, table: Array, positions: Array) -> Terms:
        place, at = entry(positions, 2, cell[0]), int(positions[cell[0]])
        left, right = number(x, 0, *cell, addend=True), number(table, 1, at, cell[1], addend=True)
        chosen = (place.cells,) if place.cells else ()
        return Terms(left.value + right.value, "{left} + {right}", {"left": left, "right": right}, chosen_by=chosen)

    def dependents(self, number: int, cell: Cell, x: Array, table: Array, positions: Array) -> list[Box]:
        if number == 1:
            return rows_where(positions, *cell)
        return one(*cell) if number == 0 else row_of_index(cell, x)


@dataclass(frozen=True)
class Sinusoids(Op):
    """The position table of "Attention Is All You Need" (3.5), as wide as x: sine and cosine of the pair's angle. x
    [..., T, d], positions [T] -> [T, d].
    """

    piece = Piece.CELL

    def value(self, x: Array, positions: Array) -> Array:  # [..., T, d], [T] -> [T, d]
        width = x.shape[-1]
        angle = angles(positions, width + width % 2)
        table = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(positions), -1)
        return table[:, :width].astype(x.dtype)

    def formula(self, x: Reference, positions: Reference) -> str:
        column = x.box[1]
        function = "COS" if column % 2 else "SIN"
        return f"{function}({angle_text(positions.part, column, x.width + x.width % 2)})"

    def gradient(self, d_out: Array, out: Array, x: Array, positions: Array) -> Gradients:
        return None, None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, x: GradientReference, positions: GradientReference
    ) -> InputFormulas:
        return [None, None]

    def shape(self, x: Shape, positions: Shape) -> Shape:
        return *positions, x[-1]

    def terms(self, cell: Cell, x: Array, positions: Array) -> Terms:
        (row, column), width = cell, x.shape[-1] + x.shape[-1] % 2
        place, function = entry(positions, 1, row), "cos" if column % 2 else "sin"
        angle = angles(positions[row : row + 1], width)[0, column // 2]
        formula = f"{function}({angle_in_words(column, width)})"
        return Terms(float(getattr(np, function)(angle)), formula, {"position": place})

    def dependents(self, number: int, cell: Cell, x: Array, positions: Array) -> list[Box]:
        return row_of_index(cell, x) if number == 1 else []


@dataclass(frozen=True)
class Rotate(Op):
    """Each pair of columns (2i, 2i + 1) of a head turned by position / 10000^(2i / head size): RoFormer's positions.

    [..., T, d], positions [T] -> [..., T, d]. After it, a query and a key meet at an angle that tells how far apart
    they are.
    """

    n_head: int  #: how many heads share the columns
    piece = Piece.CELL

    @property
    def groups(self) -> int:
        return self.n_head

    def value(self, x: Array, positions: Array) -> Array:  # [..., T, d], [T] -> [..., T, d]
        return self.turned(x, angles(positions, x.shape[-1] // self.n_head))

    def turned(self, x: Array, angle: Array) -> Array:  # [..., T, d], [T, s // 2] -> [..., T, d]
        """The rows [..., T, d] turned by the angles [T, s // 2] of each pair of a head."""
        pairs = x.reshape(*x.shape[:-1], self.n_head, -1, 2)
        cos, sin = (function(angle)[:, None].astype(x.dtype) for function in (np.cos, np.sin))
        even, odd = pairs[..., 0], pairs[..., 1]
        return np.stack([even * cos - odd * sin, odd * cos + even * sin], -1).reshape(x.shape)

    def formula(self, x: Reference, positions: Reference) -> str:
        size, column = x.width // self.n_head, x.box[1]
        angle = angle_text(positions.part, column % size, size)
        partner = x.at(0, -1 if column % 2 else 1)
        return f"{x.cell}*COS({angle}){'+' if column % 2 else '-'}{partner}*SIN({angle})"

    def gradient(self, d_out: Array, out: Array, x: Array, positions: Array) -> Gradients:
        return self.turned(d_out, -angles(positions, x.shape[-1] // self.n_head)), None

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, x: GradientReference, positions: GradientReference
    ) -> InputFormulas:
        size = x.columns // self.n_head

        def cell(row: int, column: int) -> str:  # turned back
            angle = angle_text(positions.cell(row, 0), column % size, size)
            partner = d_out.cell(row, column + (-1 if column % 2 else 1))
            return f"{d_out.cell(row, column)}*COS({angle}){'-' if column % 2 else '+'}{partner}*SIN({angle})"

        return [by_cells(x, cell), None]

    def shape(self, x: Shape, positions: Shape) -> Shape:
        return x

    def terms(self, cell: Cell, x: Array, positions: Array) -> Terms:
        (row, column), size, sign = cell, x.shape[-1] // self.n_head, 1 if cell[1] % 2 else -1
        angle = float(angles(positions[row : row + 1], size)[0, column % size // 2])
        itself, partner = number(x, 0, row, column), number(x, 0, row, column - sign)
        turned = angle_in_words(column % size, size)
        formula = f"{{x}} * cos({turned}) {'+' if sign > 0 else '-'} {{partner}} * sin({turned})"
        made = {"x": itself, "partner": partner, "position": entry(positions, 1, row), "angle": Number(angle)}
        return Terms(itself.value * cos(angle) + sign * partner.value * sin(angle), formula, made)

    def dependents(self, number: int, cell: Cell, x: Array, positions: Array) -> list[Box]:
        return [(cell[0], cell[1] - cell[1] % 2, 1, 2)] if number == 0 else row_of_index(cell, x)
