"""The tab of neighbours: the nearest tokens of each of the prompt's tokens, and a map of tokens in two dimensions.

Values, in the live workbook too: they belong to the prompt for which it was written. What is near what belongs in
`lens.neighbours`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.lens.neighbours import Plane, nearest_of, on_map, plane, table_name
from sheetgpt.run.trace import Trace
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book, require_short
from sheetgpt.workbook.cells import Numbers, Table
from sheetgpt.workbook.grid import Area, target
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS, TAB_ROWS

TAB = "neighbours"
HEADING = "Neighbours: tokens whose vectors point the same way"
NEAREST = 10
MOST_TOKENS = 200  # of the prompt that have a line: a longer table nobody reads
CHART_ROWS, CHART_SIZE = 26, {"width": 900, "height": 500}
TABLE_WORDS = "cosine of two rows of the token table: 1 the same way, 0 across, -1 the other way"
LIVE_WORDS = "; for the prompt of this file, they don't follow another one"


def add_tab(book: Book, trace: Trace, *, live: bool = False) -> None:
    """The tab of a run; none where the model has no vectors for tokens, or they were changed in this run."""
    name = table_name(trace.sizes.weights)
    if trace.weights is None or name is None or name in trace.overridden:
        return
    ids = list(dict.fromkeys(trace.token_ids))[:MOST_TOKENS]
    words = TABLE_WORDS + (LIVE_WORDS if live else "")
    write_tab(book, np.asarray(trace.weights[name]), trace.labels.vocabulary(), ids, words=words)


def write_workbook(table: np.ndarray, vocabulary: Sequence[str], i: int, count: int, path: Path) -> Path:
    """One token's neighbours as a workbook. Returns its path. Raises DumpError where it can't be written."""
    book = Book("sheetgpt: neighbours of a token")
    book.add_tab(INDEX)
    write_tab(book, table, vocabulary, [i], count)
    book.text(INDEX, 0, 1, f"The neighbours of {vocabulary[i]!r}", "title")
    book.sheets[INDEX].set_row(0, 30)
    book.link(INDEX, 2, 1, target(TAB), f"the tab {TAB}", "link")
    book.save(path)
    return path


def write_tab(
    book: Book,
    table: np.ndarray,  # [n_vocab, d]
    vocabulary: Sequence[str],
    ids: Sequence[int],
    count: int = NEAREST,
    *,
    words: str = TABLE_WORDS,
) -> None:
    """The lines of these tokens, the chart, and the numbers behind it."""
    book.add_tab(TAB, HEADING, LABEL_COLUMNS + count)
    book.sheets[TAB].set_column(LABEL_COLUMNS, LABEL_COLUMNS + count - 1, 12)
    near = nearest_of(table, ids, count)
    write_head(book, "neighbours", f"the {count} nearest tokens", words)
    row = write_lines(book, vocabulary, near, count)
    shown = on_map(len(table), {i: [other for other, _ in found] for i, found in near.items()})
    write_map(book, table, vocabulary, shown, len(near), row + 1)


def write_head(book: Book, name: str, title: str, words: str, row: int = TAB_ROWS) -> None:
    for line, (left, right) in enumerate(((name, title), ("", words)), start=row):
        book.text(TAB, line, 0, left, "stage")
        book.text(TAB, line, LABEL_COLUMNS, right, "words" if line > row else "stage title")


def write_lines(book: Book, vocabulary: Sequence[str], near: dict[int, list[tuple[int, float]]], count: int) -> int:
    """Two rows a token, its neighbours and their cosines; the row after them."""
    row = TAB_ROWS + 2
    for column, title in enumerate(("id", "token")):
        book.text(TAB, row, column, title, "head name")
    for rank in range(min(count, len(vocabulary) - 1)):
        book.number(TAB, row, LABEL_COLUMNS + rank, rank + 1, "head")
    first = row = row + 1
    for i, found in near.items():
        book.number(TAB, row, 0, i, "position")
        book.text(TAB, row, 1, vocabulary[i], "token")
        for column, (other, _) in enumerate(found, start=LABEL_COLUMNS):
            book.text(TAB, row, column, vocabulary[other], "piece")
        for column in range(LABEL_COLUMNS):
            book.text(TAB, row + 1, column, "" if column == 0 else "cosine", "head name")
        book.put(Numbers(Area(TAB, row + 1, LABEL_COLUMNS, 1, len(found)), np.array([[c for _, c in found]])), "number")
        row += 2
    book.rule(style.SHARE_SCALE, Area(TAB, first, LABEL_COLUMNS, row - first, count))
    return row


# ------------------------------------------------------------------------------------------------ the map


def write_map(
    book: Book, table: np.ndarray, vocabulary: Sequence[str], shown: Sequence[int], asked: int, row: int
) -> None:
    """The chart, and under it the points. asked: how many of those shown, from the first, have names in the chart."""
    found = plane(table[list(shown)])
    what = "all tokens" if len(shown) == len(table) else "these tokens and their neighbours"
    write_head(book, "map", f"{what} in two dimensions", how_made(found), row)
    head = row + 3 + CHART_ROWS
    for column, title in enumerate(("id", "token", "x", "y")):
        book.text(TAB, head, column, title, "head left" if title == "token" else "head token")
    for at, i in enumerate(shown, start=head + 1):
        require_short(vocabulary[i], TAB, at, 1)
    area = Area(TAB, head + 1, 0, len(shown), 4)
    x, y = (np.ascontiguousarray(found.points[:, axis]) for axis in range(2))
    columns: list[Any] = [shown, [vocabulary[i] for i in shown], x, y]
    book.put_table(Table(area, columns), ["position", "token", "number", "number"])
    chart = map_chart(book, area, [vocabulary[i] for i in shown[:asked]], found)
    about = f"Scatter chart: {what} by the two dimensions in which their vectors differ most."
    book.sheets[TAB].insert_chart(row + 2, LABEL_COLUMNS, chart, {"object_position": 3, "description": about})


def how_made(found: Plane) -> str:
    first, second = (f"{100 * share:.0f} %" for share in found.shares)
    return f"principal components of the token table: x holds {first} of how the vectors differ, y {second}"


def map_chart(book: Book, area: Area, names: Sequence[str], found: Plane) -> Any:
    """A scatter chart whose first points, those asked for, have names."""
    chart: Any = book.workbook.add_chart({"type": "scatter"})
    labels = {"value": True, "custom": [{"value": one} for one in names], "position": "above", "font": {"size": 9}}
    asked, others = area.part(rows=len(names)), area.part(row=len(names))
    if others.rows:
        chart.add_series(series(others, "other tokens", style.PALE, 4))
    chart.add_series(series(asked, "these tokens", style.WARNING, 8) | {"data_labels": labels})
    for axis, share in zip((chart.set_x_axis, chart.set_y_axis), found.shares, strict=True):
        title = {"name": f"{100 * share:.0f} % of the variance", "name_font": {"size": 9, "bold": False}}
        axis({**title, "major_gridlines": {"visible": False}, "label_position": "low", "num_format": "0.0"})
    chart.set_legend({"position": "top"})
    chart.set_size(CHART_SIZE)
    return chart


def series(area: Area, name: str, colour: str, size: int) -> dict[str, Any]:
    x, y = ([area.tab, area.row, column, area.row + area.rows - 1, column] for column in (2, 3))
    look = {"type": "circle", "size": size, "fill": {"color": colour}, "border": {"none": True}}
    return {"name": name, "categories": x, "values": y, "marker": look}
