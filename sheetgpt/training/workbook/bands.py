"""A small model's training steps: each a band of rows on the tab `training`, the next step's band under it.

With formulas, everything follows from the word that is typed in (`given`) and from the weights of the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.training.matrices import NUDGE_SHOWN, What, in_step
from sheetgpt.training.step import OneStep, Training
from sheetgpt.training.workbook.formulas import Sources, StepFormulas
from sheetgpt.training.workbook.given import Row
from sheetgpt.training.workbook.index import Index
from sheetgpt.training.workbook.layout import BAND_HEAD, BANDS_ROW, FIRST_MATRIX, LOSS, SETTINGS_ROW, TRAINING
from sheetgpt.training.workbook.losses import LossCells, Losses, place_curve
from sheetgpt.training.workbook.shared import Cells, LabelCells, TrainingBook, link_to
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import INDEX, LABEL_COLUMNS
from sheetgpt.workbook.references import Names, Source

MOST_FORMULAS = 200_000
WIDTH, NUDGE_WIDTH = 8.5, 16  # of columns
NUDGE_TABLE = (What.WEIGHT, What.NUDGED_LOSS, What.NUDGED_SLOPE, What.NEW)  # side by side, one row a token
GROUPS = {  # what begins with such a matrix, as it stands over it
    What.WEIGHT: "THE WEIGHTS",
    What.STAGE: "FORWARD: FROM THE WEIGHTS TO THE PENALTIES",
    What.GRADIENT: "BACKWARD: FROM THE PENALTIES TO THE WEIGHTS",
    What.MEAN: "THE OPTIMISER'S MEMORY",
    What.NEW: "THE WEIGHTS AFTER THE STEP",
}


class Bands(TrainingBook):
    """Step under step on one tab; with formulas where `live`."""

    def __init__(self, training: Training, *, live: bool) -> None:
        super().__init__(training, live=live)
        self.names: Names = {}
        if self.given.types_words:
            contexts = [self.given.here(Row.CONTEXT, k).range(fixed=True) for k in range(len(self.example.ids))]
            self.by_position = LabelCells(self.example.context, contexts)
        self.nudges = bool(training.steps[0].nudged)
        self.areas: dict[str, Area] = {}  # of the first step's matrices
        self.losses: list[Area] = []  # the cell of each step's loss
        self.penalties: list[Area] = []  # of each step

    def write(self, path: Path) -> Path:
        width = sum(matrix.shape[1] + 2 for matrix in self.training.steps[0].matrices.values()) + FIRST_MATRIX
        self.book.add_tab(TRAINING, "Training, step under step", width)
        sheet = self.book.sheets[TRAINING]
        sheet.set_column(0, 0, 16)
        sheet.set_column(1, 1, 9)
        sheet.set_column(LABEL_COLUMNS, width, WIDTH)
        if self.nudges:
            sheet.set_column(FIRST_MATRIX, FIRST_MATRIX + len(NUDGE_TABLE) - 1, NUDGE_WIDTH)
        sheet.fit_to_pages(1, 0)
        self.given.write_word()
        self.write_settings()
        self.given.write()
        self.given.write_positions()
        row = BANDS_ROW
        sources: Sources = {}
        for step in self.training.steps:
            row, sources = self.write_band(step, row, sources)
        first = Losses(self, LossCells(self.losses, self.penalties[0]) if self.live else None).write()
        places = ((LOSS, cell(2, 7)), (TRAINING, cell(2, LABEL_COLUMNS + (6 if self.nudges else 12))))
        place_curve(self.book, first, self.training, *places)
        if self.given.types_words:
            self.given.write_vocabulary()
        self.write_tables()
        Index(self, self.areas, self.losses).write()
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
        self.areas = self.areas or areas
        heads = self.training.model.config.n_head
        sources = {name: Source(in_step(step.number, name), area, heads=heads) for name, area in areas.items()}
        self.names |= {source.name: source.area.address() for source in sources.values()}
        cells: Mapping[str, Cells] = {}
        if self.live:
            known = {**self.given.sources, **sources}
            cells = StepFormulas(self.training, step, known, previous, self.names).cells()
            if not previous:
                self.require_few(cells)
        self.write_groups(step, areas, row)
        for name, area in areas.items():
            matrix = step.described[name]
            beside = self.nudges and matrix.what in NUDGE_TABLE[1:]  # its rows are labelled already
            label_column = -1 if beside else area.column - 1
            link = link_to(areas[matrix.of], 4) if matrix.of != name else f"internal:'{INDEX}'!A1"
            self.put_matrix(area, matrix, cells.get(name), label_column=label_column, link=link)
        self.penalties.append(areas[self.training.loss.penalties])
        self.write_loss(step, row)
        return row + BAND_HEAD + max(area.rows for area in areas.values()) + 2, sources

    def side_by_side(self, step: OneStep, row: int) -> dict[str, Area]:
        """The area of each matrix of a step, from left to right, with two columns between."""
        areas, column = {}, FIRST_MATRIX
        for name, gap in self.in_places(step):
            rows, columns = step.matrices[name].shape
            areas[name] = Area(TRAINING, row, column, rows, columns)
            column += columns + gap
        return areas

    def in_places(self, step: OneStep) -> Iterator[tuple[str, int]]:
        """(name, how many columns stay free after it) of each matrix: in order, but for the table of nudges first."""
        table = {what: one for one in step.described.values() if (what := one.what) in NUDGE_TABLE}
        first = [table[what].name for what in NUDGE_TABLE] if self.nudges else []
        yield from ((name, 2 if name == first[-1] else 0) for name in first)
        yield from ((name, 2) for name in step.described if name not in first)

    def write_groups(self, step: OneStep, areas: Mapping[str, Area], row: int) -> None:
        """Over the first matrix of each kind, what begins there."""
        told: set[What] = {What.WEIGHT, What.NEW} if self.nudges else set()
        if self.nudges:
            text = "EACH WEIGHT, NUDGED: how the loss answers, and where the weight goes"
            self.book.text(TRAINING, row, FIRST_MATRIX, text, "key")
        for name, area in areas.items():
            what = step.described[name].what
            if what in GROUPS and what not in told:
                told.add(what)
                self.book.text(TRAINING, row, area.column, GROUPS[what], "key")

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
        form = "nudged loss" if self.nudges else "live loss"
        book.text(TRAINING, row, 0, f"step {step.number}", "stage")
        book.text(TRAINING, row + 1, 0, "loss", "key")
        book.text(TRAINING, row + 2, 0, f"mean of {self.training.loss.penalty.in_short}", "words")
        self.names[in_step(step.number, "loss")] = loss.address()
        self.losses.append(loss)
        if self.live:
            share = self.given.areas[Row.SHARE].range(fixed=True)
            formula = self.given.guarded(f"SUMPRODUCT({self.penalties[-1].range()},{share})")
            book.formula(TRAINING, loss.row, loss.column, f"={formula}", step.loss, form)
        else:
            book.number(TRAINING, loss.row, loss.column, step.loss, form)
