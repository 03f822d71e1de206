"""The first tab of a training workbook: what was learned from, the loss, and a link to every step and every matrix."""

from __future__ import annotations

from collections.abc import Mapping

from sheetgpt.models.kinds import kind_of
from sheetgpt.training.matrices import LOSS, in_step
from sheetgpt.training.workbook.given import WORD
from sheetgpt.training.workbook.shared import TrainingBook, link_to
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import INDEX

WIDTHS = (3, 25, 34, 14, 70)
SUBTITLE = "Weights, stages, loss, gradients (d_), the optimiser's state and the new weights, each under its name."


class Index:
    """Writes the tab: facts, tabs, steps, matrices."""

    def __init__(self, of: TrainingBook, areas: Mapping[str, Area], steps: list[Area]) -> None:
        """areas: where each matrix of the first step stands; steps: the cell of each step's loss, where it has one."""
        self.of, self.book, self.training = of, of.book, of.training
        self.areas, self.steps = areas, steps

    def write(self) -> None:
        book, sheet = self.book, self.book.sheets[INDEX]
        for column, width in enumerate(WIDTHS):
            sheet.set_column(column, column, width)
        title = f"{kind_of(self.training.model.config).title}: training, number by number"
        book.text(INDEX, 0, 1, title, "title")
        sheet.set_row(0, 30)
        book.text(INDEX, 1, 1, SUBTITLE, "subtitle")
        row = self.write_losses(self.write_facts(3))
        row = self.write_tabs(row + 1)
        row = self.write_steps(row + 1)
        self.write_matrices(row + 1)

    def write_facts(self, row: int) -> int:
        """What stays the same. Returns the row after it."""
        settings, steps = self.training.settings, self.training.steps
        facts: list[tuple[str, str | int]] = [
            ("Model", self.training.model.config.model),
            ("Steps", len(steps)),
            ("Optimiser", settings.optimizer),
            ("Learning rate", "live: on the tab training" if self.of.live else f"{settings.learning_rate:g}"),
            ("Gradient by", settings.gradient),
            ("The loss is", f"the mean of {self.training.loss.penalty.in_short} (p: of what came)"),
        ]
        for at, (key, value) in enumerate(facts, start=row):
            self.book.text(INDEX, at, 1, key, "key")
            if isinstance(value, str):
                self.book.text(INDEX, at, 2, value, "text")
            else:
                self.book.number(INDEX, at, 2, value, "value")
        return row + len(facts)

    def write_losses(self, row: int) -> int:
        """What follows the word, where one is typed. Returns the row after it."""
        steps, given = self.training.steps, self.of.given
        text = self.training.text if self.training.text is not None else "(token ids)"
        self.book.text(INDEX, row, 1, "Text", "key")
        if given.types_words:
            self.book.formula(INDEX, row, 2, f'=""&{WORD}', given.word, "live strong")
        else:
            self.book.text(INDEX, row, 2, text, "text")
        for at, (key, step) in enumerate((("Loss before", steps[0]), ("Loss of the last step", steps[-1])), row + 1):
            self.book.text(INDEX, at, 1, key, "key")
            if self.of.live:
                self.book.formula(INDEX, at, 2, f"={in_step(step.number, LOSS)}", step.loss, "live loss")
            else:
                self.book.number(INDEX, at, 2, step.loss, "live loss")
        return row + 3

    def write_tabs(self, row: int) -> int:
        self.book.text(INDEX, row, 1, "Tabs", "table head")
        for at, tab in enumerate((name for name in self.book.sheets if name != INDEX), start=row + 1):
            self.link(at, 1, f"internal:'{tab}'!A1", tab)
        return row + len(self.book.sheets)

    def write_steps(self, row: int) -> int:
        """A line a step with its loss, where steps stand under each other."""
        if len(self.steps) < 2:
            return row
        self.book.text(INDEX, row, 1, "Steps", "table head")
        self.book.text(INDEX, row, 2, "Loss", "table head")
        for at, (step, area) in enumerate(zip(self.training.steps, self.steps, strict=True), start=row + 1):
            self.link(at, 1, f"internal:'{area.tab}'!{cell(area.row - 1, 0)}", f"step {step.number}")
            if self.of.live:
                self.book.formula(INDEX, at, 2, f"={area.address()}", step.loss, "loss value")
            else:
                self.book.number(INDEX, at, 2, step.loss, "loss value")
        return row + 2 + len(self.steps)

    def write_matrices(self, row: int) -> None:
        """A line a matrix of the first step."""
        for column, text in enumerate(("Matrix (its defined name)", "Title", "Shape", "In words"), start=1):
            self.book.text(INDEX, row, column, text, "table head")
        described = self.training.steps[0].described
        for at, (name, area) in enumerate(self.areas.items(), start=row + 1):
            self.link(at, 1, link_to(area, 4), name)
            self.book.text(INDEX, at, 2, described[name].title)
            self.book.text(INDEX, at, 3, f"{area.rows} x {area.columns}", "shape")
            self.book.text(INDEX, at, 4, described[name].words, "words")

    def link(self, row: int, column: int, target: str, text: str) -> None:
        self.book.sheets[INDEX].write_url(row, column, target, self.book.format("link"), text)
