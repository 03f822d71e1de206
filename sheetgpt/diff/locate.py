"""Finding each stage of a run in a foreign workbook by its numbers alone: any tab, any offset, transposed or not.

A stage is looked for by a few of its numbers, far from zero and so rare: every cell of a tab is held against all of
them at once, and a place that several of them agree on is then held against the whole matrix. A blank cell may stand
for 0 or for a masked one. Reading tabs, and what a map looks like, belongs in `workbook.reading`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sheetgpt.diff.grain import Grain, Kind, grain_of
from sheetgpt.diff.sides import Side
from sheetgpt.diff.sides.inferred import sizes_of
from sheetgpt.errors import DumpError
from sheetgpt.models import heads
from sheetgpt.models.sizes import Sizes
from sheetgpt.ops import MASKED, MASKED_BELOW, masked_cells
from sheetgpt.workbook.grid import Area, cell, quoted
from sheetgpt.workbook.reading.maps import COLUMNS
from sheetgpt.workbook.reading.open import Tab, Workbook

ANCHORS = 8  # numbers by which a stage is looked for
EXACT = 1e-11  # relative to cell and stage: what doubles summed in another order, or saved in 15 digits, differ by
NEAR = 1e-3  # relative to the cell, and a tenth of it to the stage's root mean square
MAY_BE_OFF = 0.1  # of a stage's cells, in a place that fits nearly
ROWS_AT_A_TIME = 1 << 21  # cells, in fact: a tab is held against the numbers piece by piece
EXACTLY, NEARLY, NOT_AT_ALL = "exactly", "nearly", "not at all"


@dataclass(frozen=True)
class Pattern:
    """A stage in one of the layouts in which it may stand, and the numbers it is looked for by."""

    stage: str
    matrix: np.ndarray  # masked cells hold MASKED
    anchors: np.ndarray = field(repr=False)  # [count, 2] rows and columns
    size: float = 0.0  # root mean square
    half_unit: float = 0.0  # of the decimals to which the tab's numbers are rounded

    @classmethod
    def of(cls, stage: str, matrix: np.ndarray) -> Pattern:
        masked = masked_cells(matrix)
        shown = np.where(masked, MASKED, matrix)
        root_mean_square = float(np.sqrt(np.mean(np.square(matrix[~masked])))) if not masked.all() else 0.0
        return cls(stage, shown, rare_cells(shown), root_mean_square)

    def near(self, numbers: np.ndarray) -> np.ndarray:
        allowed: np.ndarray = NEAR * (np.abs(numbers) + self.size / 10) + self.half_unit
        return allowed

    def rounded_to(self, grain: Grain) -> Pattern:
        """As it is looked for among numbers that are rounded so; too coarse ones would fit anything."""
        half_unit = 0.5 * 10.0**-grain.count if grain.kind is Kind.DECIMALS else 0.0
        return replace(self, half_unit=half_unit) if half_unit < self.size / 4 else self

    def exact(self, numbers: np.ndarray) -> np.ndarray:
        allowed: np.ndarray = EXACT * (np.abs(numbers) + self.size)
        return allowed


@dataclass(frozen=True)
class Location:
    """Where a stage was found. `off` counts cells beyond the tolerance; `largest` is the difference of the others."""

    stage: str
    area: Area
    transposed: bool
    fit: str
    largest: float
    off: int
    blank: int = 0  # cells that are blank where 0 or a masked cell may stand
    note: str = ""

    @property
    def address(self) -> str:
        return f"{quoted(self.area.tab)}!{self.area.range()}"


def rare_cells(matrix: np.ndarray) -> np.ndarray:  # [rows, columns] -> [up to ANCHORS, 2]
    """Cells to look for: far from zero and no whole numbers where there are such; else what is not zero."""
    flat = matrix.ravel()
    good = np.flatnonzero((flat != np.round(flat)) & (flat > MASKED_BELOW))
    if not good.size:
        good = np.flatnonzero(flat)
    far = good[np.argsort(-np.abs(flat[good]), kind="stable")][: 8 * ANCHORS]
    chosen = far[:: max(1, len(far) // ANCHORS)][:ANCHORS]
    return np.stack(np.unravel_index(chosen, matrix.shape), axis=1).astype(np.int64).reshape(-1, 2)


def layouts(sizes: Sizes, name: str, matrix: np.ndarray) -> list[np.ndarray]:
    """A stage as it may stand in a sheet, ours first."""
    step = sizes.step(name)
    if step is None or not step.by_head:
        return [matrix]
    return heads.writings(matrix, sizes.config.n_head, sizes.config.head_size)


# ------------------------------------------------------------------------------------------------ one tab


def search_tab(tab: Tab, patterns: Sequence[Pattern]) -> list[Location]:
    """Every place of one tab that some stage fits exactly or nearly."""
    if not tab.numbers.size or not patterns:
        return []
    grid = np.where(tab.numbers <= MASKED_BELOW, MASKED, tab.numbers)
    grain = grain_of(grid)
    patterns = [pattern.rounded_to(grain) for pattern in patterns]
    found = [
        held_against(tab.name, grid, patterns[i], row, column, turned)
        for i, turned, row, column in candidates(grid, patterns)
    ]
    return [place for place in found if place]


def candidates(grid: np.ndarray, patterns: Sequence[Pattern]) -> Iterator[tuple[int, bool, int, int]]:
    """(pattern, transposed?, first row, first column) of places on which at least half of a pattern's anchors agree."""
    owner = np.repeat(np.arange(len(patterns)), [len(p.anchors) for p in patterns])
    if not owner.size:
        return
    rows, columns = np.concatenate([p.anchors for p in patterns]).T
    values = np.concatenate([p.matrix[p.anchors[:, 0], p.anchors[:, 1]] for p in patterns])
    slack = np.concatenate([p.near(p.matrix[p.anchors[:, 0], p.anchors[:, 1]]) for p in patterns])
    width = grid.shape[1] + 1
    codes = []
    for cells, numbers in hits(grid, values, slack):
        row, column = np.divmod(cells, grid.shape[1])
        for turned in (0, 1):
            first_row = row - (columns if turned else rows)[numbers]
            first_column = column - (rows if turned else columns)[numbers]
            inside = (first_row >= 0) & (first_column >= 0)
            place = first_row * width + first_column
            codes.append(((owner[numbers] * 2 + turned) * (grid.shape[0] * width) + place)[inside])
    if not codes:
        return
    code, votes = np.unique(np.concatenate(codes), return_counts=True)
    what, place = np.divmod(code, grid.shape[0] * width)
    needed = np.array([(len(p.anchors) + 1) // 2 for p in patterns])
    for i in np.flatnonzero(votes >= needed[what // 2]):
        yield int(what[i] // 2), bool(what[i] % 2), int(place[i] // width), int(place[i] % width)


def hits(grid: np.ndarray, values: np.ndarray, slack: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(cells, numbers): which cells, counted row by row, come close to which of the numbers looked for."""
    order = np.argsort(values, kind="stable")
    low = np.maximum.accumulate((values - slack)[order])
    high = np.maximum.accumulate((values + slack)[order])
    flat = grid.reshape(-1)
    for start in range(0, flat.size, ROWS_AT_A_TIME):
        part = flat[start : start + ROWS_AT_A_TIME]
        filled = np.flatnonzero(~np.isnan(part))
        first = np.searchsorted(high, part[filled], "left")
        count = np.maximum(np.searchsorted(low, part[filled], "right") - first, 0)
        close = np.flatnonzero(count)
        if close.size:
            times = count[close]
            steps = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
            yield np.repeat(filled[close], times) + start, order[np.repeat(first[close], times) + steps]


def held_against(tab: str, grid: np.ndarray, pattern: Pattern, row: int, column: int, turned: bool) -> Location | None:
    """The whole stage against the cells of one place; None where too many of them differ."""
    expected = pattern.matrix.T if turned else pattern.matrix
    rows, columns = expected.shape
    cells = np.full(expected.shape, np.nan)
    there = grid[row : row + rows, column : column + columns]
    cells[: there.shape[0], : there.shape[1]] = there
    blank_is_right = np.isnan(cells) & ((expected == 0) | (expected == MASKED))
    difference = np.abs(np.where(blank_is_right, expected, cells) - expected)
    difference[np.isnan(difference)] = np.inf
    off = ~(difference <= pattern.near(expected))
    if off.sum() > MAY_BE_OFF * off.size or (pattern.size == 0 and not shows_mask(expected, blank_is_right, off)):
        return None
    exact = bool(np.all(difference <= pattern.exact(expected)))
    largest = float(difference[~off].max(initial=0))
    area = Area(tab, row, column, rows, columns)
    return Location(
        pattern.stage, area, turned, EXACTLY if exact else NEARLY, largest, int(off.sum()), int(blank_is_right.sum())
    )


def shows_mask(expected: np.ndarray, blank: np.ndarray, off: np.ndarray) -> bool:
    """A mask holds nothing but its pattern, so all of it must stand there: its zeros, or its masked cells, or both."""
    masked = expected == MASKED
    return not off.any() and not (blank[masked].any() and blank[~masked].any())


# ------------------------------------------------------------------------------------------------ the whole workbook


def locate(
    run: Side,
    book: Workbook,
    *,
    tabs: Sequence[str] = (),
    first: bool = False,
    progress: Callable[[str], object] | None = None,
) -> dict[str, Location | None]:
    """Where each matrix stage of the run stands in the workbook; None where it doesn't.

    tabs: look only in these. first: of places that fit equally take the first instead of refusing.
    Raises DumpError where places fit equally, or where nothing is found at all.
    """
    sizes = sizes_of([run])
    run.check(sizes)
    matrices = matrices_of(run, sizes)
    patterns = [Pattern.of(name, shown) for name, matrix in matrices.items() for shown in layouts(sizes, name, matrix)]
    found: dict[str, list[Location]] = {name: [] for name in matrices}
    for tab in tabs or book.tabs:
        if progress:
            progress(tab)
        for place in search_tab(book.tab(tab), patterns):
            found[place.stage].append(place)
    if not any(found.values()):
        remedy = "give a run of the prompt that the workbook shows"
        raise DumpError(f"holds no stage of {run.label}", where=book.path, remedy=remedy)
    return settled(found, matrices, book.tabs, first=first)


def matrices_of(run: Side, sizes: Sizes) -> dict[str, np.ndarray]:
    """The run's matrix stages in our layout, in causal order."""
    matrices = {}
    for step in sizes.steps:
        if not step.is_text and run.has(step.name):
            matrix = sizes.fitted(step.name, run.read(step.name).numbers)
            if matrix is None:
                raise DumpError(f"{step.name} has a shape that doesn't fit the other stages", where=f"{run.label}:")
            matrices[step.name] = matrix
    return matrices


def settled(
    found: dict[str, list[Location]], matrices: dict[str, np.ndarray], tabs: Sequence[str], *, first: bool
) -> dict[str, Location | None]:
    """One place a stage. Stages that hold the same numbers share their places, in the order of the workbook."""
    best = {name: best_fitting(places) for name, places in outermost(found).items()}
    chosen: dict[str, Location | None] = {}
    for group in twins(matrices):
        places = sorted(best[group[0]], key=lambda p: (tabs.index(p.area.tab), p.area.row, p.area.column))
        if len(places) in (0, 1):
            chosen |= {name: renamed(places[0], name) if places else None for name in group}
        elif len(places) == len(group) or first:
            note = f"{len(places)} equal places, in the workbook's order"
            chosen |= {
                name: renamed(places[min(number, len(places) - 1)], name, note) for number, name in enumerate(group)
            }
        else:
            where = " and ".join(place.address for place in places[:3])
            raise DumpError(
                f"{' and '.join(group)} fit{'s' if len(group) == 1 else ''} equally well at {where}",
                remedy="name the tabs to look in with --tab, or take the first with --first",
            )
    return {name: chosen[name] for name in matrices}


def renamed(place: Location, stage: str, note: str = "") -> Location:
    return replace(place, stage=stage, note=note)


def twins(matrices: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Stages in groups that hold the same numbers, such as a block's output and the next one's input."""
    groups: dict[object, list[str]] = {}
    for name, matrix in matrices.items():
        groups.setdefault((matrix.shape, matrix.tobytes()), []).append(name)
    return list(groups.values())


def outermost(found: dict[str, list[Location]]) -> dict[str, list[Location]]:
    """Places inside a larger stage's place (the queries in step 4) count only where a stage has no others."""
    everywhere = [place for places in found.values() for place in places]

    def inside_another(place: Location) -> bool:
        return any(contains(other.area, place.area) for other in everywhere if other.stage != place.stage)

    result = {}
    for name, places in found.items():
        free = [place for place in places if not inside_another(place)]
        result[name] = free or places
    return result


def contains(outer: Area, inner: Area) -> bool:
    larger = outer.rows * outer.columns > inner.rows * inner.columns
    return (
        larger
        and outer.tab == inner.tab
        and outer.row <= inner.row
        and outer.column <= inner.column
        and inner.row + inner.rows <= outer.row + outer.rows
        and inner.column + inner.columns <= outer.column + outer.columns
    )


def best_fitting(places: Sequence[Location]) -> list[Location]:
    """The best place, and those that fit as well: exact before near, few blank cells before many, then the nearest."""
    if not places:
        return []
    exact = [place for place in places if place.fit == EXACTLY] or places
    fewest = min((place.off, place.blank) for place in exact)
    close = [place for place in exact if (place.off, place.blank) == fewest]
    nearest = min(place.largest for place in close)
    return [place for place in close if place.fit == EXACTLY or place.largest <= 2 * nearest]


def map_rows(found: Mapping[str, Location | None]) -> list[list[object]]:
    """The map's rows with its header; what was not found is left out."""
    header: list[object] = [*COLUMNS, "fit", "largest_difference", "cells_off"]
    return [header] + [
        [name, p.area.tab, range_of(p.area), "yes" if p.transposed else "no", p.fit, p.largest, p.off]
        for name, p in found.items()
        if p
    ]


def range_of(area: Area) -> str:
    first, last = cell(area.row, area.column), cell(area.row + area.rows - 1, area.column + area.columns - 1)
    return f"{first}:{last}"
