"""Tokens and positions to rows: looked up in tables, or computed from the position alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sheetgpt.ops.base import (
    Array,
    GradientReference,
    Gradients,
    InputFormulas,
    Op,
    Piece,
    Reference,
    Shape,
    by_cells,
    by_rows,
    in_one,
    rows_of,
)

POSITION_BASE = 10000  # of the angles by which sinusoidal and rotary positions turn


def add_at_rows(shape: Shape, index: Array, rows: Array) -> Array:  # [m], [m, n] -> shape
    """A matrix of zeros with each row of `rows` added at its index; an index may repeat."""
    total = np.zeros(shape, rows.dtype)
    if index.size:
        order = np.argsort(index, kind="stable")
        present, starts = np.unique(index[order], return_index=True)
        total[present] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def angles(positions: Array, size: int) -> Array:  # [T] -> [T, size // 2], float64
    """The angle of each pair of columns, position / 10000^(2i / size): slower from pair to pair."""
    return positions[:, None] / POSITION_BASE ** (np.arange(0, size - 1, 2) / size)


def angle_text(position: str, column: int, size: int) -> str:
    """The same as a formula, of the pair that a column is in.

    >>> angle_text("B3", 5, 8)
    'B3/10000^(4/8)'
    """
    return f"{position}/{POSITION_BASE}^({column - column % 2}/{size})"


@dataclass(frozen=True)
class TakeRows(Op):
    """Row `id` of a table for each token id."""

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


@dataclass(frozen=True)
class AddRows(Op):
    """Each row plus the table's row for its position."""

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


@dataclass(frozen=True)
class Sinusoids(Op):
    """The position table of "Attention Is All You Need" (3.5), as wide as x: sine and cosine of the pair's angle."""

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


@dataclass(frozen=True)
class Rotate(Op):
    """Each pair of columns (2i, 2i + 1) of a head turned by position / 10000^(2i / head size): RoFormer's positions.

    After it, a query and a key meet at an angle that tells how far apart they are.
    """

    n_head: int
    piece = Piece.CELL

    @property
    def groups(self) -> int:
        return self.n_head

    def value(self, x: Array, positions: Array) -> Array:  # [..., T, d], [T] -> [..., T, d]
        return self.turned(x, angles(positions, x.shape[-1] // self.n_head))

    def turned(self, x: Array, angle: Array) -> Array:  # [..., T, d], [T, s // 2] -> [..., T, d]
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
