"""What every lens gives: a report of titled tables, each a DataFrame with a look, and notes that state its convention.

Here also how a cell and a label read as text, and a report as plain data. Printing belongs in `commands.tables`, files
in `workbook` and `plot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from sheetgpt.run.trace import Trace

TOKEN = "token"  # noqa: S105 - the level of labels that holds tokens, whose spaces matter
LONGEST_TAB = 31  # characters of a table's name, which is a tab's too


class Look(StrEnum):
    """How numbers are shown, and what their colours mean."""

    PLAIN = "plain"
    DIVERGING = "diverging"  # about 0, which stays white
    SHARES = "shares"  # from 0 to 1
    RANKS = "ranks"  # 1 is the best
    COUNTS = "counts"  # of how many a number is; never coloured, and in no picture
    TOKENS = "tokens"  # texts whose spaces matter
    TEXTS = "texts"


NO_LOOKS: Mapping[str, Look] = {}


@dataclass(frozen=True)
class Table:
    """A titled DataFrame. Rows and columns have labels, and their names say what they count; NaN is an empty cell."""

    name: str  #: a tab's name, too: short, without blanks
    title: str  #: what it shows
    frame: pd.DataFrame  #: [rows, columns] the cells with their labels
    look: Look = Look.PLAIN  #: how its numbers are shown
    notes: tuple[str, ...] = ()  #: what is said below it
    #: of single columns that look otherwise than the rest
    looks: Mapping[str, Look] = field(default_factory=lambda: NO_LOOKS)
    #: [rows, columns] what stands in the cells of its picture, instead of the numbers
    texts: pd.DataFrame | None = None
    shown: int | None = None  #: how many rows a terminal shows; None: all
    cut_by: str = "--top"  #: the option that shows more
    span: float = 0.0  #: the least size of a number that has the full colour; by default the largest number's

    def look_of(self, column: int) -> Look:
        """The look of a column, by its place."""
        return self.looks.get(str(self.frame.columns[column]), self.look)

    @property
    def row_names(self) -> list[str]:
        """What each level of the row labels is."""
        return [str(name or "") for name in self.frame.index.names]

    def row_labels(self) -> list[tuple[Any, ...]]:
        """The labels of each row, one a level."""
        return [label if isinstance(label, tuple) else (label,) for label in map(plain, self.frame.index)]

    def column_labels(self) -> list[str]:
        """The labels of the columns as texts, their levels side by side."""
        names = [str(name or "") for name in self.frame.columns.names]
        return [label_texts(label, names) for label in self.frame.columns]

    @property
    def column_name(self) -> str:
        """What the columns count."""
        return " ".join(str(name) for name in self.frame.columns.names if name)

    @cached_property
    def columns(self) -> tuple[tuple[Any, ...], ...]:
        """The cells column by column as Python's numbers and texts; None where one is empty."""
        return tuple(tuple(plain(cell) for cell in self.frame.iloc[:, i]) for i in range(self.frame.shape[1]))

    def cells(self) -> list[list[Any]]:
        """The same row by row."""
        return [[column[row] for column in self.columns] for row in range(len(self.frame))]

    @cached_property
    def sizes(self) -> tuple[float, ...]:
        """The size of each column's largest number; 0 where it has none."""
        return tuple(max((abs(cell) for cell in column if is_number(cell)), default=0.0) for column in self.columns)

    @cached_property
    def shared_size(self) -> float:
        """The size of the largest number in all columns that share the table's look."""
        return max((size for i, size in enumerate(self.sizes) if self.look_of(i) is self.look), default=0.0)

    def largest(self, column: int | None = None) -> float:
        """The size of a number that has the full colour, in a column, or in all that share the table's look."""
        return max(self.span, self.shared_size if column is None else self.sizes[column])

    def as_data(self) -> dict[str, Any]:
        """The table for machines: labels and cells."""
        names = self.row_names
        rows = [dict(zip(names, label, strict=True)) if len(names) > 1 else label[0] for label in self.row_labels()]
        levels = list(map(str, self.frame.columns.names))
        columns = [
            dict(zip(levels, one, strict=True)) if isinstance(one, tuple) else one
            for one in map(plain, self.frame.columns)
        ]
        return {"name": self.name, "title": self.title, "rows": rows, "columns": columns, "values": self.cells()}


@dataclass(frozen=True)
class Report:
    """What a lens shows: tables, what they are of, and the conventions in which their numbers are to be read."""

    title: str  #: the lens's name
    facts: Mapping[str, Any]  #: the prompt, the token, ...: by the words that name them
    tables: Sequence[Table]  #: what it shows
    notes: tuple[str, ...] = ()  #: the conventions

    def as_data(self) -> dict[str, Any]:
        """The report as JSON has it."""
        facts = {name.replace(" ", "_"): plain(value) for name, value in self.facts.items()}
        return {**facts, "notes": list(self.notes), "tables": [table.as_data() for table in self.tables]}


# ------------------------------------------------------------------------------------------------ cells and labels


def plain(value: Any) -> Any:
    """A number of numpy's as Python's, NaN as None, also inside tuples."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    found = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and np.isnan(found) else found


def is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def cell_text(cell: Any, look: Look) -> str:
    """A cell as a person reads it.

    >>> cell_text(0.25, Look.DIVERGING), cell_text(-1e-9, Look.DIVERGING), cell_text(0.25, Look.SHARES)
    ('+0.250', '+0.000', '25.00%')
    """
    if cell is None:
        return ""
    if look is Look.TOKENS:
        return quoted(str(cell))
    if not is_number(cell):
        return str(cell)
    forms = {Look.DIVERGING: "+.3f", Look.SHARES: ".2%", Look.RANKS: ",.0f", Look.COUNTS: ",.0f"}
    text = format(cell, forms.get(look, "" if isinstance(cell, int) else ".4f"))
    return text.replace("-", "+") if look is Look.DIVERGING and float(text) == 0 else text


def quoted(token: str) -> str:
    r"""A token in quotes, so that its spaces can be seen, with control characters as escapes.

    >>> print(quoted(" a\n"))
    " a\n"
    """
    return f'"{"".join(one if one.isprintable() else escaped(one) for one in token)}"'


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def label_text(label: Any, name: str) -> str:
    """One level of a label as a person reads it."""
    return quoted(str(label)) if name == TOKEN else str(label)


def label_texts(label: Any, names: Sequence[str]) -> str:
    """A label of one level or several as one text.

    >>> label_texts((5, " moves"), ["position", "token"])
    '5 " moves"'
    """
    levels = label if isinstance(label, tuple) else (label,)
    return " ".join(label_text(one, name) for one, name in zip(levels, names, strict=True))


def set_in(trace: Trace) -> dict[str, Any]:
    """The stages and weights that were set in a run, as a fact of a report; nothing where none were."""
    return {"set": list(trace.overridden)} if trace.overridden else {}


def fact_text(value: Any) -> str:
    """What a report says of itself, as a person reads it: texts in quotes, numbers with six digits."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return quoted(value) if isinstance(value, str) else f"{value:.6g}" if isinstance(value, float) else str(value)
