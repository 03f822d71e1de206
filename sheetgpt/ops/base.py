"""What every operation is: its views, what readers ask of it, and what its formulas know of their inputs.

The views, in the order in which every operation has them:

- `value`            : arrays in, array out. A matrix is [..., rows, columns]; leading axes are batches.
- `formula`          : references in, the text of an Excel formula out (without `=`). `{x}` is a whole matrix by its
  name, `x.part` the piece of it that one formula is about; `Op.piece` says what that is.
- `gradient`         : the upstream gradient, the value and the inputs in; one gradient an input out, None where it has
  none, as whole numbers.
- `gradient_formula` : the same as Excel formulas, each with the box of cells that it fills; cells in no box are 0.
- `shape`            : the inputs' shapes in, the value's shape out.

The operations themselves stand by topic beside this file. Where matrices lie on a sheet belongs in
`workbook.references`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = np.ndarray  # what NDArray stands for, without its import
Gradients = tuple[Array | None, ...]  # one an input
Shape = tuple[int, ...]
Box = tuple[int, int, int, int]  # (row, column, rows, columns), counted from the matrix's first cell
Formulas = Iterator[tuple[Box, str]]  # each box that one formula fills, and the formula
InputFormulas = list[Formulas | None]  # of each input's gradient, None where it has none


class Piece(StrEnum):
    """What one formula of an operation fills."""

    MATRIX = "matrix"
    ROW = "row"
    COLUMN = "column"
    HEAD = "head"  # the columns of one head
    CELL = "cell"
    CELLS = "cells"  # a cell too, where the formula is a list of one for each row


class Reference(Protocol):
    """What a formula knows of an input. As text it is the whole matrix, by its name."""

    @property
    def part(self) -> str:
        """What the formula's piece needs of it: a row, a head's columns, the row of a cell's head, one id."""

    @property
    def cell(self) -> str:
        """The cell in the same place."""

    @property
    def last_row(self) -> str: ...

    @property
    def width(self) -> int:
        """How many columns it has."""

    @property
    def box(self) -> Box:
        """Of the formula's piece in its stage."""

    def at(self, rows: int, columns: int) -> str:
        """The cell that many rows and columns away from `cell`."""

    def columns(self, index: int, count: int) -> str:
        """One of `count` equal slices of its columns."""


class GradientReference(Protocol):
    """What a gradient formula knows of a matrix. As text it is the whole matrix, by its name; parts are addresses."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    @property
    def whole(self) -> Box: ...

    def cell(self, row: int, column: int) -> str: ...

    def row(self, row: int) -> str: ...

    def column(self, column: int) -> str: ...

    def columns_from(self, column: int, count: int) -> str: ...

    def part_of_row(self, row: int, column: int, count: int) -> str: ...

    def cells(self) -> Iterator[tuple[int, int]]:
        """(row, column) of every cell, row by row."""


@dataclass(frozen=True)
class Op:
    """One operation. The class attributes say what the views alone don't."""

    piece: ClassVar[Piece] = Piece.MATRIX
    all_rows: ClassVar[tuple[int, ...]] = ()  # inputs that a single new row needs whole: a decoder caches them
    masked: ClassVar[bool] = False  # cells of the value may be masked: at or below `MASKED_BELOW`
    shares: ClassVar[bool] = False  # each group's rows of the value add up to 1; its columns where those are pieces

    @property
    def groups(self) -> int:
        """How many equal slices of the columns stay apart: heads."""
        return 1

    def value(self, *inputs: Array) -> Array:
        raise NotImplementedError

    def formula(self, *inputs: Reference) -> str | list[str]:
        raise NotImplementedError

    def gradient(self, d_out: Array, out: Array, *inputs: Array) -> Gradients:
        raise NotImplementedError

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, *inputs: GradientReference
    ) -> InputFormulas:
        raise NotImplementedError

    def shape(self, *shapes: Shape) -> Shape:
        raise NotImplementedError


@dataclass(frozen=True)
class Given(Op):
    """A stage that is not computed from matrices, so it has no views: words, merges and tokens come from `bpe`."""


# ------------------------------------------------------------------------------------------------ arrays


def rows_of(x: Array) -> Array:  # [..., n] -> [rows, n]
    """All rows of all batches under each other: one matrix product is quicker than one a batch."""
    return x.reshape(-1, x.shape[-1])


def column_sums(x: Array) -> Array:  # [m, n] -> [1, n]
    return np.ones((1, x.shape[0]), x.dtype) @ x


# ------------------------------------------------------------------------------------------------ formulas of gradients

# A matrix that goes several ways has the sum of its gradients, box by box: so what may be shared comes by rows.


def in_one(x: GradientReference, formula: str) -> Formulas:
    """One formula for the whole matrix."""
    return iter([(x.whole, formula)])


def by_rows(x: GradientReference, formula: Callable[[int], str]) -> Formulas:
    return (((row, 0, 1, x.columns), formula(row)) for row in range(x.rows))


def by_columns(x: GradientReference, formula: Callable[[int], str]) -> Formulas:
    return (((0, column, x.rows, 1), formula(column)) for column in range(x.columns))


def by_cells(x: GradientReference, formula: Callable[[int, int], str]) -> Formulas:
    return (((row, column, 1, 1), formula(row, column)) for row, column in x.cells())
