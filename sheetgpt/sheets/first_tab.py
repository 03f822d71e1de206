"""The first tab below the way: what was run, the parameters part by part, every tab, stage and weight as a link.

The way itself belongs in `way`; what the workbook of values and the live one say of themselves, in `values` and `live`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sheetgpt.models.parameters import count_parameters, shape_text, size
from sheetgpt.models.step import Steps, Weight
from sheetgpt.sheets.way import NARROW, PICTURE_COLUMNS, PICTURES
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, target
from sheetgpt.workbook.places import INDEX, Place

WIDTHS = (2, 25, 32, 14, 12)
WORDS, WHY = 4, PICTURES + 17  # columns of the list of stages


def first_tab(book: Book, title: str, subtitle: str) -> None:
    """Its columns and its name."""
    sheet = book.sheets[INDEX]
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    sheet.set_column(PICTURES, PICTURES + PICTURE_COLUMNS, NARROW)
    book.text(INDEX, 0, 1, title, "title")
    sheet.set_row(0, 30)
    book.text(INDEX, 1, 1, subtitle, "subtitle")


def high_rows(book: Book, first: int, end: int) -> None:
    """Room for the large letters of the prompt and the answer."""
    for row in range(first, end):
        book.sheets[INDEX].set_row(row, 20)


def write_facts(book: Book, facts: Sequence[tuple[str, str | int]], top: int) -> int:
    """Keys and values under each other; the row behind."""
    for row, (key, value) in enumerate(facts, start=top):
        book.text(INDEX, row, 1, key, "key")
        if isinstance(value, str):
            book.text(INDEX, row, 2, value, "value")
        else:
            book.number(INDEX, row, 2, value, "value")
    return top + len(facts)


def write_parameters(book: Book, weights: Mapping[str, Weight], top: int) -> int:
    """How many numbers training has to find, part by part, and all of them; the row behind."""
    counts = count_parameters(weights)
    head(book, top, ("Parameters by part", "How many", "Together"))
    for row, one in enumerate(counts, start=top + 1):
        book.text(INDEX, row, 1, one.part)
        book.text(INDEX, row, 2, f"{one.how} =", "shape")
        book.number(INDEX, row, 3, one.count, "amount")
    row = top + 1 + len(counts)
    book.text(INDEX, row, 1, "all parameters", "total")
    book.text(INDEX, row, 2, "", "total")
    book.number(INDEX, row, 3, sum(one.count for one in counts), "total")
    return row + 1


def head(book: Book, row: int, titles: Sequence[str]) -> None:
    book.blank(Area(INDEX, row, 1, 1, PICTURES + PICTURE_COLUMNS - 1), "table head")
    for column, title in enumerate(titles, start=1):
        book.text(INDEX, row, column, title, "table head")


def write_stage_list(book: Book, steps: Steps, places: Mapping[str, Place], top: int) -> int:
    """A line a stage: its name, which leads to it, its title, its shape, the formula in words, why; the row behind."""
    head(book, top, ("Stage (its defined name)", "Title", "Shape", "In words"))
    book.text(INDEX, top, WHY, "Why", "table head")
    previous = None
    for row, (name, place) in enumerate(places.items(), start=top + 1):
        first = "" if previous == place.tab else "first "  # a line between tabs
        previous = place.tab
        step, area = steps[name], place.areas[0]
        if first:
            line(book, row)
        book.link(INDEX, row, 1, place.target, name, f"{first}link", f"{area.tab}!{area.range()}")
        book.text(INDEX, row, 2, step.title, f"{first}plain")
        book.text(INDEX, row, 3, "{} x {}".format(*place.shape), f"{first}shape")
        book.text(INDEX, row, WORDS, step.words, f"{first}words")
        book.text(INDEX, row, WHY, step.why, f"{first}plain")
    return top + 1 + len(places)


def write_tab_list(book: Book, listed: Collection[str], headings: Mapping[str, str], top: int) -> int:
    """A line a tab that no other list leads to, with its heading; the row behind and a blank one.

    listed: the tabs of stages and weights; headings: of tabs that have none of their own.
    """
    others = [tab for tab in book.sheets if tab != INDEX and tab not in listed]
    if not others:
        return top
    head(book, top, ("Other tabs", "What is there"))
    for row, tab in enumerate(others, start=top + 1):
        book.link(INDEX, row, 1, target(tab), tab, "link")
        book.text(INDEX, row, 2, book.headings[tab] or headings[tab])
    return top + len(others) + 2


def line(book: Book, row: int) -> None:
    """A line over the empty cells of a row, which cost nothing so."""
    rule = {"type": "blanks", "format": book.conditional(style.FIRST)}
    book.rule(rule, Area(INDEX, row, PICTURES, 1, PICTURE_COLUMNS + 1))


def write_weight_list(
    book: Book, weights: Mapping[str, Weight], targets: Mapping[str, str], top: int
) -> dict[str, str]:
    """A line a weight: its name, its shape, how many numbers that is. Returns where each line stands.

    targets: where a weight stands, if the workbook holds it; its name leads there then.
    subtle: readers hold a workbook that lists `64 x 192` and has no such name for damaged, so others have a sign for x.
    """
    head(book, top, ("Parameters (their names)", "Use", "Shape", "Numbers"))
    lines, previous = {}, None
    for row, (name, weight) in enumerate(weights.items(), start=top + 1):
        first = "" if previous == weight.block else "first "
        previous = weight.block
        lines[name] = target(INDEX, row, 1)
        if name in targets:
            book.link(INDEX, row, 1, targets[name], name, f"{first}link")
            shape = "{} x {}".format(*weight.shape)
        else:
            book.text(INDEX, row, 1, name, f"{first}plain")
            shape = shape_text(weight).replace("x", "×")
        book.text(INDEX, row, 2, weight.use.value, f"{first}shape")
        book.text(INDEX, row, 3, shape, f"{first}shape")
        book.text(INDEX, row, 4, f"{size(weight):,}", f"{first}shape")
    return lines
