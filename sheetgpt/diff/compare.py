"""Two runs side by side: every stage that both hold, in causal order, its verdict, its figures and its worst cell.

Here: pairing, layouts, masks, tolerances; all of it data. Reading sides is `sources`', why a stage diverges is
`diagnosis`', printing the command's business. The tolerances' reasons stand in docs/numbers.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.bpe.words import spell
from sheetgpt.diff.sides.side import Matrix, Source, is_blank, number_in
from sheetgpt.errors import DumpError
from sheetgpt.models.sizes import TEXT_STAGES, Setting, tell_setting
from sheetgpt.ops import masked_cells

if TYPE_CHECKING:
    from sheetgpt.diff.diagnosis import Diagnosis

EQUAL, DIFFERENT, NOT_COMPARED = "equal", "different", "missing"


@dataclass(frozen=True)
class Tolerance:
    """A cell is equal when |left - right| <= atol + rtol |right|."""

    atol: float
    rtol: float

    def allowed(self, right: np.ndarray) -> np.ndarray:
        return self.atol + self.rtol * np.abs(right)


TOLERANCES = {  # by the coarser precision of the two sides
    "float64": Tolerance(1e-9, 1e-9),
    "float32": Tolerance(1e-4, 1e-3),
    "float16": Tolerance(1e-2, 2e-2),
}


def tolerance_for(left: Source, right: Source, atol: float | None = None, rtol: float | None = None) -> Tolerance:
    """What is asked for; the rest as the coarser of the two sides' precisions has it."""
    coarser = max((left.dtype, right.dtype), key=lambda dtype: TOLERANCES.get(dtype, TOLERANCES["float64"]).rtol)
    default = TOLERANCES.get(coarser, TOLERANCES["float64"])
    return Tolerance(default.atol if atol is None else atol, default.rtol if rtol is None else rtol)


@dataclass(frozen=True)
class Cell:
    """One cell on both sides, as a person finds it."""

    left_place: str
    right_place: str
    row: str
    column: str
    left: float | str | None
    right: float | str | None


@dataclass(frozen=True)
class StageDiff:
    """One stage's line in the report. Figures leave masked cells out; `note` says what figures can't."""

    stage: str
    title: str
    verdict: str
    shape: tuple[int, int] | None = None
    largest_difference: float | None = None
    largest_relative: float | None = None  # |left - right| / the larger of |left| and |right|
    rms: float | None = None
    cosine: float | None = None
    cells: int = 0
    cells_out: int = 0
    worst: Cell | None = None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """A comparison. `stages` stand in causal order."""

    left: str
    right: str
    tolerance: Tolerance
    precision: tuple[str, str]
    stages: list[StageDiff]
    diagnosis: Diagnosis | None = None
    strict: bool = False

    @property
    def first(self) -> StageDiff | None:
        """The first stage that diverges."""
        return next((stage for stage in self.stages if stage.verdict == DIFFERENT), None)

    @property
    def missing(self) -> list[StageDiff]:
        return [stage for stage in self.stages if stage.verdict == NOT_COMPARED]

    @property
    def equal(self) -> bool:
        return self.first is None and not (self.strict and self.missing)

    def as_data(self) -> dict:
        """The report as JSON has it: no NaN and no infinities, which JSON doesn't know."""
        data = asdict(self) | {"first": self.first.stage if self.first else None, "equal": self.equal}
        return plain(data)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


# ------------------------------------------------------------------------------------------------ comparing


@dataclass(frozen=True)
class Comparison:
    """Two sides and what they share: compares one stage at a time."""

    left: Source
    right: Source
    setting: Setting
    tolerance: Tolerance

    @classmethod
    def of(cls, left: Source, right: Source, tolerance: Tolerance | None = None, setting: Setting | None = None):
        setting = setting or tell_setting((left, right))
        for side in (left, right):
            if hasattr(side, "check"):
                side.check(setting)
        return cls(left, right, setting, tolerance or tolerance_for(left, right))

    def names(self) -> list[str]:
        """The stages of the model in causal order; before them the weights that either side holds as such."""
        held = [name for name in self.setting.shapes if name.startswith("model_")]
        weights = [name for name in held if name in self.left.names or name in self.right.names]
        return weights + list(self.setting.steps)

    def stage(self, name: str) -> StageDiff:
        step = self.setting.steps.get(name)
        title = step.title if step else "weights"
        lacking = [side.label for side in (self.left, self.right) if not side.has(name)]
        if lacking:
            return StageDiff(name, title, NOT_COMPARED, note=f"not in {' nor in '.join(lacking)}")
        partial = self.left.lacks_in(name) or self.right.lacks_in(name)
        if partial:
            return StageDiff(name, title, NOT_COMPARED, note=partial)
        if name in TEXT_STAGES:
            return replace(compare_tables(self.left.table(name), self.right.table(name), self, name), title=title)
        return replace(self._matrices(name), title=title)

    def fitted(self, name: str, side: Matrix) -> np.ndarray | None:
        """A side's numbers of a stage in our layout; None where their shape fits no layout. A blank weight is 0."""
        matrix = self.setting.fitted(name, side.numbers)
        if matrix is not None and name.endswith("_step_7"):
            return np.where(np.isnan(matrix), 0, matrix)
        return matrix

    def _matrices(self, name: str) -> StageDiff:
        sides = [side.read(name) for side in (self.left, self.right)]
        left, right = (self.fitted(name, side) for side in sides)
        if left is None or right is None:
            shapes = " and ".join("{} x {}".format(*side.numbers.shape) for side in sides)
            return StageDiff(name, "", DIFFERENT, note=f"the shapes don't fit: {shapes}")
        masked = is_masked(name)
        difference, out = compare(left, right, self.tolerance, masked=masked)
        found = figures(left, right, difference, masked=masked)
        if out.any():
            found |= {"cells_out": int(out.sum()), "worst": self._worst(name, sides, (left, right), difference, out)}
        verdict, note = (DIFFERENT if out.any() else EQUAL), ""
        if name == "logits" and left.size and left.argmax() != right.argmax():
            verdict, note = DIFFERENT, f"the best token is {left.argmax()} on the left, {right.argmax()} on the right"
        return StageDiff(name, "", verdict, note=note, **found)

    def _worst(self, name, sides: Sequence[Matrix], matrices, difference, out) -> Cell:
        """The cell that is furthest beyond what is allowed."""
        beyond = np.where(out, difference / np.maximum(self.tolerance.allowed(finite(matrices[1])), 1e-300), -1)
        row, column = divmod(int(np.argmax(beyond)), beyond.shape[1])
        places, values = [], []
        for side, matrix in zip(sides, matrices, strict=True):
            at = self.origin(name, side, row, column)
            places.append(side.place(*at))
            values.append(side.others.get(at, number_or_none(matrix[row, column])))
        labels = self.setting.row_label(name, row), self.setting.column_label(name, column)
        return Cell(*places, *labels, *values)

    def origin(self, name: str, side: Matrix, row: int, column: int) -> tuple[int, int]:
        """Where a cell of our layout stands in a side's own."""
        rows, columns = side.numbers.shape
        if (rows, columns) == self.setting.shapes[name]:
            return row, column
        numbered = self.setting.fitted(name, np.arange(rows * columns).reshape(rows, columns))
        return divmod(int(numbered[row, column]), columns)


def is_masked(name: str) -> bool:
    """May cells of this stage be masked?"""
    return name == "triangle_matrix" or name.endswith("_step_6")


def compare(
    left: np.ndarray, right: np.ndarray, tolerance: Tolerance, *, masked: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(the absolute differences, which cells are out of tolerance); blank cells are equal to blank cells only."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right)
    difference[left == right] = 0  # the same infinity on both sides
    difference[np.isnan(left) & np.isnan(right)] = 0
    difference[np.isnan(difference)] = np.inf
    if masked:
        in_left, in_right = masked_cells(left), masked_cells(right)
        difference[in_left & in_right] = 0
        difference[in_left ^ in_right] = np.inf
    return difference, ~(difference <= tolerance.allowed(finite(right)))


def finite(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(numbers), numbers, 0)


def figures(left: np.ndarray, right: np.ndarray, difference: np.ndarray, *, masked: bool) -> dict:
    """Largest absolute and relative difference, root mean square of the differences, cosine, count, shape."""
    counted = ~(masked_cells(left) | masked_cells(right)) if masked else np.ones(left.shape, bool)
    counted |= np.isinf(difference)
    a, b, d = finite(left[counted]), finite(right[counted]), difference[counted]
    larger = np.maximum(np.abs(a), np.abs(b))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = np.where(d == 0, 0, d / larger)
        length = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return {
        "shape": left.shape,
        "cells": left.size,
        "largest_difference": float(d.max(initial=0)),
        "largest_relative": float(relative.max(initial=0)),
        "rms": float(np.sqrt(np.mean(d * d))) if d.size else 0.0,
        "cosine": min(1.0, float(a @ b) / length) if length else None,
    }


def number_or_none(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


def compare_tables(left: list[list], right: list[list], comparison: Comparison, name: str) -> StageDiff:
    """Words, merges, tokens: texts must be the same; numbers must be equal within the tolerance."""
    left, right = trimmed(left), trimmed(right)
    if name == "final_tokens" and 1 in (len(left), len(right)):  # a side that knows the ids only
        left, right = left[-1:], right[-1:]
    if name == "predicted_token" and 2 in (len(left), len(right)):  # a side that has the logit and the id only
        left, right = ([row[-1:] for row in table[:2]] for table in (left, right))
    rows, columns = max(len(left), len(right)), max(map(len, left + right), default=0)
    out = [
        (row, column)
        for row in range(rows)
        for column in range(columns)
        if not same_text(at(left, row, column), at(right, row, column), comparison.tolerance)
    ]
    found = {"shape": (rows, columns), "cells": rows * columns, "cells_out": len(out)}
    if not out:
        return StageDiff(name, "", EQUAL, **found)
    row, column = out[0]
    cells = [at(table, row, column) for table in (left, right)]
    places = [table_place(side, name, row, column) for side in (comparison.left, comparison.right)]
    worst = Cell(*places, f"row {row}", f"column {column}", *cells)
    return StageDiff(name, "", DIFFERENT, worst=worst, **found)


def table_place(side: Source, name: str, row: int, column: int) -> str:
    try:
        return side.read(name).place(row, column)
    except (DumpError, AttributeError, KeyError):
        return f"{name}[{row},{column}]"


def trimmed(table: list[list]) -> list[list]:
    """Without blank cells at the ends of rows and blank rows at the end."""
    rows = [row[: max((i + 1 for i, cell in enumerate(row) if not is_blank(cell)), default=0)] for row in table]
    while rows and not rows[-1]:
        rows.pop()
    return rows


def at(table: list[list], row: int, column: int):
    return table[row][column] if row < len(table) and column < len(table[row]) else None


def same_text(left, right, tolerance: Tolerance) -> bool:
    if str(left) == str(right) or (isinstance(left, str) and isinstance(right, str) and same_letters(left, right)):
        return True
    if is_blank(left) or is_blank(right):
        return is_blank(left) and is_blank(right)
    a, b = number_in(left), number_in(right)
    return abs(a - b) <= tolerance.atol + tolerance.rtol * abs(b)


def same_letters(left: str, right: str) -> bool:
    """Is one of two texts the other, spelled in GPT-2's letters? A live workbook holds words as they are typed."""
    try:
        return spell(left) == right or left == spell(right)
    except UnicodeEncodeError:  # half a character
        return False


def diff(
    left: Source,
    right: Source,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    strict: bool = False,
    weights: Mapping[str, np.ndarray] | str | Path | None = None,
    why: bool = True,
) -> Report:
    """Compare two sides.

    weights: what the diagnosis recomputes with, matrices or a folder; by default the folder that LEFT's manifest names.
    """
    from sheetgpt.diff.diagnosis import diagnose

    comparison = Comparison.of(left, right, tolerance_for(left, right, atol, rtol))
    stages = [comparison.stage(name) for name in comparison.names()]
    if all(stage.verdict == NOT_COMPARED for stage in stages):
        raise DumpError(f"{left.label} and {right.label} have no stage in common: stages are paired by name")
    report = Report(left.label, right.label, comparison.tolerance, (left.dtype, right.dtype), stages, strict=strict)
    return replace(report, diagnosis=diagnose(comparison, report, weights)) if why else report
