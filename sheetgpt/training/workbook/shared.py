"""What every training workbook has: how a named matrix stands, and the tables of gradients and of Values.

Where matrices stand is decided in `bands` and `tabs`, the first tab in `index`; the numbers come from `training.step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sheetgpt.models.step import Axis
from sheetgpt.ops import Box
from sheetgpt.training.example import readable
from sheetgpt.training.matrices import StepMatrix
from sheetgpt.training.step import Training
from sheetgpt.training.workbook.given import Given
from sheetgpt.training.workbook.layout import CHECK, GRAPH
from sheetgpt.training.workbook.looks import Colours, number_format
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers, Table
from sheetgpt.workbook.grid import Area, cell, text_literal
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS

CHECK_COLUMNS = {  # of the gradient check: the title, and how its numbers look
    "weight": "plain",
    "row": "rank",
    "column": "rank",
    "value": "gradient",
    "backprop": "fine",
    "numeric": "fine",
    "value graph": "fine",
    "largest difference": "size",
}

Cells = Mapping[Box, str]  # the formula of each piece of a matrix


@dataclass(frozen=True)
class LabelCells:
    """The labels of a matrix's rows or columns: texts or numbers, and where they are live the cells they come from."""

    texts: Sequence[Any]
    formulas: Sequence[str] | None = None


class TrainingBook:
    """What both forms share: how a matrix is written, the gradient check, the graph of Values."""

    has_room = False  # beside a matrix

    def __init__(self, training: Training, *, live: bool = False) -> None:
        self.training, self.example, self.settings, self.live = training, training.example, training.settings, live
        self.book = Book(title=f"Training: {training.text or 'token ids'}"[:200])
        self.vocabulary = [readable(training.model, i) for i in range(training.model.config.n_vocab)]
        self.by_position = LabelCells(self.example.context)
        self.given = Given(self.book, training, self.vocabulary, live=live)
        self.colours = Colours(self.book, training.model.config.n_head, self.given.types_words)
        self.book.add_tab(INDEX)

    def row_labels(self, matrix: StepMatrix) -> LabelCells:
        count = len(matrix.numbers)
        if matrix.rows is Axis.VOCABULARY:
            return LabelCells(self.vocabulary)
        if matrix.rows is Axis.TOKENS:
            return self.by_position
        return LabelCells([""] * count if matrix.rows is Axis.PENALTY else range(count))

    def column_labels(self, matrix: StepMatrix) -> LabelCells:
        """Tokens for positions, those of each head; else numbers from 0."""
        columns, positions = matrix.numbers.shape[1], len(self.by_position.texts)
        if matrix.columns not in (Axis.TOKENS, Axis.KEYS, Axis.HEADS_BY_KEYS):
            return LabelCells(range(columns))
        texts, formulas, heads = self.by_position.texts, self.by_position.formulas, columns // positions
        return LabelCells([*texts] * heads, [*formulas] * heads if formulas else None)

    def why(self, matrix: StepMatrix) -> str:
        """Why it is there, where nothing beside would cut the sentence."""
        room = matrix.numbers.shape[1] * style.NUMBER_WIDTH
        return matrix.why if self.has_room or len(f"{matrix.title}   {matrix.why}") <= room else ""

    def put_matrix(
        self, area: Area, matrix: StepMatrix, cells: Cells | None, *, label_column: int, link: str = ""
    ) -> None:
        """A matrix with its head and labels; the head takes the four rows over it. link: where its name leads."""
        book, tab = self.book, area.tab
        if link:
            book.sheets[tab].write_url(area.row - 4, area.column, link, book.format("stage link lined"), matrix.name)
        else:
            book.text(tab, area.row - 4, area.column, matrix.name, "stage")
        book.stage_title(tab, area.row - 3, area.column, matrix.title, self.why(matrix))
        book.text(tab, area.row - 2, area.column, matrix.words, "words")
        rows, columns = self.row_labels(matrix), self.column_labels(matrix)
        for number in range(area.rows if label_column >= 0 else 0):
            self.put_label(tab, area.row + number, label_column, rows, number, "token")
        for number in range(area.columns):
            self.put_label(tab, area.row - 1, area.column + number, columns, number, "head token")
        if cells:
            guarded = {box: self.given.guarded(text) for box, text in cells.items()}
            book.put(Formulas(area, matrix.numbers.tolist(), guarded), number_format(matrix, live=True))
        else:
            book.put(Numbers(area, matrix.numbers), number_format(matrix, live=False))
        self.colours.put(area, matrix)
        self.colours.leave_labels_white(area, matrix, label_column)

    def put_label(self, tab: str, row: int, column: int, labels: LabelCells, number: int, kind: str) -> None:
        text = labels.texts[number]
        if labels.formulas:
            self.book.formula(tab, row, column, f"={labels.formulas[number]}", text, kind)
        elif isinstance(text, str):
            self.book.text(tab, row, column, text, kind)
        else:
            self.book.number(tab, row, column, text, "head" if kind == "head token" else "position")

    # -------------------------------------------------------------------------------------------- tables

    def write_tables(self) -> None:
        """The tabs of the gradient check and of the graph of Values, where there are such."""
        if self.training.gradient_check:
            checks = [
                (c.weight, c.row, c.column, c.value, c.backprop, c.numeric, c.value_graph, c.difference)
                for c in self.training.gradient_check
            ]
            self.write_table(CHECK, "The gradient of every weight, found in three ways", CHECK_COLUMNS, checks)
            self.say_of_which_word(CHECK)
        if self.training.value_graph:
            head = {
                **dict.fromkeys(("node", "name", "operation", "children"), "plain"),
                "value": "fine",
                "local derivatives": "plain",
                "gradient": "fine",
            }
            nodes = [
                (
                    n.node, n.name, n.operation, " ".join(map(str, n.children)), n.value,
                    " ".join(f"{slope:.6g}" for slope in n.slopes), n.gradient,
                )
                for n in self.training.value_graph
            ]  # fmt: skip
            self.write_table(GRAPH, "Every number from the weights to the loss, and what it was made of", head, nodes)

    def say_of_which_word(self, tab: str) -> None:
        """These numbers don't follow the word: nudging and Values would need the whole sheet again for each weight."""
        word = self.given.word
        book, here = self.book, f"of the first step on {word!r}, computed when this file was written"
        if not self.given.types_words:
            book.text(tab, 1, LABEL_COLUMNS, here, "words")
            return
        other = f"{here}: NOT of the word that is typed now. train-step makes them for another word"
        text = f"=IF(EXACT(word,{text_literal(word)}),{text_literal(here)},{text_literal(other)})"
        book.formula(tab, 1, LABEL_COLUMNS, text, here, "words")
        warning = {"type": "formula", "criteria": f"=NOT(EXACT(word,{text_literal(word)}))"}
        form = book.conditional({"font_color": style.WARNING, "bold": True})
        book.sheets[tab].conditional_format(1, LABEL_COLUMNS, 1, LABEL_COLUMNS, {**warning, "format": form})

    def write_table(self, tab: str, heading: str, head: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
        """A table of values. head: each column's title, and the format of its cells."""
        self.book.add_tab(tab, heading, len(head))
        self.book.sheets[tab].set_column(0, len(head) - 1, 20)
        for column, text in enumerate(head):
            self.book.text(tab, 2, column, text, "table head")
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
        columns = [np.array(column) if isinstance(column[0], float) else column for column in columns]
        self.book.put_table(Table(Area(tab, 3, 0, len(rows), len(head)), columns), list(head.values()))


def link_to(area: Area, above: int) -> str:
    """A link to a matrix's head."""
    return f"internal:'{area.tab}'!{cell(area.row - above, area.column)}"
