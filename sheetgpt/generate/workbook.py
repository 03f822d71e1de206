"""The workbook of a generation: an index with the prompt, the options and the new tokens, and a tab for each pick.

What a pick's table holds belongs in `sample`, the record of all picks in `record`, how cells look in `workbook`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from xlsxwriter.format import Format

from sheetgpt.generate.record import Record, pick_name, pick_title
from sheetgpt.generate.sample import COLUMNS, PickTable
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import MAX_TEXT, column_letters
from sheetgpt.workbook.places import INDEX

__all__ = ["write_workbook"]

MAX_TABS = 200  # picks with a tab of their own: a program that opens more of them gets slow
CHANCE_BAR = {
    "type": "data_bar",
    "bar_color": "#9CCBCC",
    "bar_solid": True,
    "min_type": "num",
    "max_type": "num",
    "min_value": 0,
    "max_value": 1,
}
LINE_HEIGHT, LINE_LENGTH, MAX_LINES = 15, 85, 25  # of the index's texts
HEAD_ROW = 2  # of a pick's table
FORMATS = {
    "rank": "rank",
    "id": "rank",
    "token": "text",
    "logit": "number",
    "logit / temperature": "number",
    "probability": "probability",
    "cumulative sum": "probability",
    "random number": "probability",
}
WIDTHS = {"token": 20, "logit / temperature": 18, "kept by top-k": 13, "kept by top-p": 13}
TOKEN_COLUMNS = (
    ("number", 10),
    ("token", 20),
    ("id", 9),
    ("logit", 11),
    ("probability", 12),
    ("rank", 8),
    ("pick", 14),
)
ENDS = {
    "n": "as many tokens as were asked for",
    "end of text": "the model ended the text",
    "context": "prompt and new tokens fill the context",
    "interrupted": "interrupted",
}


def write_workbook(record: Record, path: Path) -> Path:
    """Write the workbook, all or nothing. The record must have kept its tables."""
    book = Book("sheetgpt: how each token was picked")
    book.add_tab(INDEX)
    tables = record.tables[:MAX_TABS]
    write_index(book, record, len(tables))
    for number, table in enumerate(tables, start=1):
        write_pick(book, record, number, table)
    book.save(path)
    return path


def write_index(book: Book, record: Record, n_tabs: int) -> None:
    sheet = book.sheets[INDEX]
    for column, (_, width) in enumerate(TOKEN_COLUMNS):
        sheet.set_column(column, column, width)
    sheet.set_row(0, 30)
    book.text(INDEX, 0, 0, "How each token was picked", "title")
    facts = index_facts(record)
    wrapped = format_like(book, "text", text_wrap=True, valign="top")
    for row, (key, value) in enumerate(facts, start=2):
        book.text(INDEX, row, 0, key, "key")
        sheet.merge_range(row, 1, row, len(TOKEN_COLUMNS) - 1, "", wrapped)
        sheet.write_string(row, 1, str(value)[:MAX_TEXT], wrapped)
        sheet.set_row(row, LINE_HEIGHT * min(MAX_LINES, 1 + len(str(value)) // LINE_LENGTH))
    head = len(facts) + 3
    write_head(book, INDEX, head, [name for name, _ in TOKEN_COLUMNS], texts=("token", "pick"))
    for number, token in enumerate(record.tokens, start=1):
        row = head + number
        book.number(INDEX, row, 0, number, "rank")
        book.text(INDEX, row, 1, token["token"], "token")
        for column, (name, form) in enumerate(
            [("id", "rank"), ("logit", "number"), ("probability", "probability"), ("rank", "rank")], start=2
        ):
            book.number(INDEX, row, column, token[name], form)
        if number <= n_tabs:
            name = pick_name(number)
            sheet.write_url(row, len(TOKEN_COLUMNS) - 1, f"internal:'{name}'!A1", book.format("link"), name)
    if n_tabs < len(record.tokens):
        note = f"Only the first {n_tabs} tokens have a tab of their own; --dump-csv writes all of them."
        book.text(INDEX, head + len(record.tokens) + 2, 0, note, "words")
    sheet.conditional_format(head + 1, 4, head + len(record.tokens), 4, CHANCE_BAR)


def index_facts(record: Record) -> list[tuple[str, object]]:
    sampling, config = record.sampling, record.model.config
    facts: list[tuple[str, object]] = [
        ("prompt", record.prompt if record.prompt is not None else ", ".join(map(str, record.prompt_ids))),
        ("text", record.text),
        ("ended", ENDS[record.end]),
        ("choice", "greedy: the greatest logit wins" if sampling.greedy else f"temperature {sampling.temperature:g}"),
    ]
    if sampling.top_k is not None:
        facts.append(("top-k", sampling.top_k))
    if sampling.top_p is not None:
        facts.append(("top-p", f"{sampling.top_p:g}"))
    if not sampling.greedy:
        facts.append(("seed", sampling.seed))
    if record.slides:
        facts.append(("slides", f"{record.slides}: the context was full and went on with its newest half"))
    model = f"{config.n_layer} blocks, {config.n_head} heads, {config.n_embd} dimensions, {record.model.weights.dtype}"
    return [*facts, ("model", model)]


def write_pick(book: Book, record: Record, number: int, table: PickTable) -> None:
    """One pick's tab: the table, its picked row marked, and a line about what it leaves out."""
    tab = pick_name(number)
    sheet = book.add_tab(tab, pick_title(record, number), len(COLUMNS))
    for column, name in enumerate(COLUMNS):
        sheet.set_column(column, column, WIDTHS.get(name, 14 if column > 2 else 9))
    write_head(book, tab, HEAD_ROW, COLUMNS, texts=("token",))
    sheet.freeze_panes(HEAD_ROW + 1, 3)
    first = HEAD_ROW + 1
    for row, cells in enumerate(table.rows(record.model.token), start=first):
        for column, (name, value) in enumerate(zip(COLUMNS, cells, strict=True)):
            if isinstance(value, str) or not isfinite(value):
                if value != "":
                    book.text(tab, row, column, str(value), "token" if name == "token" else "piece")
            else:
                book.number(tab, row, column, value, FORMATS[name])
    last = first + len(table) - 1
    mark(book, tab, first, last, "picked", "yes", {"bg_color": style.INPUT_FILL, "bold": True})
    for name in ("kept by top-k", "kept by top-p"):
        mark(book, tab, first, last, name, "no", {"font_color": style.MUTED})
    chance = COLUMNS.index("probability")
    sheet.conditional_format(first, chance, last, chance, CHANCE_BAR)
    notes = [how_picked(table), table.left_out()]
    for row, note in enumerate(filter(None, notes), start=last + 2):
        book.text(tab, row, 0, note, "words")


def mark(book: Book, tab: str, first: int, last: int, name: str, text: str, look: Mapping[str, Any]) -> None:
    """Rows of a pick's table that hold the text under a column look different."""
    letters = column_letters(COLUMNS.index(name))
    rule = {"type": "formula", "criteria": f'=${letters}{first + 1}="{text}"', "format": book.conditional(look)}
    book.sheets[tab].conditional_format(first, 0, last, len(COLUMNS) - 1, rule)


def write_head(book: Book, tab: str, row: int, names: Sequence[str], texts: tuple[str, ...]) -> None:
    """The names over a table's columns: those of texts to the left, yes and no in the middle, numbers to the right."""
    for column, name in enumerate(names):
        align = "left" if name in texts else "center" if name not in FORMATS and name in COLUMNS else "right"
        indent = {"indent": 1} if name in texts else {}
        book.sheets[tab].write_string(row, column, name, format_like(book, "table head", align=align, **indent))


def format_like(book: Book, name: str, **changes: Any) -> Format:
    return book.workbook.add_format({**style.BASE, **style.FORMATS[name], **changes})


def how_picked(table: PickTable) -> str:
    if table.greedy:
        return "Greedy: the greatest logit is picked. The probabilities are those of temperature 1."
    return "Picked: the first row whose cumulative sum is greater than the random number."
