"""What the steps of a live training workbook follow from: a word to type, and position by position what it means.

The rows over the bands say for each position the token before, the token to come, and its share of the loss. A word
that the model can't learn from has no positions (`n_positions` is 0): a message says why, and everything is empty.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from sheetgpt.models.step import POSITIONS, TARGETS, Role
from sheetgpt.training.step import Training
from sheetgpt.training.workbook import layout
from sheetgpt.training.workbook.layout import GIVEN_ROW, TRAINING, VOCABULARY, WORD_ROW
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.grid import Area, text_literal
from sheetgpt.workbook.places import LABEL_COLUMNS
from sheetgpt.workbook.references import Names, Source

SHARE = "share"  # of the loss; a name in the workbook, as the following are
WORD, TOKENS, TOKEN_IDS, N_POSITIONS = "word", "vocabulary", "token_ids", "n_positions"
MOST_LETTERS = 40  # that a message names


class Row(Enum):
    """One row: how far below the first, its title, the format of its cells."""

    POSITION = 0, "position", "head"
    CONTEXT = 1, "token before", "piece"
    ID = 2, "its id", "piece"
    COMING = 3, "token to come", "piece"
    TARGET = 4, "its id", "piece"
    SHARE = 5, "share of the loss", "number"
    KNOWN = 6, "letter known?", "piece"  # where a word is typed

    def __init__(self, number: int, title: str, form: str):
        self.number, self.title, self.form = number, title, form


EDITABLE = (Row.ID, Row.TARGET)  # where no word is typed


class Given:
    """The rows and the word, on their way into a workbook."""

    def __init__(self, book: Book, training: Training, vocabulary: list[str], *, live: bool) -> None:
        self.book, self.training, self.vocabulary, self.live = book, training, vocabulary, live
        tokenizer, count = training.model.tokenizer, len(training.example.ids)
        self.end_id = tokenizer.end_of_text if tokenizer is not None else None
        coming = "".join(training.example.coming[: np.count_nonzero(training.example.share) - 1])
        self.word = coming if training.text is None else training.text
        is_typed = all(letter in vocabulary and vocabulary.index(letter) != self.end_id for letter in self.word)
        self.types_words = live and tokenizer is not None and tokenizer.has_characters_only and is_typed
        self.areas = {row: Area(TRAINING, GIVEN_ROW + row.number, LABEL_COLUMNS, 1, count) for row in Row}
        self.sources: dict[str, Source] = {}  # by the names under which steps ask for them
        self.names: Names = {}

    def here(self, row: Row, position: int) -> Area:
        return self.areas[row].part(column=position, columns=1)

    def define(self, name: str, area: Area, *, vector: bool) -> None:
        self.sources[name] = Source(name, area, vector=vector)
        self.names[name] = area.address()

    # -------------------------------------------------------------------------------------------- the word

    def write_word(self) -> None:
        book, text = self.book, self.word
        book.text(TRAINING, WORD_ROW, 0, WORD, "key")
        book.text(TRAINING, WORD_ROW, LABEL_COLUMNS, text, "input" if self.types_words else "plain")
        if not self.types_words:
            return
        self.names[WORD] = Area(TRAINING, WORD_ROW, LABEL_COLUMNS, 1, 1).address()
        at = TRAINING, WORD_ROW, LABEL_COLUMNS + 2
        book.formula(*at, f"={self.message()}", self.hint, "words")
        warning = book.conditional({"font_color": style.WARNING, "bold": True})
        rule = {"type": "formula", "criteria": f"={N_POSITIONS}=0", "format": warning}
        book.sheets[TRAINING].conditional_format(*at[1:], *at[1:], rule)
        count = Area(TRAINING, WORD_ROW + 1, LABEL_COLUMNS, 1, 1)
        book.text(TRAINING, count.row, 0, "positions", "key")
        book.formula(TRAINING, count.row, count.column, f"={self.counted()}", len(text) + 1, "live count")
        self.names[N_POSITIONS] = count.address()

    @property
    def room(self) -> int:
        """How many letters a typed word may have."""
        return len(self.training.example.ids) - 1

    @property
    def hint(self) -> str:
        return f"type another word of up to {self.room} letters ({self.letters()}); everything below follows"

    def letters(self) -> str:
        """Those that the model knows, as a message names them."""
        found = [shown(token) for i, token in enumerate(self.vocabulary) if i != self.end_id]
        return " ".join([*found[:MOST_LETTERS], *(["..."] if len(found) > MOST_LETTERS else [])])

    def message(self) -> str:
        """What is wrong with the word, or what may be typed, in a formula."""
        known = self.areas[Row.KNOWN].range(fixed=True)
        unknown = f"MID({WORD},MATCH(0,{known},0),1)"
        named = f'IF({unknown}=" ","a space",{unknown})'
        only = text_literal(f" is not known: the model knows only {self.letters()}")
        long = text_literal(f"too long: {self.room} letters at most; nothing is learned from it")
        empty = text_literal(f"type a word of the letters {self.letters()}")
        wrong = f"IF(ISNUMBER(MATCH(0,{known},0)),{named}&{only},{text_literal(self.hint)})"
        return f"IF(LEN({WORD})=0,{empty},IF(LEN({WORD})>{self.room},{long},{wrong}))"

    def counted(self) -> str:
        """How many positions the word has, the end token's among them; 0 where nothing can be learned from it."""
        is_known = f"SUM({self.areas[Row.KNOWN].range(fixed=True)})=LEN({WORD})"
        fits = f"LEN({WORD})>0,LEN({WORD})<={self.room}"
        return f"IF(AND({fits},{is_known}),LEN({WORD})+1,0)"

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
        shown_in = {
            Row.POSITION: range(len(seen.ids)),
            Row.CONTEXT: seen.context,
            Row.ID: seen.ids.tolist(),
            Row.COMING: seen.coming,
            Row.TARGET: seen.targets.tolist(),
            Row.SHARE: seen.share.tolist(),
            **({Row.KNOWN: self.letters_found()} if self.types_words else {}),
        }
        named = {Row.ID: self.training.loss.steps.name(Role.TOKENS), Row.TARGET: TARGETS, Row.SHARE: SHARE}
        for row, values in shown_in.items():
            self.book.text(TRAINING, self.areas[row].row, 0, row.title, "key")
            if row in named:
                self.define(named[row], self.areas[row], vector=row is not Row.SHARE)
            for position, value in enumerate(values):
                self.put(row, position, value)
            if self.types_words and row is not Row.POSITION:
                self.leave_white(self.areas[row])

    def letters_found(self) -> list[Any]:
        letters = len(self.word)
        return [1] * letters + [""] * (len(self.training.example.ids) - letters)

    def leave_white(self, area: Area) -> None:
        """Positions beyond the word look empty."""
        hidden = {"bg_color": style.BLANK_FILL, "font_color": style.BLANK_FILL, "num_format": style.HIDDEN}
        beyond = f"=COLUMN()-{area.column + 1}>={N_POSITIONS}"
        rule = {"type": "formula", "criteria": beyond, "format": self.book.conditional(hidden)}
        last = area.row + area.rows - 1, area.column + area.columns - 1
        self.book.sheets[area.tab].conditional_format(area.row, area.column, *last, rule)

    def write_positions(self) -> None:
        """Positions under each other, as formulas of attention want them; no tab where no step reads them."""
        if not any(self.training.loss.steps.readers(POSITIONS)):
            return
        count = len(self.training.example.ids)
        area = Area(layout.POSITIONS, 3, 0, count, 1)
        self.book.add_tab(
            layout.POSITIONS, "The positions, one under the other, as the formulas of attention read them", 3
        )
        self.book.text(layout.POSITIONS, 2, 0, "position", "table head")
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
        if row is Row.KNOWN:
            letter = f"EXACT({TOKENS},MID({WORD},{k + 1},1))*({TOKEN_IDS}<>{self.end_id})"
            return f'IF({k}<LEN({WORD}),SUMPRODUCT({letter}),"")'
        return f'IF({N_POSITIONS}=0,"",{self.of_a_word(row, k)})'

    def of_a_word(self, row: Row, k: int) -> str:
        """The same where the word is one to learn from."""
        coming = self.here(Row.COMING, k).range()
        before = self.here(Row.COMING, k - 1).range() if k else ""
        match row:
            case Row.COMING:
                return f'IF({k}<LEN({WORD}),MID({WORD},{k + 1},1),IF({k}=LEN({WORD}),{self.end()},""))'
            case Row.SHARE:
                return f"IF({k}<{N_POSITIONS},1/{N_POSITIONS},0)"
            case Row.TARGET:
                return f'IF({coming}="",0,SUMPRODUCT(EXACT({TOKENS},{coming})*{TOKEN_IDS}))'
            case Row.CONTEXT:
                return f'IF({k}>LEN({WORD}),"",{before})' if k else self.end()
            case Row.ID:
                target = self.here(Row.TARGET, k - 1).range() if k else ""
                return f'IF({before}="",{self.end_id},{target})' if k else f"{self.end_id}"
            case _:
                return f"{k}"

    def guarded(self, formula: str) -> str:
        """A formula that leaves its cells empty where the word can't be learned from."""
        return f'IF({N_POSITIONS}=0,"",{formula})' if self.types_words else formula

    def end(self) -> str:
        """The end token, in a formula."""
        return text_literal(self.vocabulary[self.end_id or 0])


def shown(letter: str) -> str:
    """A letter in a list with spaces between."""
    return "(space)" if letter == " " else letter
