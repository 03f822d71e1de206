"""What every training workbook has: how a named matrix stands, the index, the tables; and a larger model's on tabs.

A small model's, step under step, is `training`'s. The numbers come from `train_step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.ops import Box
from sheetgpt.models.gpt2 import Step
from sheetgpt.training.step import NUDGE_SHOWN, OneStep, Training, readable
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers, Table
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS, MAX_COLUMNS, Area, tab_of, weight_tab

LOSS, CHECK, GRAPH = "loss", "gradient_check", "value_graph"

Cells = Mapping[Box, str]  # the formula of each piece of a matrix


@dataclass(frozen=True)
class Labels:
    """The labels of a matrix's rows or columns: texts or numbers, and where they are live the cells they come from."""

    texts: Sequence
    formulas: Sequence[str] | None = None


class TrainingBook:
    """What both forms share: index, loss, gradient check, graph of Values, and how a matrix is written."""

    def __init__(self, training: Training):
        self.training, self.example, self.settings = training, training.example, training.settings
        self.stage_steps: dict[str, Step] = {step.name: step for step in training.loss.steps}
        self.book = Book(title=f"Training: {training.text or 'token ids'}"[:200])
        self.vocabulary = [readable(training.model, i) for i in range(training.model.config.n_vocab)]
        self.book.add_tab(INDEX)

    def title(self, name: str) -> tuple[str, str]:
        """(title, words) of a matrix."""
        for prefix, title, words in KINDS:
            if name.startswith(prefix):
                return title, words
        if name in self.stage_steps:
            return self.stage_steps[name].title, self.stage_steps[name].words
        return "weights", "before the step"

    def labels(self, name: str, shape: tuple[int, int]) -> tuple[Labels, Labels]:
        """(labels of the rows, labels of the columns)."""
        base = base_name(name)
        step = self.stage_steps.get(base)
        by_position = Labels(self.example.context)
        if step is None:
            by_token = shape[0] == len(self.vocabulary)
            return Labels(self.vocabulary if by_token else range(shape[0])), Labels(range(shape[1]))
        rows = {"vocabulary": Labels(self.vocabulary), "tokens": by_position}.get(step.rows, Labels([""] * shape[0]))
        turned = step.rows == "vocabulary" or base == "penalties" or step.columns == "keys"
        columns = by_position if turned else Labels(range(shape[1]))
        return rows, columns

    def put_matrix(self, area: Area, name: str, matrix: np.ndarray, cells: Cells | None, *, label_column: int) -> None:
        """A matrix with its head and labels; the head takes the four rows over it."""
        book, tab = self.book, area.tab
        title, words = self.title(name)
        book.text(tab, area.row - 4, area.column, name, "stage")
        book.text(tab, area.row - 3, area.column, title, "stage title")
        book.text(tab, area.row - 2, area.column, words, "words")
        rows, columns = self.labels(name, matrix.shape)
        for number in range(area.rows):
            self.put_label(tab, area.row + number, label_column, rows, number, "token")
        for number in range(area.columns):
            self.put_label(tab, area.row - 1, area.column + number, columns, number, "head token")
        is_weight = not name.startswith(("d_", "mean_", "square_")) and name not in self.stage_steps
        kind = "gradient" if name.startswith(("d_", "nudged_slope", "mean_", "square_")) else "number"
        if cells:
            book.put(Formulas(area, matrix.tolist(), cells), f"live {kind}")
        else:
            book.put(Numbers(area, matrix), "parameter" if is_weight else kind)
        largest = float(np.abs(matrix).max(initial=0)) or 1.0
        scale = style.gradient_scale(largest) if name.startswith("d_") else style.SHARE_SCALE
        if name.startswith("d_") or name == "probabilities" or name.endswith("_step_7"):
            corners = (area.row, area.column, area.row + area.rows - 1, area.column + area.columns - 1)
            book.sheets[tab].conditional_format(*corners, scale)

    def put_label(self, tab: str, row: int, column: int, labels: Labels, number: int, kind: str) -> None:
        text = labels.texts[number]
        if labels.formulas:
            self.book.formula(tab, row, column, f"={labels.formulas[number]}", text, kind)
        elif isinstance(text, str):
            self.book.text(tab, row, column, text, kind)
        else:
            self.book.number(tab, row, column, text, "head" if kind == "head token" else "position")

    def write_tables(self) -> None:
        """The tabs of the gradient check and of the graph of Values, where there are such."""
        if self.training.gradient_check:
            rows = [
                (c.weight, c.row, c.column, c.value, c.backprop, c.numeric, c.value_graph, c.difference)
                for c in self.training.gradient_check
            ]
            head = ["weight", "row", "column", "value", "backprop", "numeric", "value graph", "largest difference"]
            self.write_table(CHECK, "The gradient of every weight, found in three ways", head, rows)
        if self.training.value_graph:
            head = ["node", "name", "operation", "children", "value", "local derivatives", "gradient"]
            rows = [
                (
                    n.node, n.name, n.operation, " ".join(map(str, n.children)), n.value,
                    " ".join(f"{slope:.6g}" for slope in n.slopes), n.gradient,
                )
                for n in self.training.value_graph
            ]  # fmt: skip
            self.write_table(GRAPH, "Every number from the weights to the loss, and what it was made of", head, rows)

    def write_table(self, tab: str, heading: str, head: list[str], rows: list[tuple]) -> None:
        self.book.add_tab(tab, heading, len(head))
        self.book.sheets[tab].set_column(0, len(head) - 1, 20)
        for column, text in enumerate(head):
            self.book.text(tab, 2, column, text, "table head")
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns = [np.array(column) if isinstance(column[0], float) else column for column in columns]
        kinds = [{float: "exact", int: "rank"}.get(type(cell), "plain") for cell in rows[0]]
        self.book.put_table(Table(Area(tab, 3, 0, len(rows), len(head)), columns), kinds)

    def write_index(self) -> None:
        book, sheet = self.book, self.book.sheets[INDEX]
        sheet.set_column(1, 1, 25)
        sheet.set_column(2, 2, 60)
        book.text(INDEX, 0, 1, "A training step, number by number", "title")
        sheet.set_row(0, 30)
        told = "Weights, stages, loss, gradients (d_), the optimiser's state and the new weights, each under its name."
        book.text(INDEX, 1, 1, told, "subtitle")
        steps = self.training.steps
        facts = [
            ("Text", self.training.text if self.training.text is not None else "(token ids)"),
            ("Model", self.training.model.config.model),
            ("Steps", len(steps)),
            ("Optimiser", self.settings.optimizer),
            ("Learning rate", f"{self.settings.learning_rate:g}"),
            ("Gradient by", self.settings.gradient),
            ("Loss before", f"{steps[0].loss:.6f}"),
            ("Loss of the last step", f"{steps[-1].loss:.6f}"),
        ]
        for row, (key, value) in enumerate(facts, start=3):
            book.text(INDEX, row, 1, key, "key")
            if isinstance(value, str):
                book.text(INDEX, row, 2, value, "text")
            else:
                book.number(INDEX, row, 2, value, "value")
        row = 5 + len(facts)
        for number, tab in enumerate(name for name in book.sheets if name != INDEX):
            sheet.write_url(row + number, 1, f"internal:'{tab}'!A1", book.format("link"), tab)


KINDS = (  # the beginning of a name, what such a matrix is, and how it is made
    ("d_", "gradient", "how the loss rises with each cell"),
    ("mean_", "mean of gradients", "beta1 * before + (1 - beta1) * d"),
    ("square_", "mean of squares", "beta2 * before + (1 - beta2) * d^2"),
    ("new_", "weights after", "moved against d"),
    ("target_share", "came", "share of positions"),
    ("nudged_loss", "nudged", f"loss if {NUDGE_SHOWN} more"),
    ("nudged_slope", "slope", f"(nudged - loss) / {NUDGE_SHOWN}"),
)


def base_name(name: str) -> str:
    """The stage or weight that a matrix belongs to.

    >>> base_name("d_model_wte"), base_name("logits")
    ('model_wte', 'logits')
    """
    for prefix in ("d_", "mean_", "square_", "new_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


# ------------------------------------------------------------------------------------------------ a larger model


class OnTabs(TrainingBook):
    """One step, matrix under matrix, on tabs by block; gradients of stages on tabs of their own."""

    def write(self, path: Path) -> Path:
        step = self.training.steps[0]
        self.write_loss_table(step)
        by_tab: dict[str, list[str]] = {}
        for name in step.matrices:
            by_tab.setdefault(self.tab(name), []).append(name)
        for tab, names in by_tab.items():
            self.book.add_tab(tab, tab.replace("_", " "), max(step.matrices[name].shape[1] for name in names) + 2)
            row = 2
            for name in names:
                matrix = step.matrices[name]
                if matrix.shape[1] + LABEL_COLUMNS > MAX_COLUMNS:
                    raise DumpError(f"{name} has {matrix.shape[1]:,} columns, more than a sheet: use --dump-csv")
                area = Area(tab, row + 4, LABEL_COLUMNS, *matrix.shape)
                self.put_matrix(area, name, matrix, None, label_column=1)
                self.book.define(name, area.address())
                row = area.row + area.rows + 1
        self.write_tables()
        self.write_index()
        self.book.save(path)
        return path

    def tab(self, name: str) -> str:
        base = base_name(name)
        if base in self.stage_steps:
            tab = tab_of(self.stage_steps[base])
            return f"d_{tab}" if name.startswith("d_") else tab
        tab = weight_tab(base)
        return tab if tab.startswith("weights") else f"weights_{tab}"

    def write_loss_table(self, step: OneStep) -> None:
        head = ["position", "context", "target", "probability", "penalty", "share"]
        rows = [tuple(getattr(row, name) for name in head) for row in self.training.loss_table(step)]
        self.write_table(LOSS, f"Loss {step.loss:.6f}: the mean of the penalties", head, rows)
