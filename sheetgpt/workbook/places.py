"""Where things lie in a workbook: titled rectangles under each other on their tabs, and the names of those places.

What stands in the cells belongs to those who fill them, how it looks in `style`, addresses in `grid`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, target

INDEX = "index"  # the tab to which the others lead back
LABEL_COLUMNS = 2  # of a rectangle's rows, such as position (or id) and token
TAB_ROWS = 2  # the frozen row with the tab's heading and the link to the index, and a blank one
TITLE_ROWS = 2  # a rectangle's name and title, then its shape and words


@dataclass(frozen=True)
class Panel:
    """A titled rectangle that wants a place: its name, what stands over it, its tab, its shape."""

    name: str
    title: str
    words: str
    tab: str
    rows: int
    columns: int
    header_rows: int = 1  # that its column labels take
    first_column: int = LABEL_COLUMNS
    together: int = 1  # this many columns are never torn apart where it is wider than a sheet
    why: str = ""  # a sentence beside its title


@dataclass(frozen=True)
class Place:
    """Where a panel stands. One that is wider than a sheet continues below: its areas belong side by side."""

    panel: Panel
    title_row: int
    areas: tuple[Area, ...]

    @property
    def tab(self) -> str:
        return self.panel.tab

    @property
    def target(self) -> str:
        """Where a link to it leads: its name and title."""
        return target(self.tab, self.title_row)

    @property
    def area(self) -> Area:
        """Its only area. Raises DumpError where it is wider than a sheet, which formulas can't follow."""
        if len(self.areas) > 1:
            raise DumpError(
                f"is wider than a sheet ({MAX_COLUMNS:,} columns)",
                where=self.panel.name,
                remedy="use fewer tokens or shorter words",
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


def lay_out(panels: Iterable[Panel]) -> dict[str, Place]:
    """The place of each panel, by name: under each other on the tab they belong to, in order.

    Raises DumpError where a tab would have more rows than a sheet can.
    """
    places: dict[str, Place] = {}
    next_row: dict[str, int] = {}
    for panel in panels:
        title_row = next_row.get(panel.tab, TAB_ROWS)
        row, areas = title_row + TITLE_ROWS, []
        for columns in _bands(panel.columns, MAX_COLUMNS - panel.first_column, panel.together):
            areas.append(Area(panel.tab, row + panel.header_rows, panel.first_column, panel.rows, columns))
            row = areas[-1].row + panel.rows + 1
        if row > MAX_ROWS:
            raise DumpError(
                f"ends at row {row:,} of tab {panel.tab} and a sheet has {MAX_ROWS:,}",
                where=panel.name,
                remedy="use --dump-csv",
            )
        next_row[panel.tab] = row
        places[panel.name] = Place(panel, title_row, tuple(areas))
    return places


def _bands(columns: int, limit: int, together: int) -> list[int]:
    """The widths of the bands that `columns` are cut into, so that none is wider than `limit`.

    >>> _bands(10, 16, 5), _bands(25, 16, 5), _bands(40, 16, 20)
    ([10], [15, 10], [16, 16, 8])
    """
    whole = limit // together * together or limit
    return [min(whole, columns - start) for start in range(0, columns, whole)] or [0]


def tabs(places: Mapping[str, Place]) -> dict[str, list[Place]]:
    """The places of each tab, in order."""
    found: dict[str, list[Place]] = {}
    for place in places.values():
        found.setdefault(place.tab, []).append(place)
    return found
