"""Formulas cell by cell, for programs without array formulas over ranges: one cell's part of an operation's formula.

An operation's formula fills a row, a head or a whole matrix: `MMULT(x,w)+b`. Here the same text is read as what it is,
a tree, and written anew for each cell, in addresses: `SUMPRODUCT(C5:F5,TRANSPOSE(w!C9:C12))+w!C14`. So a model needs no
second set of formulas. What remains are few functions, of cells and plain ranges, which every program has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from sheetgpt.ops import Box, Op, Piece
from sheetgpt.workbook.grid import CELL, Area, parse_range
from sheetgpt.workbook.references import Input, Source, here, slots

TOKEN = re.compile(
    rf"""(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<cells>(?:'(?:[^']|'')+'!|[^\W\d][\w.]*!)?{CELL}(?::{CELL})?(?![\w(]))
    |(?P<function>[A-Z]+)\(
    |(?P<sign><=|>=|<>|[-+*/^=<>(),])""",
    re.VERBOSE,
)
PRIORITIES = (("=", "<>", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/"), ("^",))  # from the loosest
SMALLEST_POWER = -700  # exp of it is 1e-304: less than any sum notices
OF_A_CELL = {"EXP", "LN", "SQRT", "TANH", "SIN", "COS", "PI", "IF"}  # of matrices they are taken cell by cell
OF_A_RANGE = {"SUM", "SUMSQ", "MAX", "AVERAGE", "VARP"}  # one number of a whole matrix


def cell_formulas(op: Op, out: Area, sources: Sequence[Source]) -> Iterator[tuple[Box, str]]:
    """Every cell of an operation's result, and its formula (without `=`)."""
    for slot in slots(op, out.rows, out.columns):
        formula = op.formula(*(PlainInput(source, slot, out.tab) for source in sources))
        row, column, rows, columns = slot.box
        tree = parse(formula if isinstance(formula, str) else formula[row])
        for i in range(rows):
            for j in range(columns):
                yield (row + i, column + j, 1, 1), tree.at(i, j)


class PlainInput(Input):
    """A source as a formula sees it that may use addresses of plain ranges only: neither names nor INDEX(...)."""

    def __str__(self) -> str:
        return here(self.source.area, self.tab)

    @property
    def part(self) -> str:
        return self.of_head if self.slot.piece == Piece.HEAD else super().part

    @property
    def of_head(self) -> str:
        width = self.width // self.slot.of
        return here(self.source.area.part(column=self.slot.number * width, columns=width), self.tab)

    @property
    def last_row(self) -> str:
        return here(self.source.area.part(self.source.area.rows - 1), self.tab)


# ------------------------------------------------------------------------------------------------ trees


class Tree(Protocol):
    """A formula, or a part of it, whose value is a matrix; a number is one in which all cells are equal."""

    def at(self, row: int, column: int) -> str:
        """The formula of one cell of it."""

    def whole(self) -> str:
        """The formula of all of it, as an argument of a function that takes a range."""


@dataclass(frozen=True)
class Number:
    text: str

    def at(self, row: int, column: int) -> str:  # noqa: ARG002 - the same in every cell
        return self.text

    def whole(self) -> str:
        return self.text


@dataclass(frozen=True)
class Cells:
    """A range; one with a single row or column is the same in all rows or columns."""

    tab: str  # with its `!`, as it stands before the address; "" on the formula's own
    area: Area

    def at(self, row: int, column: int) -> str:
        return self.text(*self.place(row, column), 1, 1)

    def place(self, row: int, column: int) -> tuple[int, int]:
        return row if self.area.rows > 1 else 0, column if self.area.columns > 1 else 0

    def text(self, row: int, column: int, rows: int, columns: int) -> str:
        return self.tab + self.area.part(row, column, rows, columns).range()

    def whole(self) -> str:
        return self.tab + self.area.range()

    def row(self, row: int) -> str:
        return self.text(self.place(row, 0)[0], 0, 1, self.area.columns)

    def column(self, column: int) -> str:
        return self.text(0, self.place(0, column)[1], self.area.rows, 1)


@dataclass(frozen=True)
class Joined:
    """Trees with signs between, before or around them."""

    parts: tuple[Tree | str, ...]

    def at(self, row: int, column: int) -> str:
        return "".join([one if isinstance(one, str) else one.at(row, column) for one in self.parts])

    def whole(self) -> str:
        return "".join([one if isinstance(one, str) else one.whole() for one in self.parts])


@dataclass(frozen=True)
class Call:
    """A function of other trees."""

    function: str
    arguments: tuple[Tree, ...]

    def at(self, row: int, column: int) -> str:
        if self.function in OF_A_CELL:
            return f"{self.function}({','.join([one.at(row, column) for one in self.arguments])})"
        if self.function in OF_A_RANGE:
            return self.whole()
        if self.function not in ONE_CELL:
            raise NotImplementedError(f"{self.function} cell by cell")
        return ONE_CELL[self.function](self.arguments, row, column)

    def whole(self) -> str:
        if self.function == "EXP":
            return exp_of_range(self.arguments[0].whole())
        if self.function not in OF_A_RANGE:
            raise NotImplementedError(f"{self.function} of a range")
        [argument] = self.arguments
        is_plain = isinstance(argument, Cells)
        return f"{self.function if is_plain else SUMS[self.function]}({argument.whole()})"


def exp_of_range(text: str) -> str:
    """EXP of each cell of a computed range.

    subtle: formualizer takes EXP of no range, but powers of e; LibreOffice calls a power that is too small an error,
    and masked scores are far below: they become 0.

    >>> exp_of_range("C5:F5-C5")
    '(C5:F5-C5>-700)*EXP(1)^((C5:F5-C5>-700)*(C5:F5-C5))'
    """
    seen = f"({text}>{SMALLEST_POWER})"
    return f"{seen}*EXP(1)^({seen}*({text}))"


SUMS = {"SUM": "SUMPRODUCT"}  # what takes a computed matrix, everywhere
Arguments = tuple[Tree, ...]


def strip(tree: Tree, number: int, *, is_row: bool) -> tuple[str, int, bool]:
    """A row or column of a factor of a matrix product: its address, its length, and whether it lies across."""
    if isinstance(tree, Call) and tree.function == "TRANSPOSE":
        text, length, across = strip(tree.arguments[0], number, is_row=not is_row)
        return text, length, across
    if not isinstance(tree, Cells):
        raise NotImplementedError("a product of computed matrices cell by cell")
    return (tree.row(number), tree.area.columns, True) if is_row else (tree.column(number), tree.area.rows, False)


def product(arguments: Arguments, row: int, column: int) -> str:
    left, length, left_across = strip(arguments[0], row, is_row=True)
    right, _, right_across = strip(arguments[1], column, is_row=False)
    if length == 1 or left_across == right_across:
        return f"SUMPRODUCT({left},{right})"
    return f"SUMPRODUCT(TRANSPOSE({left}),{right})" if right_across else f"SUMPRODUCT({left},TRANSPOSE({right}))"


def looked_up(arguments: Arguments, _row: int, column: int) -> str:
    """INDEX(table, row, 0), a row of a table, and INDEX(list, place)."""
    table, place = arguments[:2]
    if not isinstance(table, Cells):
        raise NotImplementedError("INDEX of a computed matrix")
    return f"INDEX({table.column(column) if len(arguments) > 2 else table.whole()},{place.at(0, column)})"


def found(arguments: Arguments, row: int, column: int) -> str:
    wanted, among, kind = arguments
    return f"MATCH({wanted.at(row, column)},{among.whole()},{kind.whole()})"


ONE_CELL: dict[str, Callable[[Arguments, int, int], str]] = {
    "MMULT": product,
    "INDEX": looked_up,
    "MATCH": found,
    "TRANSPOSE": lambda arguments, row, column: arguments[0].at(column, row),
}


# ------------------------------------------------------------------------------------------------ parsing


@lru_cache(maxsize=1)  # a step's pieces often have the same formula
def parse(formula: str) -> Tree:
    """A formula (without `=`) as a tree.

    >>> parse("MMULT(C5:F8,w!$C$9:$D$12)+w!C14:D14").at(1, 1)
    'SUMPRODUCT(C6:F6,TRANSPOSE(w!D9:D12))+w!D14'
    >>> parse("EXP(C5-MAX(C5:F5))/SUM(EXP(C5:F5-MAX(C5:F5)))").at(0, 0)
    'EXP(C5-MAX(C5:F5))/SUMPRODUCT((C5:F5-MAX(C5:F5)>-700)*EXP(1)^((C5:F5-MAX(C5:F5)>-700)*(C5:F5-MAX(C5:F5))))'
    >>> parse("IF(TRANSPOSE(A5:A8)>A5:A8,-10,0)").at(1, 3)
    'IF(A8>A6,-10,0)'
    """
    reader = Reader(formula)
    tree = reader.joined(0)
    if reader.sign:
        raise NotImplementedError(f"{reader.sign!r} in {formula!r}")
    return tree


class Reader:
    """Reads a formula from left to right."""

    def __init__(self, formula: str):
        self.formula, self.end = formula, 0
        self.step()

    def step(self) -> None:
        """On to the next token."""
        match = TOKEN.match(self.formula, self.end)
        if match is None and self.end < len(self.formula):
            raise NotImplementedError(f"{self.formula[self.end :]!r} in {self.formula!r}")
        self.kind, self.text = (match.lastgroup, match[match.lastgroup or 0]) if match else ("", "")
        self.end = match.end() if match else self.end

    @property
    def sign(self) -> str:
        return self.text if self.kind in ("sign", "") else self.kind or ""

    def take(self) -> str:
        text = self.text
        self.step()
        return text

    def joined(self, level: int) -> Tree:
        """Trees joined by the signs of one priority, or of tighter ones."""
        if level == len(PRIORITIES):
            return self.single()
        parts: list[Tree | str] = [self.joined(level + 1)]
        while self.kind == "sign" and self.text in PRIORITIES[level]:
            parts += [self.take(), self.joined(level + 1)]
        return Joined(tuple(parts)) if len(parts) > 1 else self.only(parts[0])

    @staticmethod
    def only(tree: Tree | str) -> Tree:
        assert not isinstance(tree, str)
        return tree

    def single(self) -> Tree:
        kind, text = self.kind, self.take()
        if kind == "number":
            return Number(text)
        if kind == "cells":
            return cells(text)
        if kind == "function":
            return Call(text, tuple(self.arguments()))
        if text in ("-", "+"):
            return Joined((text, self.single()))
        if text != "(":
            raise NotImplementedError(f"{text!r} in {self.formula!r}")
        inner = self.joined(0)
        return Joined((text, inner, self.take()))

    def arguments(self) -> Iterator[Tree]:
        while self.text != ")":
            yield self.joined(0)
            if self.text == ",":
                self.step()
        self.step()


def cells(text: str) -> Cells:
    tab, mark, place = text.rpartition("!")
    area = parse_range(place, tab)
    if area is None:
        raise NotImplementedError(text)
    return Cells(tab + mark, area)
