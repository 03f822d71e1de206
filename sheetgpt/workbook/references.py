"""How formulas name their inputs, which formulas an operation needs, and which names these use.

A matrix with a row for each token has room for more tokens than the prompt: its name stands for the rows in use,
`block_0!$C$20:INDEX(block_0!$C$20:$BN$31,n_tokens,64)`. So `MMULT(block_0_step_3,...)` never meets an empty row, and
formulas read as if the sheet were made for this prompt. What the formulas say stands in `ops`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sheetgpt.ops import Box, Op, Piece
from sheetgpt.workbook.grid import Area

N_TOKENS, N_WORDS = "n_tokens", "n_words"  # names of the cells that count what is in use
Names = dict[str, str]  # a defined name -> what it points to


@dataclass(frozen=True)
class Source:
    """A named matrix in the workbook that formulas may use.

    live: which of its axes have room for more tokens than are in use: "" (none), "rows", "columns", "both", or "heads"
    (the rows, and the columns of each of `heads`). vector: it is a list of ids or positions, one a token.
    """

    name: str
    area: Area
    live: str = ""
    vector: bool = False
    heads: int = 1

    def refers_to(self) -> str:
        """What its name points to: the cells in use."""
        if self.live != "heads":
            return in_use(self.area, self.live)
        width = self.area.columns // self.heads
        heads = (self.area.part(column=head * width, columns=width) for head in range(self.heads))
        return ",".join(in_use(head, "both") for head in heads)


def in_use(area: Area, live: str) -> str:
    """The address of the cells in use of an area.

    >>> in_use(Area("b", 4, 2, 8, 3), "rows")
    'b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3)'
    """
    if not live:
        return area.address()
    first = area.part(rows=1, columns=1).address()
    rows = area.rows if live == "columns" else N_TOKENS
    columns = N_TOKENS if live in ("columns", "both") else area.columns
    return f"{first}:INDEX({area.address()},{rows},{columns})"


@dataclass(frozen=True)
class Slot:
    """Where one formula of an operation goes: its box, and which of its kind it is (the row, column or head)."""

    piece: Piece
    box: Box
    number: int
    of: int = 1  # heads


def slots(op: Op, rows: int, columns: int) -> Iterator[Slot]:
    """Where the formulas go that fill an operation's result of this shape."""
    groups, width = op.groups, columns // op.groups
    match op.piece:
        case Piece.MATRIX:
            yield Slot(op.piece, (0, 0, rows, columns), 0)
        case Piece.ROW:
            yield from (Slot(op.piece, (row, 0, 1, columns), row) for row in range(rows))
        case Piece.COLUMN:
            yield from (Slot(op.piece, (0, column, rows, 1), column) for column in range(columns))
        case Piece.HEAD:
            yield from (Slot(op.piece, (0, head * width, rows, width), head, groups) for head in range(groups))
        case Piece.CELL | Piece.CELLS:
            for row in range(rows):
                for column in range(columns):
                    yield Slot(op.piece, (row, column, 1, 1), column * groups // columns, groups)


def slot_at(op: Op, rows: int, columns: int, row: int, column: int) -> Slot:
    """The one among these that fills a cell."""
    groups, width = op.groups, columns // op.groups
    match op.piece:
        case Piece.MATRIX:
            return Slot(op.piece, (0, 0, rows, columns), 0)
        case Piece.ROW:
            return Slot(op.piece, (row, 0, 1, columns), row)
        case Piece.COLUMN:
            return Slot(op.piece, (0, column, rows, 1), column)
        case Piece.HEAD:
            return Slot(op.piece, (0, column // width * width, rows, width), column // width, groups)
        case Piece.CELL | Piece.CELLS:
            return Slot(op.piece, (row, column, 1, 1), column * groups // columns, groups)


def here(area: Area, tab: str) -> str:
    """An address as a formula on a tab writes it: with the area's tab where that is another one."""
    return area.range() if area.tab == tab else area.address()


@dataclass(frozen=True)
class Input:
    """A source as one formula sees it: `ops.Reference`."""

    source: Source
    slot: Slot
    tab: str  # where the formula stands

    def __str__(self) -> str:
        return self.source.name

    @property
    def width(self) -> int:
        return self.source.area.columns

    @property
    def part(self) -> str:
        area, (row, column, _, _), number = self.source.area, self.slot.box, self.slot.number
        if self.source.vector:
            number = row if self.slot.piece == Piece.CELL else number
            at = area.part(0, number, 1, 1) if area.rows == 1 else area.part(number, 0, 1, 1)
            return here(at, self.tab)
        if self.slot.piece == Piece.ROW:
            return here(area.part(row, rows=1), self.tab)
        if self.slot.piece == Piece.COLUMN:
            return here(area.part(column=column, columns=1), self.tab)
        if self.slot.piece == Piece.HEAD:
            return self.head_name
        width = area.columns // self.slot.of
        keys = area.part(row, number * width, 1, width)
        if not self.source.live:
            return here(keys, self.tab)
        return f"{here(keys.part(columns=1), self.tab)}:INDEX({here(keys, self.tab)},{N_TOKENS})"

    @property
    def head_name(self) -> str:
        """The name of the columns of the slot's head."""
        return f"{self.source.name}_head_{self.slot.number}"

    def names(self) -> Names:
        """The names by which a formula may call the source, and what each points to."""
        found = {self.source.name: self.source.refers_to()}
        if self.slot.piece == Piece.HEAD:
            width = self.width // self.slot.of
            head = self.source.area.part(column=self.slot.number * width, columns=width)
            found[self.head_name] = in_use(head, "both" if self.source.live == "heads" else self.source.live)
        return found

    @property
    def cell(self) -> str:
        return self.at(0, 0)

    @property
    def box(self) -> Box:
        return self.slot.box

    def at(self, rows: int, columns: int) -> str:
        """The cell that many rows and columns away from the formula's own."""
        row, column, _, _ = self.slot.box
        return here(self.source.area.part(row + rows, column + columns, 1, 1), self.tab)

    @property
    def last_row(self) -> str:
        rows = N_TOKENS if self.source.live else self.source.area.rows
        return f"INDEX({self},{rows},0)"

    def columns(self, index: int, count: int) -> str:
        width = self.source.area.columns // count
        return here(self.source.area.part(column=index * width, columns=width), self.tab)


def formulas(op: Op, out: Area, sources: Sequence[Source], names: Names) -> Iterator[tuple[Slot, str, list[Input]]]:
    """Every slot of an operation's result, its formula (without `=`), and the inputs as the formula sees them.

    The names that the formulas use are added to `names`.
    """
    for slot in slots(op, out.rows, out.columns):
        inputs = [Input(source, slot, out.tab) for source in sources]
        formula = op.formula(*inputs)
        text = formula if isinstance(formula, str) else formula[slot.box[0]]
        names |= names_used(text, inputs)
        yield slot, text, inputs


def names_used(formula: str, inputs: Iterable[Input]) -> Names:
    """Those names of the inputs that stand in a formula, and what each points to.

    >>> x, y = (Source(name, Area("b", 4, 2, 8, 3)) for name in ("step_3", "step_30"))
    >>> slot = Slot(Piece.MATRIX, (0, 0, 8, 3), 0)
    >>> names_used("MMULT(step_30,step_3!B2)", [Input(x, slot, "b"), Input(y, slot, "b")])
    {'step_30': 'b!$C$5:$E$12'}
    """
    found: Names = {}
    for one in inputs:
        if one.source.name in formula:  # most formulas are of cells: nothing more is looked for in them
            found |= {name: place for name, place in one.names().items() if stands_in(name, formula)}
    return found


def stands_in(name: str, formula: str) -> bool:
    """Does a formula use this name, and not a longer one, or a tab that is called so?"""
    return re.search(rf"(?<![\w.!']){re.escape(name)}(?![\w.!'])", formula) is not None


# ------------------------------------------------------------------------------------------------ gradients


@dataclass(frozen=True)
class GradientInput:
    """A source as the formulas of gradients see it: `ops.GradientReference`. Their matrices have no spare rows."""

    source: Source
    tab: str  # where the formulas stand

    def __str__(self) -> str:
        return self.source.name

    @property
    def rows(self) -> int:
        return self.source.area.rows

    @property
    def columns(self) -> int:
        return self.source.area.columns

    @property
    def whole(self) -> Box:
        return 0, 0, self.rows, self.columns

    def cell(self, row: int, column: int) -> str:
        return here(self.source.area.part(row, column, 1, 1), self.tab)

    def row(self, row: int) -> str:
        return here(self.source.area.part(row, rows=1), self.tab)

    def column(self, column: int) -> str:
        return here(self.source.area.part(column=column, columns=1), self.tab)

    def columns_from(self, column: int, count: int) -> str:
        return here(self.source.area.part(column=column, columns=count), self.tab)

    def part_of_row(self, row: int, column: int, count: int) -> str:
        return here(self.source.area.part(row, column, 1, count), self.tab)

    def cells(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in range(self.rows) for column in range(self.columns))
