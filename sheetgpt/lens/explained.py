"""An explained number: its formula in words, over names and in numbers, its terms as a table, as data, as a report.

Made in `explanation`; printed in `commands.explain`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sheetgpt.lens.addresses import Region

if TYPE_CHECKING:
    import pandas as pd

    from sheetgpt.lens.tables import Report, Table

MOST_TERMS = 10  # that are shown one by one
COLUMNS = ("left", "right", "value", "share")


@dataclass(frozen=True)
class Term:
    """A row of the table: a number of the formula, or something that is added up."""

    label: str  #: what it is
    value: float  #: its number
    left: float | None = None  #: the left factor; None where there is none
    right: float | None = None  #: the right factor; None where there is none
    share: float | None = None  #: of the sizes of all that is added up, 0 to 1
    cells: tuple[Region, ...] = ()  #: that hold its left and its right, or its value

    @property
    def in_cells(self) -> str:
        """The cells by address."""
        return ", ".join(map(str, self.cells))

    def as_data(self) -> dict[str, Any]:
        """The term as JSON has it."""
        numbers = {name: finite(getattr(self, name)) for name in COLUMNS}
        return {"label": self.label, **numbers, "cells": [str(cell) for cell in self.cells]}


def finite(value: float | None) -> float | None:
    """A number as JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None


def in_order(terms: Sequence[Term]) -> tuple[Term, ...]:
    """What is added up, the largest first, each with its share."""
    size = sum(abs(term.value) for term in terms)
    ordered = sorted(terms, key=lambda term: -abs(term.value))
    return tuple(replace(term, share=abs(term.value) / size if size else 0.0) for term in ordered)


@dataclass(frozen=True)
class Explanation:
    """One number from its inputs."""

    address: str  #: the cell's, as `--set` has it
    value: float  #: the number itself
    title: str  #: of its stage
    label: str  #: its row and column
    words: str  #: the stage's formula as a person would say it
    formula: str  #: the cell's, over names
    in_numbers: str  #: the formula with the numbers in it
    numbers: tuple[Term, ...] = ()  #: of the formula, but for what is added up
    terms: tuple[Term, ...] = ()  #: the summands, largest first
    addends: tuple[Term, ...] = ()  #: what is added besides, as a bias is
    heads: tuple[str, str, str] = ("left", "right", "value")  #: what a term's left, right and value are
    total: float | None = None  #: of the terms, and of the addends where there is nothing else
    adds_all: bool = False  #: is the number the sum of terms and addends?
    notes: tuple[str, ...] = ()  #: what else is to be known
    below: Explanation | None = None  #: what its largest term comes from, down to the depth that was asked for
    top: int = MOST_TERMS  #: how many terms are shown one by one

    @property
    def levels(self) -> Iterator[Explanation]:
        """The number, what it comes from, what that comes from, and so on."""
        yield self
        if self.below is not None:
            yield from self.below.levels

    @cached_property
    def rows(self) -> tuple[Term, ...]:
        """The table: the numbers, the largest terms, the rest added up, what is added besides, the sum."""
        total = () if self.total is None else (Term("sum", self.total),)
        rest = rest_of(self.terms[self.top :]) if total else ()
        summed = (*self.terms[: self.top], *rest)
        added = (*summed, *(self.addends + total if self.adds_all else total + self.addends))
        return (*self.numbers, *added) or (Term("value", self.value),)

    @property
    def added(self) -> tuple[Term, ...]:
        """The rows that are no numbers of the formula."""
        return self.rows[len(self.numbers) :]

    @property
    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame [terms, 5]: left, right, value, share and cells by term; NaN where there is none."""
        import pandas as pd

        index = pd.Index([term.label for term in self.rows], name="term")
        numbers = [[getattr(term, column) for column in COLUMNS] for term in self.rows]
        made = pd.DataFrame(numbers, index=index, columns=list(COLUMNS), dtype=float)
        return made.assign(cells=pd.Series([term.in_cells for term in self.rows], index=index, dtype=object))

    def lines(self) -> list[str]:
        """How it is made in words, over names and in numbers; the notes."""
        made = list(dict.fromkeys([self.words, self.formula, self.in_numbers]))
        return [*(f"= {one}" for one in made if one), *self.notes]

    def as_data(self) -> dict[str, Any]:
        """For machines: every term, with the cells that hold its sides."""
        texts = ("address", "title", "label", "words", "formula", "in_numbers")
        found: dict[str, Any] = {name: getattr(self, name) for name in texts} | {"value": finite(self.value)}
        for name in ("numbers", "terms", "addends"):
            found[name] = [term.as_data() for term in getattr(self, name)]
        return found | {"sum": finite(self.total), "notes": self.notes, "below": self.below and self.below.as_data()}

    # -------------------------------------------------------------------------------------------- as a report

    @property
    def heading(self) -> str:
        """The address and the number, as a title."""
        return f"{self.address} = {short(self.value)}"

    def report(self, facts: dict[str, Any]) -> Report:
        """A table a level."""
        from sheetgpt.lens.tables import Report

        return Report(f"explain {self.address}", facts, [level.table(depth) for depth, level in enumerate(self.levels)])

    def table(self, depth: int) -> Table:
        """One level as a table of a report."""
        from sheetgpt.lens.tables import LONGEST_TAB, Look, Table

        heads = (*self.heads[:2], "value" if self.numbers else self.heads[2])
        frame = self.frame.rename(columns=dict(zip(COLUMNS, heads, strict=False)))
        colours = {} if self.numbers else {heads[2]: Look.DIVERGING}  # numbers of a formula have no common scale
        looks = {**colours, "share": Look.SHARES, "cells": Look.TEXTS}
        name = f"{depth} {self.address.partition('[')[0]}"[:LONGEST_TAB]
        notes = (f"{self.title}: {self.label}", *self.lines())
        return Table(name, self.heading, frame.dropna(axis="columns", how="all"), looks=looks, notes=notes)

    def picture(self, facts: dict[str, Any]) -> Report:
        """The same for a picture: bars of what is added up."""
        from sheetgpt.lens.tables import Look

        report = self.report(facts)
        kept = [level.frame.tail(len(level.added) or len(level.rows))[["value"]] for level in self.levels]
        tables = [
            replace(table, frame=frame, look=Look.DIVERGING, title=f"{level.heading}: {level.title}, {level.label}")
            for table, frame, level in zip(report.tables, kept, self.levels, strict=True)
        ]
        return replace(report, tables=tables)


def rest_of(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Terms that are not shown one by one, as one."""
    if not terms:
        return ()
    share = sum(term.share or 0.0 for term in terms)
    return (Term(f"{len(terms)} smaller", float(sum(term.value for term in terms)), share=share),)


def short(value: float) -> str:
    """A number as it is shown.

    >>> short(0.123456789), short(-1e10), short(2.0)
    ('0.123457', '-1e+10', '2')
    """
    return f"{value:.6g}"


def closed(value: float) -> str:
    """A number as it stands behind an operator.

    >>> closed(-2.5)
    '(-2.5)'
    """
    text = short(value)
    return f"({text})" if text.startswith("-") else text
