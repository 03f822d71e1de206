"""What the steps of a live training workbook follow from: a word to type, and position by position what it means.

The rows over the bands say for each position the token before, the token to come, and its share of the loss.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from sheetgpt.models.step import POSITIONS, TARGETS, Role
from sheetgpt.training.step import Training
from sheetgpt.training.workbook import layout
from sheetgpt.training.workbook.layout import GIVEN_ROW, TRAINING, VOCABULARY
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import LABEL_COLUMNS
from sheetgpt.workbook.references import Names, Source

SHARE = "share"  # of the loss; a name in the workbook, as the following are
WORD, TOKENS, TOKEN_IDS = "word", "vocabulary", "token_ids"


class Row(Enum):
    """One row: how far below the first, its title, the format of its cells."""

    POSITION = 0, "position", "head"
    CONTEXT = 1, "token before", "piece"
    ID = 2, "its id", "piece"
    COMING = 3, "token to come", "piece"
    TARGET = 4, "its id", "piece"
    SHARE = 5, "share of the loss", "number"

    def __init__(self, number: int, title: str, form: str):
        self.number, self.title, self.form = number, title, form


EDITABLE = (Row.ID, Row.TARGET)  # where no word is typed


class Given:
    """The rows and the word, on their way into a workbook."""

    def __init__(self, book: Book, training: Training, vocabulary: list[str], *, live: bool) -> None:
        self.book, self.training, self.vocabulary, self.live = book, training, vocabulary, live
        tokenizer, count = training.model.tokenizer, len(training.example.ids)
        self.types_words = live and tokenizer is not None and tokenizer.has_characters_only
        self.end_id = tokenizer.end_of_text if tokenizer is not None else None
        self.areas = {row: Area(TRAINING, GIVEN_ROW + row.number, LABEL_COLUMNS, 1, count) for row in Row}
        self.sources: dict[str, Source] = {}  # by the names under which steps ask for them
        self.names: Names = {}

    def here(self, row: Row, position: int) -> Area:
        return self.areas[row].part(column=position, columns=1)

    def define(self, name: str, area: Area, *, vector: bool) -> None:
        self.sources[name] = Source(name, area, vector=vector)
        self.names[name] = area.address()

    # -------------------------------------------------------------------------------------------- the word

    def write_word(self, row: int) -> None:
        book, text = self.book, self.training.text or ""
        book.text(TRAINING, row, 0, WORD, "key")
        book.text(TRAINING, row, LABEL_COLUMNS, text, "input" if self.types_words else "plain")
        if self.types_words:
            self.names[WORD] = Area(TRAINING, row, LABEL_COLUMNS, 1, 1).address()
            room = len(self.training.example.ids) - 1
            hint = f"type another word of up to {room} letters; everything below follows"
            warning = f'IF(LEN({WORD})>{room},"too long: {room} letters at most","{hint}")'
            book.formula(TRAINING, row, LABEL_COLUMNS + 2, f"={warning}", hint, "words")

    def write_vocabulary(self) -> None:
        book, count = self.book, len(self.vocabulary)
        book.add_tab(VOCABULARY, "The tokens that the model knows", 2)
        for row, token in enumerate(self.vocabulary):
            book.number(VOCABULARY, 3 + row, 0, row, "position")
            book.text(VOCABULARY, 3 + row, 1, token, "token")
        self.names[TOKEN_IDS] = Area(VOCABULARY, 3, 0, count, 1).address()
        self.names[TOKENS] = Area(VOCABULARY, 3, 1, count, 1).address()

    # -------------------------------------------------------------------------------------------- positions

    def write(self) -> None:
        """The rows, and the names of those that formulas use."""
        seen = self.training.example
        shown = {
            Row.POSITION: range(len(seen.ids)),
            Row.CONTEXT: seen.context,
            Row.ID: seen.ids.tolist(),
            Row.COMING: seen.coming,
            Row.TARGET: seen.targets.tolist(),
            Row.SHARE: seen.share.tolist(),
        }
        named = {Row.ID: self.training.loss.steps.name(Role.TOKENS), Row.TARGET: TARGETS, Row.SHARE: SHARE}
        for row, values in shown.items():
            self.book.text(TRAINING, self.areas[row].row, 0, row.title, "key")
            if row in named:
                self.define(named[row], self.areas[row], vector=row is not Row.SHARE)
            for position, value in enumerate(values):
                self.put(row, position, value)

    def write_positions(self) -> None:
        """Positions under each other, as formulas of attention want them."""
        count = len(self.training.example.ids)
        area = Area(layout.POSITIONS, 2, 0, count, 1)
        self.book.add_tab(layout.POSITIONS, "The positions, one under the other", 1)
        self.book.put(Numbers(area, np.arange(count, dtype=float)[:, None]), "head")
        self.define(POSITIONS, area, vector=True)

    def put(self, row: Row, position: int, value: Any) -> None:
        book, area = self.book, self.here(row, position)
        at = TRAINING, area.row, area.column
        form = "live piece" if self.types_words and row.form == "piece" else row.form
        if self.types_words and row is not Row.POSITION:
            book.formula(*at, f"={self.formula(row, position)}", value, form)
        elif isinstance(value, str):
            book.text(*at, value, "piece")
        else:
            book.number(*at, value, "input number" if self.live and row in EDITABLE else form)

    def formula(self, row: Row, k: int) -> str:
        """How the cell of position k follows from the word and from the position before."""
        coming = self.here(Row.COMING, k).range()
        before = self.here(Row.COMING, k - 1).range() if k else ""
        match row:
            case Row.COMING:
                return f'IF({k}<LEN({WORD}),MID({WORD},{k + 1},1),IF({k}=LEN({WORD}),{self.end()},""))'
            case Row.SHARE:
                return f"IF({k}<=LEN({WORD}),1/(LEN({WORD})+1),0)"
            case Row.TARGET:
                found = f"EXACT({TOKENS},{coming})"
                known = f"IF(SUMPRODUCT(1*{found})=0,NA(),SUMPRODUCT({found}*{TOKEN_IDS}))"
                return f'IF({coming}="",0,{known})'
            case Row.CONTEXT:
                return f'IF({k}>LEN({WORD}),"",{before})' if k else self.end()
            case Row.ID:
                target = self.here(Row.TARGET, k - 1).range() if k else ""
                return f'IF({before}="",{self.end_id},{target})' if k else f"{self.end_id}"
            case Row.POSITION:
                return f"{k}"

    def end(self) -> str:
        """The end token, in a formula."""
        return quoted(self.vocabulary[self.end_id or 0])


def quoted(text: str) -> str:
    """A text in a formula."""
    return '"' + text.replace('"', '""') + '"'
