"""The passes of learning a merge table as a workbook: the table that a class makes by hand.

Learning belongs in `bpe.learning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sheetgpt.bpe.learning import LearningPass
from sheetgpt.workbook.book import Book, require_short
from sheetgpt.workbook.cells import Table
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import INDEX

TITLE = "Merges, as they were learned"
WORDS = (
    "In each pass the most frequent pair of neighbours becomes one token.",
    "Pairs are counted inside words, a word as often as it occurs; a word takes the space before it along.",
    "Of pairs that are equally frequent the one of the earlier symbols merges first.",
)
COLUMNS = (("pass", 8), ("left", 14), ("right", 14), ("count", 8), ("new token", 18), ("id", 8), ("the words then", 90))
FORMATS = ("position", "text", "text", "rank", "token", "rank", "text")
HEAD = 6


def write_workbook(passes: Sequence[LearningPass], path: Path) -> Path:
    """One row a pass. Returns the path. Raises DumpError where it can't be written."""
    book = Book(TITLE)
    sheet = book.add_tab(INDEX)
    sheet.set_row(0, 30)
    book.text(INDEX, 0, 0, TITLE, "title")
    for row, line in enumerate(WORDS, start=1):
        book.text(INDEX, row, 0, line, "line")
    for column, (name, width) in enumerate(COLUMNS):
        sheet.set_column(column, column, width)
        book.text(INDEX, HEAD, column, name, "table head")
    sheet.freeze_panes(HEAD + 1, 0)
    if passes:
        write_passes(book, passes)
    book.save(path)
    return path


def write_passes(book: Book, passes: Sequence[LearningPass]) -> None:
    words = [one.as_they_stand for one in passes]
    for row, one in enumerate(passes, start=HEAD + 1):
        require_short(one.token, INDEX, row, 4)
    columns = [[getattr(one, name) for one in passes] for name in ("number", "left", "right", "count", "token", "id")]
    book.put_table(Table(Area(INDEX, HEAD + 1, 0, len(passes), len(COLUMNS)), [*columns, words]), FORMATS)
    for column in (1, 2, 4):  # the pieces
        book.show_spaces(Area(INDEX, HEAD + 1, column, len(passes), 1))
