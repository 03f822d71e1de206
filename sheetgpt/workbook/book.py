"""A workbook in the making: XlsxWriter's workbook, its formats, and the rectangles that `cells` puts in at the end.

Both writers build on it. It knows how a tab, a stage's head and an index row look, but not what a model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from sheetgpt.errors import DumpError
from sheetgpt.files.atomic import replacing
from sheetgpt.workbook import style
from sheetgpt.workbook.cells import Counts, Rectangle, Table, fill
from sheetgpt.workbook.layout import INDEX, LABEL_COLUMNS, MAX_TEXT, Area, Place, cell

CREATED = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # fixed, so that the same run gives the same bytes
OPTIONS = {
    "in_memory": True,
    "nan_inf_to_errors": True,  # of single cells; matrices show NaN and the infinities as texts
    "strings_to_numbers": False,
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


class CachedText(str):
    """A formula's text. subtle: XlsxWriter asks `float` whether a cached value is a number; `1` and `nan` would be."""

    __slots__ = ()

    def __float__(self) -> float:
        raise ValueError(self)


class Book:
    """A workbook that is complete when `save` has run. Tabs stand in the order in which they are added."""

    def __init__(self, title: str):
        self._buffer = BytesIO()
        self.workbook = Workbook(self._buffer, OPTIONS)
        self.workbook.set_properties({"title": title, "author": "sheetgpt", "created": CREATED})
        self._rectangles: list[Rectangle] = []
        self._formats: dict[str, Format] = {}
        self.sheets: dict[str, Worksheet] = {}

    def format(self, name: str, *, text: bool = True) -> Format:
        """One of `style.FORMATS`, made when it is first asked for.

        text: cells that are formatted as texts may be; a formula that is edited in such a cell would become one.
        """
        properties = {**style.BASE, **style.FORMATS[name]}
        if not text and properties.get("num_format") == "@":
            del properties["num_format"]
            name += ", general"
        if name not in self._formats:
            self._formats[name] = self.workbook.add_format(properties)
        return self._formats[name]

    def conditional(self, properties: dict) -> Format:
        """A format that changes only what it names, for conditional formats."""
        return self.workbook.add_format(properties)

    def add_tab(self, name: str, heading: str = "", columns: int = 0) -> Worksheet:
        """A tab; with a heading also its frozen first row, the link to the index, and the labels' columns."""
        sheet = self.workbook.add_worksheet(name)
        self.sheets[name] = sheet
        sheet.hide_gridlines(2)
        kind = "block" if name.startswith("block_") else "index" if name == INDEX else "other"
        sheet.set_tab_color(style.TAB_COLOURS[kind])
        sheet.set_landscape()
        if kind == "index":
            sheet.fit_to_pages(1, 0)
        if heading:
            for column, width in enumerate(style.FIRST_WIDTHS.get(name, style.LABEL_WIDTHS)):
                sheet.set_column(column, column, width)
            sheet.set_column(LABEL_COLUMNS, max(LABEL_COLUMNS, columns - 1), style.NUMBER_WIDTH)
            sheet.set_row(0, 24, self.format("tab line"))
            sheet.write_url(0, 0, f"internal:'{INDEX}'!A1", self.format("tab link"), "← index")
            sheet.write_string(0, LABEL_COLUMNS, heading, self.format("tab title"))
            sheet.freeze_panes(1, LABEL_COLUMNS)
        return sheet

    def text(self, tab: str, row: int, column: int, text: str, fmt: str = "plain") -> None:
        """A text, as it is. Raises DumpError where a cell can't hold it."""
        printable = text.encode("utf-8", "backslashreplace").decode()  # halves of characters can't be stored
        require_short(printable, tab, row, column)
        self.sheets[tab].write_string(row, column, printable, self.format(fmt))

    def number(self, tab: str, row: int, column: int, number: float, fmt: str = "plain") -> None:
        self.sheets[tab].write_number(row, column, number, self.format(fmt))

    def formula(self, tab: str, row: int, column: int, formula: str, value, fmt: str = "plain") -> None:
        """A formula of one cell (`=...`) with its cached value.

        subtle: it is written as an array formula, like those of `cells.Formulas`. LibreOffice doesn't take the cached
        values of array formulas over and holds these cells for not yet computed. A plain formula that depends on one
        would count as computed, and a change before both would never reach it.
        """
        value = CachedText(value) if isinstance(value, str) else value
        form = self.format(fmt, text=False)
        self.sheets[tab].write_array_formula(row, column, row, column, formula, form, value)

    def put(self, rectangle: Rectangle, fmt: str) -> None:
        """Cells that `save` fills in; until then blank cells mark where its rows begin."""
        area, sheet, form = rectangle.area, self.sheets[rectangle.area.tab], self.format(fmt)
        for row in range(area.row, area.row + area.rows):
            sheet.write_blank(row, area.column, None, form)
        self._rectangles.append(rectangle)

    def put_table(self, table: Table, formats: Sequence[str]) -> None:
        """A long table, each column in a format of its own; nothing else may be written into its rows."""
        for column, fmt in enumerate(formats, start=table.area.column):
            self.sheets[table.area.tab].write_blank(table.area.row, column, None, self.format(fmt))
        self._rectangles.append(table)

    def define(self, name: str, refers_to: str) -> None:
        """A defined name. `define_name` says by its result what it doesn't accept."""
        if self.workbook.define_name(name, f"={refers_to}") == -1:
            raise DumpError(f"{name!r} can't be a name in a workbook")

    def stage_head(self, place: Place) -> None:
        """The two lines over a stage: name and title, shape and formula in words."""
        step, tab, row = place.step, place.tab, place.title_row
        self.text(tab, row, 0, step.name, "stage")
        self.text(tab, row, LABEL_COLUMNS, f"{numbered(step)}{step.title}", "stage title")
        self.text(tab, row + 1, 0, "{} x {}".format(*place.shape), "shape")
        self.text(tab, row + 1, LABEL_COLUMNS, step.words, "words")

    def dimension_head(self, area: Area, start: int) -> None:
        """The header row over a matrix whose columns are dimensions."""
        self.put(Counts(Area(area.tab, area.row - 1, area.column, 1, area.columns), start), "head")

    def save(self, path: Path) -> None:
        """Write the file under a temporary name and rename it. Raises DumpError where that can't be done."""
        self.workbook.close()
        files = {name: f"xl/worksheets/sheet{number}.xml" for number, name in enumerate(self.sheets, start=1)}
        try:
            with replacing(path) as temporary:
                fill(self._buffer, temporary, self._rectangles, files)
        except OSError as error:
            raise DumpError(
                f"can't write {path} ({error.strerror or error}): close it where it is open, or choose another folder"
            ) from None


def require_short(text: str, tab: str, row: int, column: int) -> None:
    """Raises DumpError for a text that is longer than a cell."""
    if len(text) > MAX_TEXT:
        raise DumpError(
            f"a text for cell {cell(row, column)} of tab {tab} has {len(text):,} characters "
            f"({text[:20]!r}...) and a cell holds {MAX_TEXT:,}: use --dump-csv"
        )


def numbered(step) -> str:
    """The step's number before its title, for steps that have one.

    >>> from sheetgpt.config import Config
    >>> from sheetgpt.steps import gpt2
    >>> [numbered(step) for step in gpt2(Config(1, 1, 2, 4, 3))[5:9]]
    ['', 'step 1 · ', 'step 2 · ', 'step 3 · ']
    """
    _, mark, number = step.name.partition("_step_")
    return f"step {number.partition('_')[0]} · " if mark else ""
