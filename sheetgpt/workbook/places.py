"""Where each stage lies in a workbook: tab, first row, columns, its header rows, and the names of those places.

Both writers (`write` without formulas, `live` with them) ask here, and so can readers. Cells are counted from 0 here
and from A1 in addresses. What stands in the cells, and how it looks, is the writers' and `style`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sheetgpt.errors import DumpError
from sheetgpt.models.gpt2 import Step

MAX_ROWS, MAX_COLUMNS, MAX_TEXT = 1_048_576, 16_384, 32_767  # of a sheet, and the characters of a cell
LABEL_COLUMNS = 2  # the row labels: position (or id) and token
TAB_ROWS = 2  # the frozen row with the tab's title and the link to the index, and a blank one
TITLE_ROWS = 2  # a stage's name and title, then its shape and its formula in words

INDEX, MERGES, EMBEDDINGS, HEAD, LOGITS = "index", "Prompt_to_Tokens", "embeddings", "head", "logits"
WORDS = "words"  # the tab into which the live workbook's words are typed


def column_letters(column: int) -> str:
    """A column's letters.

    >>> column_letters(0), column_letters(25), column_letters(26), column_letters(16_383)
    ('A', 'Z', 'AA', 'XFD')
    """
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def column_number(letters: str) -> int:
    """A column's number from 0.

    >>> column_number("A"), column_number("AA"), column_number("XFD")
    (0, 26, 16383)
    """
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def cell(row: int, column: int, *, fixed: bool = False) -> str:
    """A cell's address.

    >>> cell(4, 2), cell(4, 2, fixed=True)
    ('C5', '$C$5')
    """
    mark = "$" if fixed else ""
    return f"{mark}{column_letters(column)}{mark}{row + 1}"


@dataclass(frozen=True)
class Area:
    """A rectangle of cells on one tab."""

    tab: str
    row: int
    column: int
    rows: int
    columns: int

    def range(self, *, fixed: bool = False) -> str:
        """The address without its tab.

        >>> Area("block_0", 4, 2, 8, 64).range(), Area("block_0", 4, 2, 1, 1).range()
        ('C5:BN12', 'C5')
        """
        first = cell(self.row, self.column, fixed=fixed)
        if self.rows == self.columns == 1:
            return first
        return f"{first}:{cell(self.row + self.rows - 1, self.column + self.columns - 1, fixed=fixed)}"

    def address(self) -> str:
        """The address that a defined name points to.

        >>> Area("block_0", 4, 2, 8, 64).address()
        'block_0!$C$5:$BN$12'
        """
        return f"{self.tab}!{self.range(fixed=True)}"

    def part(self, row: int = 0, column: int = 0, rows: int | None = None, columns: int | None = None) -> Area:
        """A rectangle of it, counted from its first cell; by default everything from there on."""
        return Area(
            self.tab,
            self.row + row,
            self.column + column,
            self.rows - row if rows is None else rows,
            self.columns - column if columns is None else columns,
        )


@dataclass(frozen=True)
class Stage:
    """What the layout has to know of a stage: its step, its shape, and how many rows its column labels take."""

    step: Step
    rows: int
    columns: int
    header_rows: int = 1
    together: int = 1  # this many columns are never torn apart where a stage is wider than a sheet: a head's keys


@dataclass(frozen=True)
class Place:
    """Where a stage stands. A stage that is wider than a sheet continues below: its areas belong side by side."""

    step: Step
    title_row: int
    header_rows: int
    areas: tuple[Area, ...]

    @property
    def tab(self) -> str:
        return self.areas[0].tab

    @property
    def area(self) -> Area:
        """Its only area. Raises DumpError where the stage is wider than a sheet, which formulas can't follow."""
        if len(self.areas) > 1:
            raise DumpError(
                f"{self.step.name} is wider than a sheet ({MAX_COLUMNS:,} columns): use fewer tokens or shorter words"
            )
        return self.areas[0]

    @property
    def shape(self) -> tuple[int, int]:
        return self.areas[0].rows, sum(area.columns for area in self.areas)

    @property
    def last_row(self) -> int:
        return self.areas[-1].row + self.areas[-1].rows - 1

    def refers_to(self) -> str:
        """What its defined name points to: one area, or several with commas between."""
        return ",".join(area.address() for area in self.areas)


def tab_of(step: Step) -> str:
    """The tab of a stage."""
    if step.block is not None:
        return f"block_{step.block}"
    if step.name in ("separated_into_words", "prompt_to_tokens"):
        return MERGES
    if step.name == "logits":
        return LOGITS
    return EMBEDDINGS if step.name in EMBEDDING_STAGES else HEAD


EMBEDDING_STAGES = ("final_tokens", "token_embeddings", "position_table", "position_embeddings", "triangle_matrix")


def first_column(step: Step) -> int:
    """The column where a stage's cells begin: after the row labels; a table that holds its labels begins before."""
    return {"prompt_to_tokens": 0, "separated_into_words": 1, "predicted_token": 1}.get(step.name, LABEL_COLUMNS)


def lay_out(stages: Iterable[Stage]) -> dict[str, Place]:
    """The place of each stage, by name: under each other on the tab they belong to, in order.

    Raises DumpError where a tab would have more rows than a sheet can.
    """
    places: dict[str, Place] = {}
    next_row: dict[str, int] = {}
    for stage in stages:
        tab = tab_of(stage.step)
        title_row = next_row.get(tab, TAB_ROWS)
        row, areas = title_row + TITLE_ROWS, []
        column = first_column(stage.step)
        for columns in _bands(stage.columns, MAX_COLUMNS - column, stage.together):
            areas.append(Area(tab, row + stage.header_rows, column, stage.rows, columns))
            row = areas[-1].row + stage.rows + 1
        if row > MAX_ROWS:
            raise DumpError(
                f"{stage.step.name} ends at row {row:,} of tab {tab} and a sheet has {MAX_ROWS:,}: use --dump-csv"
            )
        next_row[tab] = row
        places[stage.step.name] = Place(stage.step, title_row, stage.header_rows, tuple(areas))
    return places


def _bands(columns: int, limit: int, together: int) -> list[int]:
    """The widths of the bands that `columns` are cut into, so that none is wider than `limit`.

    >>> _bands(10, 16, 5), _bands(25, 16, 5), _bands(40, 16, 20)
    ([10], [15, 10], [16, 16, 8])
    """
    whole = limit // together * together or limit
    return [min(whole, columns - start) for start in range(0, columns, whole)] or [0]


def weight_tab(name: str) -> str:
    """The tab of a weight matrix in the live workbook.

    >>> weight_tab("model_wte"), weight_tab("model_h11_ln_1_g"), weight_tab("model_ln_f_g")
    ('weights_wte', 'weights_11', 'weights_head')
    """
    part = name.removeprefix("model_")
    block, _, rest = part.partition("_")
    if rest and block.startswith("h") and block[1:].isdigit():
        return f"weights_{block[1:]}"
    return f"weights_{part}" if part in ("wte", "wpe", "lm_head") else "weights_head"


def lay_out_weights(shapes: Mapping[str, tuple[int, int]]) -> dict[str, Area]:
    """The area of each weight matrix, by name: under each other on their tabs, a title and a header row over each."""
    areas: dict[str, Area] = {}
    next_row: dict[str, int] = {}
    for name, (rows, columns) in shapes.items():
        tab = weight_tab(name)
        row = next_row.get(tab, TAB_ROWS) + 2
        if row + rows > MAX_ROWS or LABEL_COLUMNS + columns > MAX_COLUMNS:
            raise DumpError(f"{name} ({rows:,} x {columns:,}) is larger than a sheet: choose blocks with --blocks")
        areas[name] = Area(tab, row, LABEL_COLUMNS, rows, columns)
        next_row[tab] = row + rows + 1
    return areas


def tabs(places: dict[str, Place]) -> dict[str, list[Place]]:
    """The places of each tab, in order."""
    found: dict[str, list[Place]] = {}
    for place in places.values():
        found.setdefault(place.tab, []).append(place)
    return found


def tight_merges(table: Sequence[Sequence]) -> list[list]:
    """The merge trace of a live workbook, which has room for longer words, as the dump of a run has it.

    A pass has seven rows in both; there are as many as the longest word has letters, and so wide is each word.
    """
    room = len(table) // 7
    slots = range(1, len(table[0]), room + 1)
    lengths = [sum(one not in (None, "") for one in table[1][start : start + room]) for start in slots]
    longest, words = max(lengths), sum(map(bool, lengths))
    rows = [*table[: 7 * longest - 1], table[-1]]
    tight = [[row[0], *(one for start in slots for one in row[start : start + longest + 1])] for row in rows]
    ids = [str(int(one)) if isinstance(one, float) else one for one in tight[-1]]
    return [row[: words * (longest + 1)] for row in [*tight[:-1], ids]]


def widths(areas: Sequence[Area]) -> int:
    """The first column after all of these areas."""
    return max(area.column + area.columns for area in areas)
