"""A comparison as a workbook: a summary with links, and a tab for each stage that differs, its cells side by side.

Left, right and difference stand under each other (beside each other where a stage is tall), and cells out of
tolerance are coloured in all three. What differs is found in `compare`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.matrices import compare
from sheetgpt.diff.result import DIFFERENT, NOT_COMPARED, Report, StageDiff
from sheetgpt.diff.sides import Side
from sheetgpt.diff.texts import at, extent, is_blank, same_text
from sheetgpt.ops import masked_cells
from sheetgpt.sheets.shared import tab_colour
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, MAX_TEXT, Area, boxes, cell, with_r1c1
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS

__all__ = ["write_report"]

OUT = {"bg_color": "#F8C9C0", "font_color": "#9B1C1C", "bold": True}
READABLE, SMALL = {"num_format": "0.000000"}, {"num_format": "0.0E+00"}
ROW_LABEL_WIDTH = 26
TALL = 300  # rows from which the three matrices stand beside each other
SUMMARY = (
    "stage",
    "title",
    "shape",
    "verdict",
    "largest",
    "relative",
    "rms",
    "cosine",
    "cells out",
    "of",
    "worst cell",
    "own error",
    "cause",
)
WIDTHS = (25, 32, 14, 12, 11, 11, 11, 14, 11, 11, 60, 11, 90)
OWN_ERROR = {True: "yes", False: "no", None: ""}


def write_report(report: Report, left: Side, right: Side, path: Path, headline: str = "") -> Path:
    """Write the report. Returns its path. Raises DumpError where it can't be written."""
    book = Book(f"{report.left} against {report.right}")
    book.add_tab(INDEX)
    comparison = Comparison.of(left, right, atol=report.tolerance.atol, rtol=report.tolerance.rtol)
    shown = [stage for stage in report.stages if stage.verdict == DIFFERENT]
    for stage in shown:
        if comparison.sizes.is_text(stage.stage):
            write_texts(book, comparison, stage)
        else:
            write_stage(book, comparison, stage)
    write_summary(book, report, headline)
    book.save(path)
    return path


def write_summary(book: Book, report: Report, headline: str) -> None:
    """One line a stage, and the link to its tab."""
    sheet = book.sheets[INDEX]
    sheet.set_column(0, 0, 3)
    for column, width in enumerate(WIDTHS, start=1):
        sheet.set_column(column, column, width)
    book.text(INDEX, 0, 1, "Two runs, stage by stage", "title")
    sheet.set_row(0, 30)
    book.text(INDEX, 1, 1, headline, "strong")
    tolerance = f"|left - right| <= {report.tolerance.atol:g} + {report.tolerance.rtol:g} |right|"
    about = [("left", report.left), ("right", report.right), ("equal", tolerance)]
    if report.taken:
        about += [("names", " ".join(taken.sentence for taken in report.taken))]
    for row, (key, text) in enumerate(about, start=3):
        book.text(INDEX, row, 1, key, "key")
        book.text(INDEX, row, 2, text, "text")
    for column, title in enumerate(SUMMARY, start=1):
        book.text(INDEX, 7, column, title, "table head")
    sheet.freeze_panes(8, 2)
    for row, stage in enumerate(report.stages, start=8):
        write_summary_line(book, row, stage)
    rule = {"type": "cell", "criteria": "==", "value": f'"{DIFFERENT}"', "format": book.conditional(OUT)}
    book.rule(rule, Area(INDEX, 8, 4, len(report.stages) + 1, 1))
    small = {"type": "no_errors", "format": book.conditional(SMALL)}
    book.rule(small, Area(INDEX, 8, 5, len(report.stages) + 1, 3))


def write_summary_line(book: Book, row: int, stage: StageDiff) -> None:
    sheet = book.sheets[INDEX]
    if stage.verdict == DIFFERENT:
        sheet.write_url(row, 1, f"internal:'{stage.stage}'!A1", book.format("link"), stage.stage)
    else:
        book.text(INDEX, row, 1, stage.stage)
    shape = "{} x {}".format(*stage.shape) if stage.shape else ""
    for column, text in enumerate((stage.title, shape, stage.verdict), start=2):
        book.text(INDEX, row, column, text)
    figures = (stage.largest_difference, stage.largest_relative, stage.rms, stage.cosine)
    for column, number in enumerate(figures, start=5):
        if number is not None and np.isfinite(number):
            book.number(INDEX, row, column, number)
        elif number is not None:
            book.text(INDEX, row, column, str(number))
    if stage.verdict != NOT_COMPARED:
        book.number(INDEX, row, 9, stage.cells_out)
        book.number(INDEX, row, 10, stage.cells)
    worst = stage.worst
    where = (
        f"{with_r1c1(worst.left_place)} | {with_r1c1(worst.right_place)}: {worst.row}, {worst.column}"
        if worst
        else stage.note
    )
    for column, text in enumerate((where, OWN_ERROR[stage.own_error], stage.cause), start=11):
        book.text(INDEX, row, column, text)


# ------------------------------------------------------------------------------------------------ a stage's tab


def write_stage(book: Book, comparison: Comparison, stage: StageDiff) -> None:
    """Left, right, difference, each with labels; what no sheet can hold is cut, and said."""
    name, of_tab = stage.stage, tab_colour(comparison.sizes.step(stage.stage))
    _, (left, right) = comparison.paired(name)
    if left is None or right is None:
        book.add_tab(name, f"{stage.title}: {stage.note}", colour=of_tab)
        return
    masked = comparison.sizes.is_masked(name)
    _, out = compare(left, right, comparison.tolerance, masked=masked)
    rows, columns = left.shape
    tall = rows > TALL
    fits = min(rows, MAX_ROWS - 8), min(columns, (MAX_COLUMNS - LABEL_COLUMNS - 4) // (3 if tall else 1))
    cut = "" if fits == (rows, columns) else f" (cut to {fits[0]} x {fits[1]})"
    sheet = book.add_tab(name, f"{stage.title}, {rows} x {columns}{cut}", colour=of_tab)
    width = max(len(comparison.sizes.column_label(name, column)) for column in (0, columns - 1))
    sheet.set_column(LABEL_COLUMNS, LABEL_COLUMNS + (fits[1] + 1) * (3 if tall else 1), max(11, width + 2))
    sheet.set_column(1, 1, ROW_LABEL_WIDTH)
    blocks = (("left", left), ("right", right), ("difference", differences(left, right, masked=masked)))
    top, start = 4, LABEL_COLUMNS
    areas: list[Area] = []
    for title, matrix in blocks:
        area = Area(name, top, start, *fits)
        label = {"left": comparison.left.label, "right": comparison.right.label}.get(title, "left - right")
        book.text(name, top - 2, start if tall else 0, title, "stage")
        book.text(name, top - 2, start + 1 if tall else LABEL_COLUMNS, label[:MAX_TEXT], "words")
        write_labels(book, comparison, area, rows_too=not tall or not areas)
        book.put(Numbers(area, matrix[: fits[0], : fits[1]]), "number")
        areas.append(area)
        top, start = (top, start + fits[1] + 1) if tall else (top + fits[0] + 4, start)
    colour(book, areas, out[: fits[0], : fits[1]])


def write_labels(book: Book, comparison: Comparison, area: Area, *, rows_too: bool) -> None:
    sizes, name = comparison.sizes, area.tab
    for column in range(area.columns):
        book.text(name, area.row - 1, area.column + column, sizes.column_label(name, column), "head token")
    for row in range(area.rows if rows_too else 0):
        book.text(name, area.row + row, 1, sizes.row_label(name, row), "token")


def differences(left: np.ndarray, right: np.ndarray, *, masked: bool) -> np.ndarray:
    """What left has more than right: 0 where both are masked or blank, NaN where only one is."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray = left - right
    found[(left == right) | (np.isnan(left) & np.isnan(right))] = 0
    if masked:
        in_left, in_right = masked_cells(left), masked_cells(right)
        found[in_left & in_right] = 0
        found[in_left ^ in_right] = np.nan
    return found


def colour(book: Book, areas: list[Area], out: np.ndarray) -> None:
    """Colour the cells out of tolerance, in rectangles of neighbours, in each of the three matrices."""
    found = [*boxes(out)]
    for area, digits in zip(areas, (READABLE, READABLE, SMALL), strict=True):
        rule = {"type": "formula", "criteria": "=TRUE", "format": book.conditional(OUT | digits)}
        for start in range(0, len(found), 500):  # ranges of one rule: programs read long lists slowly
            book.rule(rule, *(area.part(*box) for box in found[start : start + 500]))
        book.rule({"type": "no_errors", "format": book.conditional(digits)}, area)


def write_texts(book: Book, comparison: Comparison, stage: StageDiff) -> None:
    """Words, merges, tokens: both tables under each other, cells that differ coloured."""
    name = stage.stage
    sheet = book.add_tab(name, stage.title)
    left, right = (side.table(name) for side in comparison.sides)
    (rows, columns), top, fmt = extent(left, right), 4, book.conditional(OUT)
    for title, table, other in (("left", left, right), ("right", right, left)):
        book.text(name, top - 1, 0, title, "stage")
        for row in range(rows):
            for column in range(min(MAX_COLUMNS - LABEL_COLUMNS, columns)):
                value = at(table, row, column)
                if not is_blank(value):
                    book.text(name, top + row, column + LABEL_COLUMNS, str(value)[:MAX_TEXT], "piece")
                if not same_text(value, at(other, row, column), comparison.tolerance):
                    here = cell(top + row, column + LABEL_COLUMNS)
                    sheet.conditional_format(here, {"type": "formula", "criteria": "=TRUE", "format": fmt})
        top += rows + 3
