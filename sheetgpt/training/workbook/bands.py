"""The training workbook: each step's weights, stages, gradients, optimiser's state and new weights, as named matrices.

A small model's step is one band of rows on the tab `training`, the next step's band under it; with formulas,
everything follows from the word that is typed in. A larger model's one step stands on tabs, matrix under matrix, as
values. What the formulas say stands in `ops`; the numbers come from `training.step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.ops import Box
from sheetgpt.training.optimizers import is_decayed
from sheetgpt.training.step import NUDGE_SHOWN, OneStep, Training
from sheetgpt.training.workbook.tabs import LOSS, Cells, Labels, OnTabs, TrainingBook
from sheetgpt.workbook import style
from sheetgpt.workbook.cells import Numbers
from sheetgpt.workbook.places import LABEL_COLUMNS, Area, cell
from sheetgpt.workbook.references import GradientInput, Names, Source, formulas

TRAINING, VOCABULARY, POSITIONS = "training", "vocabulary", "positions"
WIDEST_BAND = 6000  # columns; a model whose step is wider stands on tabs
MOST_FORMULAS = 200_000
GIVEN_ROW, BANDS_ROW = 12, 20  # of the tab `training`: what is learned from, then the steps
BAND_HEAD = 5  # rows over a band's matrices: the step and its loss, name, title, shape, column labels
SETTINGS_ROW = 4
ROOM = 8  # positions that a live workbook has room for, at least


def is_small(training: Training) -> bool:
    """Does a step fit into one band?"""
    return sum(matrix.shape[1] + 2 for matrix in training.steps[0].matrices.values()) <= WIDEST_BAND


def can_be_live(training: Training) -> bool:
    """Can its gradients be formulas? Those of a step that fits into one band."""
    return is_small(training)


def write_training(training: Training, path: Path, *, live: bool = False) -> Path:
    """Write the workbook. Returns its path. Raises DumpError where it would be too large, or formulas can't be."""
    if live and not can_be_live(training):
        raise DumpError("this model is too large for gradients as formulas: dump it without --formulas")
    if live and training.settings.gradient != "backprop":
        raise DumpError("formulas are those of backprop: leave --gradient out")
    if not is_small(training):
        if len(training.steps) > 1:
            raise DumpError("this model is too large for several steps in a workbook: use --steps 1, or --dump-csv")
        return OnTabs(training).write(path)
    return _InBands(training, live).write(path)


# ------------------------------------------------------------------------------------------------ bands


class _InBands(TrainingBook):
    """Step under step on one tab; with formulas where `live`."""

    def __init__(self, training: Training, live: bool):
        super().__init__(training)
        self.live, self.names = live, Names()
        self.tokenizer = training.model.tokenizer
        self.types_words = live and self.tokenizer is not None and self.tokenizer.has_characters_only
        self.sources: dict[str, Source] = {}
        self.losses: list[str] = []  # the cell of each step's loss
        count = len(self.example.ids)
        self.given = {name: Area(TRAINING, GIVEN_ROW + row, LABEL_COLUMNS, 1, count) for row, name in enumerate(GIVEN)}

    def write(self, path: Path) -> Path:
        width = sum(matrix.shape[1] + 2 for matrix in self.training.steps[0].matrices.values())
        self.book.add_tab(TRAINING, "Training, step under step", width + LABEL_COLUMNS)
        sheet = self.book.sheets[TRAINING]
        sheet.set_column(0, 0, 16)
        sheet.set_column(1, 1, 9)
        sheet.set_column(LABEL_COLUMNS, LABEL_COLUMNS + width, 8.5)
        sheet.fit_to_pages(1, 0)
        self.write_settings()
        self.write_given()
        self.write_positions()
        row, before = BANDS_ROW, None
        for step in self.training.steps:
            row, before = self.write_band(step, row, before)
        self.write_curve()
        if self.types_words:
            self.write_vocabulary()
        self.write_tables()
        self.write_index()
        for name, refers_to in self.names.items():
            self.book.define(name, refers_to)
        self.book.save(path)
        return path

    # -------------------------------------------------------------------------------------------- what is given

    def write_settings(self) -> None:
        """The word to type, and the constants of the update."""
        book, settings = self.book, self.settings
        book.text(TRAINING, 2, 0, "word", "key")
        book.text(TRAINING, 2, LABEL_COLUMNS, self.training.text or "", "input" if self.types_words else "plain")
        if self.types_words:
            self.names["word"] = Area(TRAINING, 2, LABEL_COLUMNS, 1, 1).address()
            room = len(self.example.ids) - 1
            told = f"type another word of up to {room} letters; everything below follows"
            warning = f'IF(LEN(word)>{room},"too long: {room} letters at most","{told}")'
            book.formula(TRAINING, 2, LABEL_COLUMNS + 2, f"={warning}", told, "words")
        constants = {"learning_rate": settings.learning_rate}
        if settings.weight_decay:
            constants["weight_decay"] = settings.weight_decay
        if settings.optimizer == "adamw":
            constants |= {"beta1": settings.beta1, "beta2": settings.beta2, "epsilon": settings.epsilon}
        if self.training.steps[0].nudged:
            constants["nudge"] = NUDGE_SHOWN
        for row, (name, value) in enumerate(constants.items(), start=SETTINGS_ROW):
            book.text(TRAINING, row, 0, name, "key")
            book.number(TRAINING, row, LABEL_COLUMNS, value, "exact input" if self.live else "exact")
            self.names[name] = Area(TRAINING, row, LABEL_COLUMNS, 1, 1).address()

    def write_given(self) -> None:
        """Position by position: the token before, the token to come, and its share of the loss."""
        shown = {
            "positions": range(len(self.example.ids)),
            "context": self.example.context,
            "final_tokens": self.example.ids.tolist(),
            "coming": self.example.coming,
            "targets": self.example.targets.tolist(),
            "share": self.example.share.tolist(),
        }
        for name, title in GIVEN.items():
            area = self.given[name]
            self.book.text(TRAINING, area.row, 0, title, "key")
            if name not in ("positions", "context", "coming"):
                self.sources[name] = Source(name, area, vector=name != "share")
                self.names[name] = area.address()
            for number, value in enumerate(shown[name]):
                self.put_given(area.row, area.column + number, name, number, value)

    def write_positions(self) -> None:
        """Positions under each other, as formulas of attention want them."""
        count = len(self.example.ids)
        area = Area(POSITIONS, 2, 0, count, 1)
        self.book.add_tab(POSITIONS, "The positions, one under the other", 1)
        self.book.put(Numbers(area, np.arange(count, dtype=float)[:, None]), "head")
        self.sources["positions"] = Source("positions", area, vector=True)
        self.names["positions"] = area.address()

    def put_given(self, row: int, column: int, name: str, number: int, value) -> None:
        book = self.book
        kind = {"positions": "head", "share": "number"}.get(name, "live piece" if self.types_words else "piece")
        if self.types_words and name != "positions":
            book.formula(TRAINING, row, column, f"={self.given_formula(name, number)}", value, kind)
        elif isinstance(value, str):
            book.text(TRAINING, row, column, value, "piece")
        else:
            editable = self.live and name in ("final_tokens", "targets")
            book.number(TRAINING, row, column, value, "input number" if editable else kind)

    def given_formula(self, name: str, k: int) -> str:
        """How one position follows from the word."""
        here = {one: area.part(column=k, columns=1).range() for one, area in self.given.items()}
        end_id = self.tokenizer.end_of_text
        end = quoted(self.vocabulary[end_id])
        if name == "coming":
            return f'IF({k}<LEN(word),MID(word,{k + 1},1),IF({k}=LEN(word),{end},""))'
        if name == "share":
            return f"IF({k}<=LEN(word),1/(LEN(word)+1),0)"
        if name == "targets":
            found = f"EXACT(vocabulary,{here['coming']})"
            known = f"IF(SUMPRODUCT(1*{found})=0,NA(),SUMPRODUCT({found}*token_ids))"
            return f'IF({here["coming"]}="",0,{known})'
        if k == 0:
            return end if name == "context" else str(end_id)
        before = {one: area.part(column=k - 1, columns=1).range() for one, area in self.given.items()}
        if name == "context":
            return f'IF({k}>LEN(word),"",{before["coming"]})'
        return f'IF({before["coming"]}="",{end_id},{before["targets"]})'

    def write_vocabulary(self) -> None:
        book, count = self.book, len(self.vocabulary)
        book.add_tab(VOCABULARY, "The tokens that the model knows", 2)
        for row, token in enumerate(self.vocabulary):
            book.number(VOCABULARY, 3 + row, 0, row, "position")
            book.text(VOCABULARY, 3 + row, 1, token, "token")
        self.names["token_ids"] = Area(VOCABULARY, 3, 0, count, 1).address()
        self.names["vocabulary"] = Area(VOCABULARY, 3, 1, count, 1).address()

    # -------------------------------------------------------------------------------------------- one step

    def labels(self, name: str, shape: tuple[int, int]) -> tuple[Labels, Labels]:
        found = super().labels(name, shape)
        if not self.types_words:
            return found
        area = self.given["context"]
        refer = [area.part(column=k, columns=1).range(fixed=True) for k in range(area.columns)]
        return tuple(Labels(one.texts, refer) if one.texts is self.example.context else one for one in found)

    def write_band(self, step: OneStep, row: int, before: OneStep | None) -> tuple[int, OneStep]:
        """One step's matrices side by side. Returns the first row after them, and the step."""
        previous, self.sources = self.sources, {name: self.sources[name] for name in ("positions", *GIVEN_MATRICES)}
        column, areas, prefix = LABEL_COLUMNS, {}, "" if step.number == 1 else f"step_{step.number}_"
        for name, matrix in step.matrices.items():
            areas[name] = Area(TRAINING, row + BAND_HEAD, column, *matrix.shape)
            self.sources[name] = Source(prefix + name, areas[name], heads=self.training.model.config.n_head)
            self.names[prefix + name] = areas[name].address()
            column += matrix.shape[1] + 2
        cells = self.band_formulas(step, previous if before else None, prefix) if self.live else {}
        if len(cells) and step.number == 1:
            self.check_size(cells)
        for name, matrix in step.matrices.items():
            self.put_matrix(areas[name], name, matrix, cells.get(name), label_column=areas[name].column - 1)
        self.book.text(TRAINING, row, 0, f"step {step.number}", "stage")
        self.book.text(TRAINING, row + 1, 0, "loss", "key")
        loss = Area(TRAINING, row + 1, 1, 1, 1)
        self.names[prefix + "loss"] = loss.address()
        self.losses.append(loss.range(fixed=True))
        if step.number == 1:
            self.first_penalties = areas["penalties"]
        formula = f"SUMPRODUCT({areas['penalties'].range()},{self.given['share'].range(fixed=True)})"
        if self.live:
            self.book.formula(TRAINING, loss.row, loss.column, f"={formula}", step.loss, "live loss")
        else:
            self.book.number(TRAINING, loss.row, loss.column, step.loss, "live loss")
        return row + BAND_HEAD + max(area.rows for area in areas.values()) + 2, step

    def check_size(self, cells: Mapping[str, Cells]) -> None:
        count = sum(map(len, cells.values())) * len(self.training.steps)
        if count > MOST_FORMULAS:
            raise DumpError(
                f"{count:,} formulas are more than spreadsheet programs can recalculate ({MOST_FORMULAS:,}): "
                "give fewer --steps"
            )

    def band_formulas(self, step: OneStep, previous: dict[str, Source] | None, prefix: str) -> dict[str, Cells]:
        """The formulas of every matrix of a step."""
        found: dict[str, Cells] = {}
        if previous:  # the weights are those after the step before
            found |= {name: {(0, 0, *matrix.shape): previous[f"new_{name}"].name}
                      for name, matrix in step.weights.items()}  # fmt: skip
        for one in self.training.loss.steps:
            if one.name in step.stages:
                sources = [self.sources[name] for name in one.inputs]
                out = self.sources[one.name].area
                found[one.name] = {slot.box: text for slot, text, _ in formulas(one.op, out, sources, self.names)}
        found["d_penalties"] = {(0, 0, 1, len(self.example.ids)): "share"}
        found |= self.backward_formulas()
        for name in step.weights:
            found |= self.update_formulas(name, step, previous)
        if step.nudged:
            found |= self.nudge_formulas(step, prefix)
        return found

    def matrix(self, name: str) -> GradientInput:
        return GradientInput(self.sources[name], TRAINING)

    def backward_formulas(self) -> dict[str, Cells]:
        found: dict[str, Cells] = {}
        for one in reversed(self.training.loss.steps):
            if f"d_{one.name}" not in self.sources:
                continue
            inputs = [self.matrix(name) for name in one.inputs]
            given = one.op.gradient_formula(self.matrix(f"d_{one.name}"), self.matrix(one.name), *inputs)
            for name, cells in zip(one.inputs, given, strict=True):
                if cells:
                    summed(found.setdefault(f"d_{name}", {}), cells)
        return found

    def update_formulas(self, name: str, step: OneStep, previous: dict[str, Source] | None) -> dict[str, Cells]:
        """The optimiser's state and the new weights. (Kingma and Ba 2015; Loshchilov and Hutter 2019)"""
        box = (0, 0, *step.weights[name].shape)
        old, d = self.matrix(name), self.matrix(f"d_{name}")
        kept = f"{old}*(1-learning_rate*weight_decay)" if self.settings.weight_decay and is_decayed(name) else f"{old}"
        if self.settings.optimizer == "sgd":
            return {f"new_{name}": {box: f"{kept}-learning_rate*{d}"}}
        mean, square = f"(1-beta1)*{d}", f"(1-beta2)*{d}^2"
        if previous:
            mean = f"beta1*{previous[f'mean_{name}'].name}+{mean}"
            square = f"beta2*{previous[f'square_{name}'].name}+{square}"
        t = step.number
        moved = f"({self.matrix(f'mean_{name}')}/(1-beta1^{t}))"
        spread = f"(SQRT({self.matrix(f'square_{name}')}/(1-beta2^{t}))+epsilon)"
        new = f"{kept}-learning_rate*{moved}/{spread}"
        return {f"mean_{name}": {box: mean}, f"square_{name}": {box: square}, f"new_{name}": {box: new}}

    def nudge_formulas(self, step: OneStep, prefix: str) -> dict[str, Cells]:
        """The die's gradient by nudging: the loss with one weight a little higher, for each."""
        weights, counts, nudged = (self.matrix(name) for name in ("model_logits", "target_share", "nudged_loss"))
        targets, share = (self.given[name].range(fixed=True) for name in ("targets", "share"))
        found: dict[str, dict[Box, str]] = {name: {} for name in step.nudged}
        for row in range(weights.rows):
            box = (row, 0, 1, 1)
            found["target_share"][box] = f"SUMIF({targets},{row},{share})"
            hit = f"(SUMPRODUCT({weights},{counts})+nudge*{counts.cell(row, 0)})/(SUM({weights})+nudge)"
            found["nudged_loss"][box] = f"1-{hit}"
            found["nudged_slope"][box] = f"({nudged.cell(row, 0)}-{prefix}loss)/nudge"
        return found

    # -------------------------------------------------------------------------------------------- the loss

    def write_curve(self) -> None:
        """The tab of the losses: the first step's predictions, the loss of every step, and its curve."""
        book, first = self.book, self.training.steps[0]
        book.add_tab(LOSS, "Loss: the penalties of the first step, and the loss of every step", 6)
        book.sheets[LOSS].set_column(0, 5, 13)
        for column, text in enumerate(("position", "context", "target", "probability", "penalty", "share")):
            book.text(LOSS, 2, column, text, "table head")
        penalties, count = self.first_penalties, len(self.example.ids)
        rows = self.training.loss_table(first)
        for k in range(count if self.live else len(rows)):
            at, used = 3 + k, k < len(rows)
            values = [k, rows[k].context, rows[k].target, rows[k].probability, rows[k].penalty] if used else [""] * 5
            values.append(rows[k].share if used else 0.0)
            areas = [self.given[name].part(column=k, columns=1).address() for name in ("context", "coming", "share")]
            penalty = penalties.part(column=k, columns=1).address()
            probability = self.training.loss.penalty.probability_formula(penalty)
            texts = [str(k), areas[0], areas[1], probability, penalty]
            for column, (text, value) in enumerate(zip(texts, values, strict=False)):
                self.put_live(at, column, f'IF({areas[2]}=0,"",{text})', value)
            self.put_live(at, 5, areas[2], values[5])
        row = 5 + count
        for column, text in enumerate(("step", "loss")):
            book.text(LOSS, row, column, text, "table head")
        for step, address in zip(self.training.steps, self.losses, strict=True):
            book.number(LOSS, row + step.number, 0, step.number, "rank")
            self.put_live(row + step.number, 1, f"{TRAINING}!{address}", step.loss)
        if len(self.training.steps) > 1:
            for tab, where in ((LOSS, cell(2, 7)), (TRAINING, cell(2, LABEL_COLUMNS + 12))):
                chart = style.loss_chart(book.workbook, LOSS, row + 1, len(self.training.steps))
                book.sheets[tab].insert_chart(where, chart, {"object_position": 3})

    def put_live(self, row: int, column: int, formula: str, value) -> None:
        kind = "exact" if isinstance(value, float) else "plain"
        if self.live:
            self.book.formula(LOSS, row, column, f"={formula}", value, kind)
        elif isinstance(value, str):
            self.book.text(LOSS, row, column, value)
        else:
            self.book.number(LOSS, row, column, value, kind)


GIVEN = {  # rows of the tab `training`
    "positions": "position",
    "context": "token before",
    "final_tokens": "its id",
    "coming": "token to come",
    "targets": "its id",
    "share": "share of the loss",
}
GIVEN_MATRICES = ("final_tokens", "targets", "share")


def summed(found: dict[Box, str], cells: Iterable[tuple[Box, str]]) -> None:
    """Add formulas to those of the same pieces: what goes several ways has the sum of their gradients."""
    for box, text in cells:
        found[box] = f"{found[box]}+{text}" if box in found else text


def quoted(text: str) -> str:
    """A text in a formula."""
    return '"' + text.replace('"', '""') + '"'
