"""A small model's training steps: each a band of rows on the tab `training`, the next step's band under it.

With formulas, everything follows from the word that is typed in (`given`) and from the weights of the first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.errors import DumpError
from sheetgpt.training.matrices import NUDGE_SHOWN, in_step
from sheetgpt.training.step import OneStep, Training
from sheetgpt.training.workbook.formulas import Sources, StepFormulas
from sheetgpt.training.workbook.given import Given, Row
from sheetgpt.training.workbook.layout import BAND_HEAD, BANDS_ROW, LOSS, SETTINGS_ROW, TRAINING
from sheetgpt.training.workbook.shared import Cells, LabelCells, TrainingBook
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import LABEL_COLUMNS
from sheetgpt.workbook.references import Names, Source

MOST_FORMULAS = 200_000
WORD_ROW = 2
LOSS_ROW = 3  # of the tab of the losses: the first prediction's


class Bands(TrainingBook):
    """Step under step on one tab; with formulas where `live`."""

    def __init__(self, training: Training, *, live: bool) -> None:
        super().__init__(training)
        self.live = live
        self.names: Names = {}
        self.given = Given(self.book, training, self.vocabulary, live=live)
        if self.given.types_words:
            contexts = [self.given.here(Row.CONTEXT, k).range(fixed=True) for k in range(len(self.example.ids))]
            self.by_position = LabelCells(self.example.context, contexts)
        self.losses: list[Area] = []  # the cell of each step's loss
        self.penalties: list[Area] = []  # of each step

    def write(self, path: Path) -> Path:
        width = sum(matrix.shape[1] + 2 for matrix in self.training.steps[0].matrices.values())
        self.book.add_tab(TRAINING, "Training, step under step", width + LABEL_COLUMNS)
        sheet = self.book.sheets[TRAINING]
        sheet.set_column(0, 0, 16)
        sheet.set_column(1, 1, 9)
        sheet.set_column(LABEL_COLUMNS, LABEL_COLUMNS + width, 8.5)
        sheet.fit_to_pages(1, 0)
        self.given.write_word(WORD_ROW)
        self.write_settings()
        self.given.write()
        self.given.write_positions()
        row = BANDS_ROW
        sources: Sources = {}
        for step in self.training.steps:
            row, sources = self.write_band(step, row, sources)
        self.write_losses()
        if self.given.types_words:
            self.given.write_vocabulary()
        self.write_tables()
        self.write_index()
        for name, refers_to in {**self.given.names, **self.names}.items():
            self.book.define(name, refers_to)
        self.book.save(path)
        return path

    def write_settings(self) -> None:
        """The constants of the update."""
        settings, constants = self.settings, {"learning_rate": self.settings.learning_rate}
        if settings.weight_decay:
            constants["weight_decay"] = settings.weight_decay
        if settings.optimizer == "adamw":
            constants |= {"beta1": settings.beta1, "beta2": settings.beta2, "epsilon": settings.epsilon}
        if self.training.steps[0].nudged:
            constants["nudge"] = NUDGE_SHOWN
        for row, (name, value) in enumerate(constants.items(), start=SETTINGS_ROW):
            self.book.text(TRAINING, row, 0, name, "key")
            self.book.number(TRAINING, row, LABEL_COLUMNS, value, "exact input" if self.live else "exact")
            self.names[name] = Area(TRAINING, row, LABEL_COLUMNS, 1, 1).address()

    # -------------------------------------------------------------------------------------------- one step

    def write_band(self, step: OneStep, row: int, previous: Sources) -> tuple[int, Sources]:
        """One step's matrices side by side. Returns the first row after them, and where each stands."""
        areas = self.side_by_side(step, row + BAND_HEAD)
        heads = self.training.model.config.n_head
        sources = {name: Source(in_step(step.number, name), area, heads=heads) for name, area in areas.items()}
        self.names |= {source.name: source.area.address() for source in sources.values()}
        cells: Mapping[str, Cells] = {}
        if self.live:
            known = {**self.given.sources, **sources}
            cells = StepFormulas(self.training, step, known, previous, self.names).cells()
            if not previous:
                self.require_few(cells)
        for name, matrix in step.described.items():
            self.put_matrix(areas[name], matrix, cells.get(name), label_column=areas[name].column - 1)
        self.penalties.append(areas[self.training.loss.penalties])
        self.write_loss(step, row)
        return row + BAND_HEAD + max(area.rows for area in areas.values()) + 2, sources

    @staticmethod
    def side_by_side(step: OneStep, row: int) -> dict[str, Area]:
        """The area of each matrix of a step, with two columns between."""
        areas, column = {}, LABEL_COLUMNS
        for name, matrix in step.matrices.items():
            rows, columns = matrix.shape
            areas[name] = Area(TRAINING, row, column, rows, columns)
            column += columns + 2
        return areas

    def require_few(self, cells: Mapping[str, Cells]) -> None:
        """Raises DumpError where the workbook would have more formulas than programs can follow."""
        count = sum(map(len, cells.values())) * len(self.training.steps)
        if count > MOST_FORMULAS:
            raise DumpError(
                f"{count:,} formulas are more than spreadsheet programs can recalculate ({MOST_FORMULAS:,})",
                remedy="give fewer --steps",
            )

    def write_loss(self, step: OneStep, row: int) -> None:
        """The step's number and its loss, over the band."""
        book, loss = self.book, Area(TRAINING, row + 1, 1, 1, 1)
        book.text(TRAINING, row, 0, f"step {step.number}", "stage")
        book.text(TRAINING, row + 1, 0, "loss", "key")
        self.names[in_step(step.number, "loss")] = loss.address()
        self.losses.append(loss)
        if self.live:
            share = self.given.areas[Row.SHARE].range(fixed=True)
            formula = f"=SUMPRODUCT({self.penalties[-1].range()},{share})"
            book.formula(TRAINING, loss.row, loss.column, formula, step.loss, "live loss")
        else:
            book.number(TRAINING, loss.row, loss.column, step.loss, "live loss")

    # -------------------------------------------------------------------------------------------- the losses

    def write_losses(self) -> None:
        """The tab of the losses: the first step's predictions, the loss of every step, and its curve."""
        book = self.book
        book.add_tab(LOSS, "Loss: the penalties of the first step, and the loss of every step", 6)
        book.sheets[LOSS].set_column(0, 5, 13)
        for column, text in enumerate(("position", "context", "target", "probability", "penalty", "share")):
            book.text(LOSS, LOSS_ROW - 1, column, text, "table head")
        self.write_predictions()
        row = LOSS_ROW + 2 + len(self.example.ids)
        for column, text in enumerate(("step", "loss")):
            book.text(LOSS, row, column, text, "table head")
        for step, area in zip(self.training.steps, self.losses, strict=True):
            book.number(LOSS, row + step.number, 0, step.number, "rank")
            self.put_live(row + step.number, 1, area.address(), step.loss)
        if len(self.training.steps) > 1:
            for tab, where in ((LOSS, cell(2, 7)), (TRAINING, cell(2, LABEL_COLUMNS + 12))):
                chart = loss_chart(book, row + 1, len(self.training.steps))
                book.sheets[tab].insert_chart(where, chart, {"object_position": 3})

    def write_predictions(self) -> None:
        """A row for each prediction of the first step; where a word is typed, for each that there is room for."""
        rows = self.training.loss_table(self.training.steps[0])
        for k in range(len(self.example.ids) if self.live else len(rows)):
            values: list[str | float] = [""] * 5 + [0.0]
            if k < len(rows):
                one = rows[k]
                values = [k, one.context, one.target, one.probability, one.penalty, one.share]
            context, coming, share = (self.given.here(row, k).address() for row in (Row.CONTEXT, Row.COMING, Row.SHARE))
            penalty = self.penalties[0].part(column=k, columns=1).address()
            texts = [str(k), context, coming, self.training.loss.penalty.probability_formula(penalty), penalty]
            for column, (text, value) in enumerate(zip(texts, values, strict=False)):
                self.put_live(LOSS_ROW + k, column, f'IF({share}=0,"",{text})', value)
            self.put_live(LOSS_ROW + k, len(texts), share, values[-1])

    def put_live(self, row: int, column: int, formula: str, value: str | float) -> None:
        kind = "exact" if isinstance(value, float) else "plain"
        if self.live:
            self.book.formula(LOSS, row, column, f"={formula}", value, kind)
        elif isinstance(value, str):
            self.book.text(LOSS, row, column, value)
        else:
            self.book.number(LOSS, row, column, value, kind)


def loss_chart(book: Book, first_row: int, count: int) -> Any:
    """The loss of each step as a line: steps in column A of the losses' tab, losses in column B."""
    chart: Any = book.workbook.add_chart({"type": "line"})
    last_row = first_row + count - 1
    chart.add_series(
        {
            "name": "loss",
            "categories": [LOSS, first_row, 0, last_row, 0],
            "values": [LOSS, first_row, 1, last_row, 1],
            "line": {"color": style.ACCENT, "width": 2},
        }
    )
    font, line = {"size": 11, "color": style.INK, "bold": True}, {"color": style.LINE}
    chart.set_title({"name": "The loss, step by step", "name_font": font})
    chart.set_legend({"none": True})
    chart.set_x_axis({"num_font": {"size": 9}, "line": line})
    gridlines = {"visible": True, "line": line}
    chart.set_y_axis({"num_font": {"size": 9}, "num_format": "0.00", "major_gridlines": gridlines})
    chart.set_size({"width": 480, "height": 200})
    return chart
