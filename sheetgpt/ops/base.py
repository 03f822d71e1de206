"""What every operation is: its views, what readers ask of it, and what its formulas know of their inputs.

The views, in the order in which every operation has them:

- `value`            : arrays in, array out. A matrix is [..., rows, columns]; leading axes are batches.
- `formula`          : references in, the text of an Excel formula out (without `=`). `{x}` is a whole matrix by its
  name, `x.part` the piece of it that one formula is about; `Op.piece` says what that is.
- `gradient`         : the upstream gradient, the value and the inputs in; one gradient an input out, None where it has
  none, as whole numbers.
- `gradient_formula` : the same as Excel formulas, each with the box of cells that it fills; cells in no box are 0.
- `shape`            : the inputs' shapes in, the value's shape out.
- `terms`            : a cell of the value and the inputs in; what makes that cell: numbers by name, the summands of a
  sum, a formula over them, each with the cells of the inputs that it is read from.
- `dependents`       : a cell of an input and the inputs in, the boxes of the value's cells that it enters: `terms`
  seen from the other side.

Both take single matrices, no batches; a list of ids or positions counts as one row.

The operations themselves stand by topic beside this file. Where matrices lie on a sheet belongs in
`workbook.references`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = np.ndarray  #: an array of any shape and type of numbers
Gradients = tuple[Array | None, ...]  #: one [shape of the input] an input, None where it has none
Shape = tuple[int, ...]  #: of an array
Box = tuple[int, int, int, int]  #: (row, column, rows, columns), counted from the matrix's first cell
Cell = tuple[int, int]  #: (row, column), counted from 0
Formulas = Iterator[tuple[Box, str]]  #: each box that one formula fills, and the formula
InputFormulas = list[Formulas | None]  #: of each input's gradient, None where it has none
LARGEST_EXACT = 1e300  # sums whose parts can't overflow


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
    def last_row(self) -> str:
        """Its last row."""

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
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def columns(self) -> int:
        """How many columns it has."""

    @property
    def whole(self) -> Box:
        """The box of all its cells."""

    def cell(self, row: int, column: int) -> str:
        """The address of one cell."""

    def row(self, row: int) -> str:
        """The addresses of one row."""

    def column(self, column: int) -> str:
        """The addresses of one column."""

    def columns_from(self, column: int, count: int) -> str:
        """The addresses of `count` columns, from this one on."""

    def part_of_row(self, row: int, column: int, count: int) -> str:
        """The addresses of `count` cells of a row, from this column on."""

    def cells(self) -> Iterator[tuple[int, int]]:
        """(row, column) of every cell, row by row."""


@dataclass(frozen=True)
class Cells:
    """A box of cells of one input."""

    input: int  #: which input, from 0
    box: Box  #: its cells


@dataclass(frozen=True)
class Number:
    """A number in a cell's formula, and the cell that holds it or the cells that it is made of.

    addend: it is added as it is, beside the summands of a sum, as a bias is.
    """

    value: float  #: the number itself
    cells: Cells | None = None  #: where it stands; None where it is made on the way
    addend: bool = False  #: is it added as it is?


@dataclass(frozen=True)
class Factors:
    """The left or the right side of all summands, and the cells that hold them, in that order."""

    values: Array  #: [n]
    cells: Cells | None = None  #: where they stand; None where they are made on the way


@dataclass(frozen=True)
class Sum:
    """What a formula's `{sum}` adds up: a summand for each cell on its left, times the right where there is one.

    what: how a person calls a summand.
    """

    values: Array  #: [n] the summands
    left: Factors  #: of each summand
    right: Factors | None = None  #: of each summand; None where it is the left alone, or made of it
    what: str = "product"  #: how a person calls a summand

    @cached_property
    def total(self) -> float:
        """The sum, exactly rounded (`math.fsum`) where no part can overflow."""
        with np.errstate(all="ignore"):
            is_safe = np.abs(self.values).sum() < LARGEST_EXACT
            return math.fsum(self.values) if is_safe else float(self.values.sum())

    @property
    def in_words(self) -> str:
        """As a formula has it: `sum of 64 products`; of a single summand only what it is."""
        return self.what if len(self.values) == 1 else f"sum of {len(self.values)} {self.what}s"


@dataclass(frozen=True)
class Terms:
    """What makes one cell of a value.

    formula: as a person would type it, `numbers` and `sum` as names in braces: `exp({score} - {greatest}) / {sum}`.
    chosen_by: the cells that say which others count and are no number of the formula: ids, and where they stand.
    source: the number whose cell to look at next; empty where that is the largest term's.
    """

    value: float  #: of the cell
    formula: str  #: as a person would type it, `numbers` and `sum` as names in braces
    numbers: Mapping[str, Number]  #: by the names that the formula has for them
    sum: Sum | None = None  #: what `{sum}` stands for; None where the formula has none
    chosen_by: tuple[Cells, ...] = ()  #: cells that say which others count: ids, and where they stand
    source: str = ""  #: the name of the number whose cell to look at next; empty where that is the largest term's

    @property
    def cells(self) -> list[Cells]:
        """Every cell that enters, each box once."""
        found = [number.cells for number in self.numbers.values()]
        if self.sum is not None:
            found += [self.sum.left.cells, self.sum.right.cells if self.sum.right else None]
        return list(dict.fromkeys([cells for cells in found if cells is not None] + list(self.chosen_by)))

    @property
    def in_names(self) -> str:
        """The formula as it is read: `sum of 64 products + bias`."""
        return self.formula.format(sum=self.sum and self.sum.in_words, **{name: name for name in self.numbers})

    def in_numbers(self, write: Callable[[float], str] = repr) -> str:
        """The formula with the numbers in it: `1.5 + (-0.25)`."""
        values = {name: float(number.value) for name, number in self.numbers.items()}
        values |= {"sum": self.sum.total} if self.sum is not None else {}
        texts = {name: write(value) for name, value in values.items()}
        alone = self.formula.count("{") == 1 and self.formula.startswith("{") and self.formula.endswith("}")
        closed = {name: f"({text})" if text.startswith("-") and not alone else text for name, text in texts.items()}
        return self.formula.format(**closed)


@dataclass(frozen=True)
class Op:
    """One operation. The class attributes say what the views alone don't."""

    piece: ClassVar[Piece] = Piece.MATRIX  #: what one formula fills
    all_rows: ClassVar[tuple[int, ...]] = ()  #: inputs that a single new row needs whole: a decoder caches them
    own_row: ClassVar[int | None] = None  #: the input of which a row of the value needs only its own, of others all
    masked: ClassVar[bool] = False  #: cells of the value may be masked: at or below `MASKED_BELOW`
    shares: ClassVar[bool] = False  #: each group's rows of the value add up to 1; its columns where those are pieces

    @property
    def groups(self) -> int:
        """How many equal slices of the columns stay apart: heads."""
        return 1

    def value(self, *inputs: Array) -> Array:
        """The value of the inputs, a matrix [..., rows, columns] each; leading axes are batches."""
        raise NotImplementedError

    def formula(self, *inputs: Reference) -> str | list[str]:
        """The Excel formula of a piece, without `=`; of `Piece.CELLS` a list, one for each row."""
        raise NotImplementedError

    def gradient(self, d_out: Array, out: Array, *inputs: Array) -> Gradients:
        """The gradient of each input, given that of the value (`d_out`) and the value (`out`), [..., rows, columns]
        each. None for an input that has none, as whole numbers.
        """
        raise NotImplementedError

    def gradient_formula(
        self, d_out: GradientReference, out: GradientReference, *inputs: GradientReference
    ) -> InputFormulas:
        """The same as Excel formulas: for each input its boxes with their formulas, None where it has none. Cells in no
        box are 0.
        """
        raise NotImplementedError

    def shape(self, *shapes: Shape) -> Shape:
        """The value's shape, given the inputs' shapes."""
        raise NotImplementedError

    def terms(self, cell: Cell, *inputs: Array) -> Terms:
        """What makes a cell of the value of single matrices [rows, columns]; a list of ids or positions is [n]."""
        raise NotImplementedError

    def dependents(self, number: int, cell: Cell, *inputs: Array) -> list[Box]:
        """The boxes of the value's cells that a cell of input `number` enters: `terms` from the other side. Inputs are
        single matrices [rows, columns]; a list of ids or positions, [n], counts as one row.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Given(Op):
    """A stage that is not computed from matrices, so it has no views: words, merges and tokens come from `bpe`."""


# ------------------------------------------------------------------------------------------------ arrays


def rows_of(x: Array) -> Array:  # [..., n] -> [rows, n]
    """[..., n] -> [rows, n]: all rows of all batches under each other, as one matrix product is quicker than one a
    batch.
    """
    return x.reshape(-1, x.shape[-1])


def column_sums(x: Array) -> Array:  # [m, n] -> [1, n]
    """[m, n] -> [1, n]: the sum of each column."""
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
