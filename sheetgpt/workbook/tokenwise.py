"""Formulas token by token, for large models: each reads its own token and those before it, as a caching decoder does.

An operation's formula fills a matrix or a head. Here the same text is read for one row: what has a row for each token
is that token's row, and where a row needs all the others (`Op.all_rows`) they are the rows up to its own. So a changed
word leaves everything before it as it is. What has a row for each token of the vocabulary comes in blocks of rows: one
formula would hold the whole table in memory a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from sheetgpt.ops import Box, Op, Piece
from sheetgpt.workbook.cellwise import cell_formulas
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.references import Input, Slot, Source, here, slots

ROWS_IN_A_BLOCK = 1_000  # of a table with a row for each token of the vocabulary


class RowInput(Input):
    """A source as the formula of one token's row sees it: that row, or all up to it where the row needs them all."""

    so_far: ClassVar[bool] = False  # does it?

    @property
    def cells(self) -> Area:
        """What the formula may read of it."""
        row, area, live = self.slot.box[0], self.source.area, self.source.live
        if not live:
            return area
        seen = row + 1 if live == "both" else area.columns
        return area.part(rows=row + 1, columns=seen) if self.so_far else area.part(row, rows=1, columns=seen)

    def __str__(self) -> str:
        return here(self.cells, self.tab) if self.source.live else self.source.name

    @property
    def part(self) -> str:
        if self.slot.piece != Piece.HEAD:
            return super().part
        number, width = self.slot.number, self.width // self.slot.of
        seen = self.slot.box[0] + 1 if self.source.live == "heads" else width  # keys up to the token
        return here(self.cells.part(column=number * width, columns=seen), self.tab)

    def columns(self, index: int, count: int) -> str:
        width = self.width // count
        return here(self.cells.part(column=index * width, columns=width), self.tab)


class RowsInput(RowInput):
    """A source with all rows up to the formula's own."""

    so_far = True


def row_formulas(op: Op, out: Area, sources: Sequence[Source]) -> Iterator[tuple[Slot, str, list[Input]]]:
    """A formula for each row of an operation's result, or for each head of a row, and its inputs."""
    kinds = [RowsInput if number in op.all_rows else RowInput for number in range(len(sources))]
    for row in range(out.rows):
        for slot in slots(op, 1, out.columns):
            _, column, _, columns = slot.box
            own = replace(slot, box=(row, column, 1, columns))
            inputs: list[Input] = [kind(source, own, out.tab) for kind, source in zip(kinds, sources, strict=True)]
            formula = op.formula(*inputs)
            assert isinstance(formula, str)  # a list is of cells
            yield own, formula, inputs


class KeyInput(Input):
    """A source as the formula of one cell sees it: of a row's keys only those up to the row's token."""

    @property
    def part(self) -> str:
        area, (row, _, _, _), width = self.source.area, self.slot.box, self.width // self.slot.of
        return here(area.part(row, self.slot.number * width, 1, row + 1), self.tab)


def key_formulas(op: Op, out: Area, sources: Sequence[Source]) -> Iterator[tuple[Box, str]]:
    """A formula for each cell of a result with a column for each key."""
    if op.piece != Piece.CELL:
        yield from cell_formulas(op, out, sources)
        return
    for slot in slots(op, out.rows, out.columns):
        formula = op.formula(*(KeyInput(source, slot, out.tab) for source in sources))
        assert isinstance(formula, str)
        yield slot.box, formula


# ------------------------------------------------------------------------------------------------ vocabulary


class BlockInput(Input):
    """A table as the formula of some rows sees it: these rows."""

    def __str__(self) -> str:
        area, (row, _, rows, _) = self.source.area, self.slot.box
        return here(area.part(row, rows=rows), self.tab)


def block_formulas(op: Op, out: Area, sources: Sequence[Source]) -> Iterator[tuple[Slot, str, list[Input]]]:
    """A formula for each block of rows of a result, of which each needs one row of a table (`Op.own_row`)."""
    for row in range(0, out.rows, ROWS_IN_A_BLOCK):
        slot = Slot(op.piece, (row, 0, min(ROWS_IN_A_BLOCK, out.rows - row), out.columns), 0)
        kinds = [BlockInput if number == op.own_row else Input for number in range(len(sources))]
        inputs: list[Input] = [kind(source, slot, out.tab) for kind, source in zip(kinds, sources, strict=True)]
        formula = op.formula(*inputs)
        assert isinstance(formula, str)
        yield slot, formula, inputs
