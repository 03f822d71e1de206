"""How the formulas of the live workbook name their inputs, and which formulas an operation needs.

A matrix with a row for each token has room for more tokens than the prompt: its name stands for the rows in use,
`block_0!$C$20:INDEX(block_0!$C$20:$BN$31,n_tokens,64)`. So `MMULT(block_0_step_3,...)` never meets an empty row, and
formulas read as if the sheet were made for this prompt. What the formulas say is `ops`' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sheetgpt.ops import Op
from sheetgpt.workbook.grid import Area

N_TOKENS, N_WORDS = "n_tokens", "n_words"  # names of the cells that count what is in use
Names = dict[str, str]  # a defined name -> what it points to
Box = tuple[int, int, int, int]  # (row, column, rows, columns) of a piece, counted from its stage's first cell


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
class Piece:
    """What one formula of an operation fills: its box, and which of its kind it is (the row, column or head)."""

    kind: str
    box: Box
    number: int
    of: int = 1  # heads


def pieces(op: Op, rows: int, columns: int) -> Iterator[Piece]:
    """The pieces of an operation's result that has this shape, each filled by one formula."""
    heads = getattr(op, "n_head", getattr(op, "groups", 1))
    if op.piece == "matrix":
        yield Piece("matrix", (0, 0, rows, columns), 0)
    elif op.piece == "row":
        yield from (Piece("row", (row, 0, 1, columns), row) for row in range(rows))
    elif op.piece == "column":
        yield from (Piece("column", (0, column, rows, 1), column) for column in range(columns))
    elif op.piece == "head":
        width = columns // heads
        yield from (Piece("head", (0, head * width, rows, width), head, heads) for head in range(heads))
    elif op.piece in ("cell", "cells"):
        for row in range(rows):
            for column in range(columns):
                yield Piece(op.piece, (row, column, 1, 1), column * heads // columns, heads)
    else:
        raise NotImplementedError(f"{op} has pieces of kind {op.piece}")


@dataclass(frozen=True)
class Input:
    """A source as one formula sees it: `ops.Reference`."""

    source: Source
    piece: Piece
    tab: str  # where the formula stands
    names: Names  # names that formulas use are added here

    def __str__(self):
        self.names[self.source.name] = self.source.refers_to()
        return self.source.name

    def here(self, area: Area) -> str:
        """An address, with its tab where that is another one."""
        return area.range() if area.tab == self.tab else area.address()

    @property
    def width(self) -> int:
        return self.source.area.columns

    @property
    def part(self) -> str:
        area, (row, column, _, _), number = self.source.area, self.piece.box, self.piece.number
        if self.source.vector:
            number = row if self.piece.kind == "cell" else number
            at = area.part(0, number, 1, 1) if area.rows == 1 else area.part(number, 0, 1, 1)
            return self.here(at)
        if self.piece.kind == "row":
            return self.here(area.part(row, rows=1))
        if self.piece.kind == "column":
            return self.here(area.part(column=column, columns=1))
        width = area.columns // self.piece.of
        if self.piece.kind == "head":
            return self._head(area.part(column=number * width, columns=width))
        keys = area.part(row, number * width, 1, width)
        if not self.source.live:
            return self.here(keys)
        return f"{self.here(keys.part(columns=1))}:INDEX({self.here(keys)},{N_TOKENS})"

    def _head(self, area: Area) -> str:
        name = f"{self.source.name}_head_{self.piece.number}"
        self.names[name] = in_use(area, "both" if self.source.live == "heads" else self.source.live)
        return name

    @property
    def cell(self) -> str:
        return self.at(0, 0)

    @property
    def box(self) -> Box:
        """(row, column, rows, columns) of the piece in its stage."""
        return self.piece.box

    def at(self, rows: int, columns: int) -> str:
        """The cell that many rows and columns away from the formula's own."""
        row, column, _, _ = self.piece.box
        return self.here(self.source.area.part(row + rows, column + columns, 1, 1))

    @property
    def last_row(self) -> str:
        rows = N_TOKENS if self.source.live else self.source.area.rows
        return f"INDEX({self},{rows},0)"

    def columns(self, index: int, count: int) -> str:
        width = self.source.area.columns // count
        return self.here(self.source.area.part(column=index * width, columns=width))


def formulas(op: Op, out: Area, sources: Sequence[Source], names: Names) -> Iterator[tuple[Piece, str, list[Input]]]:
    """Every piece of an operation's result, its formula (without `=`), and the inputs as the formula sees them.

    The names that the formulas use are added to `names`.
    """
    for piece in pieces(op, out.rows, out.columns):
        inputs = [Input(source, piece, out.tab, names) for source in sources]
        formula = op.formula(*inputs)
        yield piece, formula[piece.box[0]] if op.piece == "cells" else formula, inputs
