"""A report as a workbook: an index with its facts and conventions, and a tab for each table, coloured by its look.

What the numbers mean belongs in the lenses, how a tab looks in `sheetgpt.workbook`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.lens.tables import Look, Report, Table, fact_text, is_number
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import MAX_TEXT, Area
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS, TAB_ROWS

FORMATS = {
    Look.PLAIN: "number",
    Look.DIVERGING: "gradient",
    Look.SHARES: "probability",
    Look.RANKS: "rank",
    Look.COUNTS: "rank",
    Look.TOKENS: "text",
    Look.TEXTS: "text",
}
RANK_SCALE = {  # the best is dark, from the hundredth on all is white
    "type": "3_color_scale",
    "min_type": "num",
    "mid_type": "num",
    "max_type": "num",
    "min_value": 1,
    "mid_value": 10,
    "max_value": 100,
    "min_color": style.SHARE,
    "mid_color": "#DCEDED",
    "max_color": "#FFFFFF",
}
WIDEST, LINE_LENGTH, LINE_HEIGHT = 40, 100, 14
KEY_WIDTH, TEXT_WIDTH = 26, 90
PAPER = 9  # A4


def write_workbook(report: Report, path: str | Path) -> Path:
    """Write the report. Returns its path. Raises DumpError where it can't be written."""
    path, book = Path(path), Book(f"sheetgpt: {report.title}")
    write_index(book, report)
    for table in report.tables:
        write_table(book, table)
    book.save(path)
    return path


def write_index(book: Book, report: Report) -> None:
    """The facts, the tables with a link to each, the conventions."""
    sheet = book.add_tab(INDEX)
    sheet.set_column(0, 0, KEY_WIDTH)
    sheet.set_column(1, 1, TEXT_WIDTH)
    sheet.set_row(0, 30)
    book.text(INDEX, 0, 0, report.title, "title")
    row = 2
    for name, value in report.facts.items():
        book.text(INDEX, row, 0, name, "key")
        write_value(book, INDEX, row, 1, value)
        row += 1
    for table in report.tables:
        row += 1
        sheet.write_url(row, 0, f"internal:'{table.name}'!A1", book.format("link"), table.name)
        book.text(INDEX, row, 1, table.title, "text")
    write_notes(book, INDEX, row + 2, 0, report.notes)


def write_value(book: Book, tab: str, row: int, column: int, value: Any) -> None:
    if is_number(value):
        book.number(tab, row, column, value, "exact")
    else:
        text = value if isinstance(value, str) else fact_text(value)
        book.text(tab, row, column, text[:MAX_TEXT], "text")


def write_notes(book: Book, tab: str, row: int, column: int, notes: tuple[str, ...]) -> None:
    for number, note in enumerate(notes, start=row):
        book.text(tab, number, column, note, "words")


def write_table(book: Book, table: Table) -> None:
    """Its heading, its labels, its cells; the notes below it."""
    labels, head = len(table.row_names), TAB_ROWS
    widths = label_widths(table)
    sheet = book.add_tab(table.name, table.title, columns=0, label_widths=widths)
    first = max(labels, LABEL_COLUMNS)  # the heading stands behind two columns of labels
    for column, width in enumerate(column_widths(table), start=first):
        sheet.set_column(column, column, width)
    for column, name in enumerate(table.row_names, start=first - labels):
        book.text(table.name, head, column, name, "head name")
    for column, label in enumerate(table.column_labels(), start=first):
        book.text(table.name, head, column, label, "head token")
    for row, (levels, cells) in enumerate(zip(table.row_labels(), table.cells(), strict=True), start=head + 1):
        write_label(book, table.name, row, first - labels, levels)
        for column, cell in enumerate(cells):
            write_cell(book, table.name, row, first + column, cell, table.look_of(column))
    last_row, last = head + len(table.frame), first + table.frame.shape[1] - 1
    colour(book, table, head + 1, last_row, first)
    write_notes(book, table.name, last_row + 2, first, table.notes)
    sheet.freeze_panes(head + 1, first)
    sheet.set_paper(PAPER)
    sheet.repeat_rows(0, head)
    sheet.repeat_columns(0, first - 1)
    sheet.fit_to_pages(1, 0)
    sheet.print_area(0, 0, last_row + 2 + len(table.notes), max(last, first))


def write_label(book: Book, tab: str, row: int, column: int, label: tuple[Any, ...]) -> None:
    for place, one in enumerate(label, start=column):
        if is_number(one):
            book.number(tab, row, place, one, "position")
        else:
            book.text(tab, row, place, str(one), "token")


def write_cell(book: Book, tab: str, row: int, column: int, cell: Any, look: Look) -> None:
    if cell is None:
        return
    if isinstance(cell, float):  # exactly: XlsxWriter would cut it after 16 digits
        book.put(Numbers(Area(tab, row, column, 1, 1), np.array([[cell]])), FORMATS[look])
    elif is_number(cell):
        book.number(tab, row, column, cell, FORMATS[look])
    else:
        book.text(tab, row, column, str(cell), "text")


def colour(book: Book, table: Table, first_row: int, last_row: int, first: int) -> None:
    """The colours of the numbers: one scale for all columns that look alike."""
    if last_row < first_row:
        return
    for column in range(table.frame.shape[1]):
        own = str(table.frame.columns[column]) in table.looks
        scale = scale_of(table.look_of(column), table.largest(column if own else None))
        if scale:
            book.sheets[table.name].conditional_format(first_row, first + column, last_row, first + column, scale)


def scale_of(look: Look, largest: float) -> dict[str, Any] | None:
    if look is Look.DIVERGING:
        return style.gradient_scale(largest or 1.0)
    return {Look.SHARES: style.SHARE_SCALE, Look.RANKS: RANK_SCALE}.get(look)


def label_widths(table: Table) -> list[float]:
    """Of the columns of row labels, at least as many as a heading needs."""
    levels = list(zip(table.row_names, *table.row_labels(), strict=True))
    widths = [fitting(level) for level in levels]
    return [style.POSITION_WIDTH] * (LABEL_COLUMNS - len(widths)) + widths


def column_widths(table: Table) -> list[float]:
    columns = zip(table.column_labels(), table.columns, strict=True)
    return [fitting([label, *(one if isinstance(one, str) else "0" * 8 for one in cells)]) for label, cells in columns]


def fitting(texts: Any) -> float:
    return min(WIDEST, max(style.NUMBER_WIDTH, *(len(str(text)) + 2 for text in texts)))
