"""What stands beside the typed words: what each is read as, what may be typed next, what is predicted and picked.

The words and what is wrong with them belong in `words`, how a token is picked in `picks`.
"""

from __future__ import annotations

from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import (
    ARROW,
    COUNT_CELL,
    FIRST_ROW,
    HELPERS,
    IDS,
    MESSAGE_CELL,
    READ_AS,
    WORDS,
    typed_words,
    word_rows,
)
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.references import N_TOKENS, N_WORDS

PICKED = "picked_token"  # the name of what the tab `pick` picks
APPEND = "to_append"  # and of what to do for the loop to go on


def write_readings(book: Book, plan: Plan) -> None:
    """What each word is read as."""
    typed = typed_words(plan)
    for number, line in enumerate(word_rows(plan)):
        value = reading(*typed[number]) if number < len(typed) else ""
        book.leaf(WORDS, line.row, READ_AS, f"={line.reading}", value, "live text")


def write_readings_and_next(book: Book, plan: Plan, picked: str) -> None:
    """The same, and beside the first empty word the token that was picked: typed there, the loop goes on."""
    typed, has_room = typed_words(plan), len(plan.trace.token_ids) < plan.max_tokens
    hint = f'IF({PICKED}="","","{ARROW} "&SUBSTITUTE({PICKED}," ","·"))'
    for number, line in enumerate(word_rows(plan)):
        wanted = f"AND({number}={N_WORDS},{N_TOKENS}<{plan.max_tokens})"
        formula = f'=IF({line.reading}="",IF({wanted},{hint},""),{line.reading})'
        value = f"{ARROW} {picked.replace(' ', '·')}" if number == len(typed) and has_room else ""
        value = reading(*typed[number]) if number < len(typed) else value
        book.leaf(WORDS, line.row, READ_AS, formula, value, "live text")


def reading(word: str, ids: list[int]) -> str:
    return "(token ids)" if ids else word.replace(" ", "·")


def write_append(book: Book, plan: Plan, told: str) -> None:
    """Under the token that was picked, what to do for the loop to go on: where there is no room to type it."""
    book.leaf(WORDS, FIRST_ROW - 1, IDS + plan.longest_word + len(HELPERS) + 3, f"={APPEND}", told, "words")


def write_prediction(book: Book, plan: Plan, token: Area, best: Area, picked: str, pick: Area) -> None:
    """What the tabs behind make of the words, beside them.

    token: the predicted one; best: the table of the best; pick: the cell to go to where one is picked.
    """
    helpers = IDS + plan.longest_word
    left, names = helpers + len(HELPERS) + 1, shared.BEST_COLUMNS
    sheet, found = book.sheets[WORDS], plan.trace.predictions(shared.BEST)
    sheet.set_column(helpers, left - 2, None, None, {"hidden": True})
    sheet.set_column(left - 1, left - 1, 3)
    sheet.set_column(left, left, 14)
    sheet.set_column(left + 1, left + 1, 18)
    facts: tuple[tuple[str, Area, float | str, str], ...] = (
        ("predicted token", token, found[0].token, "message"),
        ("its probability", best.part(0, names.index("probability")), found[0].probability, "share"),
    )
    for row, (name, source, value, fmt) in enumerate(facts, start=MESSAGE_CELL.row):
        book.text(WORDS, row, left, name, "key")
        book.leaf(WORDS, row, left + 1, f"={source.part(rows=1, columns=1).address()}", value, fmt)
    sheet.set_column(left + 2, left + 2, 20)
    target = f"internal:'{pick.tab}'!{pick.range()}"
    sheet.write_url(MESSAGE_CELL.row, left + 2, target, book.format("link"), f"picked, on the tab {pick.tab}")
    book.leaf(WORDS, COUNT_CELL.row, left + 2, f"={PICKED}", picked, "message")
    for column, name in enumerate(("probability", "token"), start=left):
        book.text(WORDS, FIRST_ROW - 1, column, name if name == "probability" else "the best tokens", "table head")
        for number, one in enumerate(found):
            there = best.part(number, names.index(name), 1, 1).address()
            fmt = "live probability" if name == "probability" else "live text"
            book.leaf(WORDS, FIRST_ROW + number, column, f"={there}", getattr(one, name), fmt)
    book.blank_where(Area(WORDS, FIRST_ROW, left, len(found), 2), f'={cell(FIRST_ROW, left)}=""')
