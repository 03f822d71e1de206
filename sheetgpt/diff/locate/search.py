"""Numbers looked up among the cells of a tab: every place that some pattern fits, exactly or nearly.

A pattern's anchors are found among the tab's numbers, which are in order once; a place that several of them agree on
is then held against the whole pattern. A blank cell may stand for 0 or for a masked one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sheetgpt.diff.grain import Grain, grain_of
from sheetgpt.diff.locate.pattern import Pattern
from sheetgpt.ops import MASKED, MASKED_BELOW
from sheetgpt.workbook.grid import Area, quoted
from sheetgpt.workbook.reading.open import Tab

MAY_BE_OFF = 0.1  # of a stage's cells, in a place that fits nearly
AT_A_TIME = 1 << 21  # cells: a tab is put in order piece by piece
EXACTLY, NEARLY = "exactly", "nearly"


@dataclass(frozen=True)
class Location:
    """A place that a stage fits."""

    stage: str  #: the stage's name
    area: Area  #: the cells
    transposed: bool  #: are rows and columns exchanged there?
    fit: str  #: "exactly" or "nearly"
    largest: float  #: the largest difference of the cells within the tolerance
    off: int  #: how many cells are beyond the tolerance
    blank: int = 0  #: cells that are blank where 0 or a masked cell may stand
    head: int | None = None  #: whose slice of columns it is; None: it is the whole
    assumed: str = ""  #: the mistake with which what stands there was computed
    rows_off: tuple[int, ...] = ()  #: of the stage, of which most cells don't fit
    #: [rows, columns] what stands there, as the stage has it
    numbers: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)

    @property
    def address(self) -> str:
        """The tab and the range, as Excel writes them."""
        return f"{quoted(self.area.tab)}!{self.area.range()}"


class SearchedTab:
    """A tab's cells, and its numbers in order."""

    def __init__(self, tab: Tab):
        self.name = tab.name
        self.grid = np.where(
            tab.numbers <= MASKED_BELOW, MASKED, tab.numbers
        )  # [rows, columns], NaN where there is none
        self.grain: Grain = grain_of(self.grid)
        self._ordered = list(in_order(self.grid.reshape(-1)))
        self.count = sum(len(values) for values, _ in self._ordered)

    def near(self, values: np.ndarray, slack: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(cells, numbers): which cells, counted row by row, come close to which of the numbers looked for."""
        for ordered, places in self._ordered:
            first = np.searchsorted(ordered, values - slack, "left")
            count = np.maximum(np.searchsorted(ordered, values + slack, "right") - first, 0)
            steps = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            yield places[np.repeat(first, count) + steps], np.repeat(np.arange(len(values)), count)


def in_order(flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # [cells]
    """(numbers in order, the cells that hold them), piece by piece."""
    for start in range(0, flat.size, AT_A_TIME):
        part = flat[start : start + AT_A_TIME]
        filled = np.flatnonzero(~np.isnan(part))
        if filled.size:
            order = filled[np.argsort(part[filled], kind="stable")]
            yield part[order], order + start


def search(cells: SearchedTab, patterns: Sequence[Pattern]) -> list[Location]:
    """Every place of one tab that some pattern fits exactly or nearly."""
    rounded = [pattern.rounded_to(cells.grain) for pattern in patterns]
    found = [
        held_against(cells, rounded[i], row, column, turned) for i, turned, row, column in candidates(cells, rounded)
    ]
    return [place for place in found if place]


def candidates(cells: SearchedTab, patterns: Sequence[Pattern]) -> Iterator[tuple[int, bool, int, int]]:
    """(pattern, transposed?, first row, first column) of places on which at least half of a pattern's anchors agree."""
    owner = np.repeat(np.arange(len(patterns)), [len(p.anchors) for p in patterns])
    if not owner.size or not cells.count:
        return
    rows, columns = np.concatenate([p.anchors for p in patterns]).T
    values = np.concatenate([p.values for p in patterns])
    slack = np.concatenate([p.near(p.values) for p in patterns])
    height, width = cells.grid.shape[0], cells.grid.shape[1] + 1
    codes = []
    for at, numbers in cells.near(values, slack):
        row, column = np.divmod(at, cells.grid.shape[1])
        for turned in (0, 1):
            first_row = row - (columns if turned else rows)[numbers]
            first_column = column - (rows if turned else columns)[numbers]
            inside = (first_row >= 0) & (first_column >= 0)
            codes.append(((owner[numbers] * 2 + turned) * (height * width) + first_row * width + first_column)[inside])
    code, votes = np.unique(np.concatenate(codes), return_counts=True)
    what, place = np.divmod(code, height * width)
    needed = np.array([(len(p.anchors) + 1) // 2 for p in patterns])
    for i in np.flatnonzero(votes >= needed[what // 2]):
        yield int(what[i] // 2), bool(what[i] % 2), int(place[i] // width), int(place[i] % width)


def held_against(cells: SearchedTab, pattern: Pattern, row: int, column: int, turned: bool) -> Location | None:
    """The whole pattern against the cells of one place; None where too many of them differ."""
    expected = pattern.matrix.T if turned else pattern.matrix
    rows, columns = expected.shape
    there = np.full(expected.shape, np.nan)
    held = cells.grid[row : row + rows, column : column + columns]
    there[: held.shape[0], : held.shape[1]] = held
    blank_is_right = np.isnan(there) & ((expected == 0) | (expected == MASKED))
    numbers = np.where(blank_is_right, expected, there)
    difference = np.abs(numbers - expected)
    difference[np.isnan(difference)] = np.inf
    off = ~(difference <= pattern.near(expected))
    if off.sum() > MAY_BE_OFF * off.size or (pattern.size == 0 and not shows_mask(expected, blank_is_right, off)):
        return None
    exact = bool(np.all(difference <= pattern.exact(expected)))
    if pattern.needs_exactly and not exact:
        return None
    return Location(
        pattern.stage,
        Area(cells.name, row, column, rows, columns),
        turned,
        EXACTLY if exact else NEARLY,
        float(difference[~off].max(initial=0)),
        int(off.sum()),
        int(blank_is_right.sum()),
        pattern.head,
        pattern.assumed,
        tuple(np.flatnonzero((off.T if turned else off).mean(axis=1) > 1 / 2).tolist()),
        numbers.T if turned else numbers,
    )


def shows_mask(expected: np.ndarray, blank: np.ndarray, off: np.ndarray) -> bool:
    """A mask holds nothing but its pattern, so all of it must stand there: its zeros, or its masked cells, or both."""
    masked = expected == MASKED
    return not off.any() and not (blank[masked].any() and blank[~masked].any())
