"""A workbook in the making: XlsxWriter's workbook, its formats, and the rectangles that `cells` puts in at the end.

Whoever writes a workbook builds on it. It knows how a tab and a panel's two lines look, but not what a model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from sheetgpt.errors import DumpError
from sheetgpt.files.atomic import replacing
from sheetgpt.workbook import style
from sheetgpt.workbook.cells import Counts, Filling, Rectangle, Table, fill
from sheetgpt.workbook.grid import MAX_TEXT, Area, cell, target
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS, Place

PRINTED_COLUMNS, PRINTED_ROWS = 28, 120  # of a tab: what is beyond is to be looked at, not to be printed
A4 = 9
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
        self._fillings: list[Filling] = []
        self._formats: dict[str, Format] = {}
        self.sheets: dict[str, Worksheet] = {}
        self.headings: dict[str, str] = {}  # of the tabs
        self.watch = ""  # a name whose cell follows every cell that can be changed: `leaf`
        self.title = title

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

    def conditional(self, properties: Mapping[str, Any]) -> Format:
        """A format that changes only what it names, for conditional formats."""
        return self.workbook.add_format(properties)

    def rule(self, rule: Mapping[str, Any], *areas: Area) -> None:
        """Lay a rule for conditional formats, as XlsxWriter has them, over areas of one tab; nothing where none are."""
        if areas:
            first = areas[0]
            ranges = {"multi_range": " ".join(area.range() for area in areas)} if len(areas) > 1 else {}
            self.sheets[first.tab].conditional_format(first.row, first.column, *first.last, {**rule, **ranges})

    def add_tab(
        self,
        name: str,
        heading: str = "",
        columns: int = 0,
        *,
        colour: str = style.PALE,
        label_widths: Sequence[float] = style.LABEL_WIDTHS,
    ) -> Worksheet:
        """A tab; with a heading also its frozen first row, the link to the index, and the labels' columns."""
        sheet = self.workbook.add_worksheet(name)
        self.sheets[name], self.headings[name] = sheet, heading
        sheet.hide_gridlines(2)
        sheet.set_tab_color(style.INK if name == INDEX else colour)
        if heading:
            for column, width in enumerate(label_widths):
                sheet.set_column(column, column, width)
            sheet.set_column(LABEL_COLUMNS, max(LABEL_COLUMNS, columns - 1), style.NUMBER_WIDTH)
            sheet.set_row(0, 24, self.format("tab line"))
            self.link(name, 0, 0, target(INDEX), "← index", "tab link")
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

    def formula(self, tab: str, row: int, column: int, formula: str, value: float | str, fmt: str = "plain") -> None:
        """A formula of one cell (`=...`) with its cached value.

        subtle: it is written as an array formula, like those of `cells.Formulas`. LibreOffice doesn't take the cached
        values of array formulas over and holds these cells for not yet computed. A plain formula that depends on one
        would count as computed, and a change before both would never reach it.
        """
        value = CachedText(value) if isinstance(value, str) else value
        form = self.format(fmt, text=False)
        self.sheets[tab].write_array_formula(row, column, row, column, formula, form, value)

    def leaf(self, tab: str, row: int, column: int, formula: str, value: float | str, fmt: str = "plain") -> None:
        """The same of a cell that no array formula depends on, such as one that shows what others find.

        Where `watch` is set it is a plain formula, whose cached value LibreOffice takes over, so that showing it
        doesn't compute all that it depends on. It asks for the watching cell, and so is computed after any change.
        """
        if not self.watch:
            self.formula(tab, row, column, formula, value, fmt)
            return
        value = CachedText(value) if isinstance(value, str) else value
        form = self.format(fmt, text=False)
        watched = f'=IF({self.watch}=0,{formula.removeprefix("=")},"")'
        self.sheets[tab].write_formula(row, column, watched, form, value)

    def blank(self, area: Area, fmt: str) -> None:
        """Empty cells that look like others of their kind."""
        sheet, form = self.sheets[area.tab], self.format(fmt)
        for row in range(area.row, area.row + area.rows):
            for column in range(area.column, area.column + area.columns):
                sheet.write_blank(row, column, None, form)

    def blank_where(self, area: Area, condition: str) -> None:
        """Leave cells without a fill where a condition holds, written for the area's first cell."""
        rule = {"type": "formula", "criteria": condition, "format": self.conditional({"bg_color": style.BLANK_FILL})}
        self.rule(rule, area)

    def show_spaces(self, area: Area) -> None:
        """A space at the beginning of a text is seen as a dot; what the cells hold stays as it is."""
        first, dot = cell(area.row, area.column), self.conditional({"num_format": '"·"@'})
        self.rule({"type": "formula", "criteria": f'=LEFT({first},1)=" "', "format": dot}, area)

    def link(self, tab: str, row: int, column: int, target: str, text: str, fmt: str, tip: str = "") -> None:
        """A text that leads to a cell of the workbook, as `grid.target` names it."""
        self.sheets[tab].write_url(row, column, f"internal:{target}", self.format(fmt), text, tip or None)

    def put(self, rectangle: Rectangle, fmt: str) -> None:
        """Cells that `save` fills in; until then blank cells mark where its rows begin."""
        area, sheet, form = rectangle.area, self.sheets[rectangle.area.tab], self.format(fmt)
        for row in range(area.row, area.row + area.rows):
            sheet.write_blank(row, area.column, None, form)
        self._fillings.append(rectangle)

    def put_table(self, table: Table, formats: Sequence[str]) -> None:
        """A long table, each column in a format of its own; nothing else may be written into its rows."""
        for column, fmt in enumerate(formats, start=table.area.column):
            self.sheets[table.area.tab].write_blank(table.area.row, column, None, self.format(fmt))
        self._fillings.append(table)

    def define(self, name: str, refers_to: str) -> None:
        """A defined name. `define_name` says by its result what it doesn't accept."""
        if self.workbook.define_name(name, f"={refers_to}") == -1:
            raise DumpError("can't be a name in a workbook", where=repr(name))

    def panel_head(self, place: Place) -> None:
        """The two lines over a panel: name and title, shape and words."""
        panel, row = place.panel, place.title_row
        self.text(panel.tab, row, 0, panel.name, "stage")
        self.stage_title(panel.tab, row, LABEL_COLUMNS, panel.title, panel.why)
        self.text(panel.tab, row + 1, 0, "{} x {}".format(*place.shape), "shape")
        self.text(panel.tab, row + 1, LABEL_COLUMNS, panel.words, "words")

    def stage_title(self, tab: str, row: int, column: int, title: str, why: str = "") -> None:
        """A stage's title, and in the same cell why it is there."""
        if why:
            bold, plain = self.format("stage title"), self.format("plain")
            self.sheets[tab].write_rich_string(row, column, bold, title, plain, f"   {why}", plain)
        else:
            self.text(tab, row, column, title, "stage title")

    def dimension_head(self, area: Area, start: int) -> None:
        """The header row over a matrix whose columns are dimensions."""
        self.put(Counts(Area(area.tab, area.row - 1, area.column, 1, area.columns), start), "head")

    def set_pages(self) -> None:
        """How tabs are printed: as wide as a page, with their names; of large ones the beginning. Digits are texts."""
        for tab, sheet in self.sheets.items():
            areas = [one.area for one in self._fillings if one.area.tab == tab]
            rows = max([sheet.dim_rowmax or 0, *(area.last[0] for area in areas)]) + 1
            columns = max([sheet.dim_colmax or 0, *(area.last[1] for area in areas)]) + 1
            shown = rows, columns
            if tab != INDEX:
                shown = min(rows, PRINTED_ROWS), min(columns, PRINTED_COLUMNS)
                if not sheet.repeat_row_range:  # a tab may have more rows of labels
                    sheet.repeat_rows(0)
            sheet.print_area(0, 0, shown[0] - 1, shown[1] - 1)
            sheet.set_landscape()
            sheet.set_paper(A4)
            sheet.fit_to_pages(1, 0)
            sheet.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
            title = self.title.replace("&", "&&")
            sheet.set_header(f"&L{title}&R&A", {"margin": 0.3})
            cut = beginning(shown, (rows, columns))
            sheet.set_footer(f"{'&L' if cut else ''}{cut}&RPage &P of &N", {"margin": 0.3})
            sheet.ignore_errors({"number_stored_as_text": cells_from_first(rows, columns)})

    def save(self, path: Path) -> None:
        """Write the file under a temporary name and rename it. Raises DumpError where that can't be done."""
        self.set_pages()
        self.workbook.close()
        files = {name: f"xl/worksheets/sheet{number}.xml" for number, name in enumerate(self.sheets, start=1)}
        try:
            with replacing(path) as temporary:
                fill(self._buffer, temporary, self._fillings, files)
        except OSError as error:
            raise DumpError(
                f"can't write {path} ({error.strerror or error})",
                remedy="close it where it is open, or choose another folder",
            ) from None


def beginning(shown: tuple[int, int], there: tuple[int, int]) -> str:
    """What of a tab is printed, where that is not all.

    >>> beginning((400, 28), (592, 258)), beginning((9, 9), (9, 9))
    ('The first 400 of 592 rows, the first 28 of 258 columns', '')
    """
    parts = [
        f"the first {part:,} of {whole:,} {axis}"
        for part, whole, axis in zip(shown, there, ("rows", "columns"), strict=True)
        if part < whole
    ]
    return ", ".join(parts).capitalize()


def cells_from_first(rows: int, columns: int) -> str:
    return Area("", 0, 0, rows, columns).range()


def require_short(text: str, tab: str, row: int, column: int) -> None:
    """Raises DumpError for a text that is longer than a cell."""
    if len(text) > MAX_TEXT:
        raise DumpError(
            f"has {len(text):,} characters ({text[:20]!r}...) and a cell holds {MAX_TEXT:,}",
            where=f"a text for cell {cell(row, column)} of tab {tab}",
            remedy="use --dump-csv",
        )
