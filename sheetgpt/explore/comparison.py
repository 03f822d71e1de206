"""What `sheetgpt diff` finds, as data for the page: its report, and each stage cell by cell. Nothing is judged here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from sheetgpt.diff import Report
from sheetgpt.diff.cells import Cells
from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.result import NOT_COMPARED, StageDiff, plain
from sheetgpt.diff.texts import Table, differing
from sheetgpt.explore import pictures
from sheetgpt.explore.facts import constants, structure
from sheetgpt.explore.runs import Asked

MOST_WORST = 1000  # cells of a stage that the page goes through
MOST_WORDS = 10_000  # cells without numbers whose content is said
OTHER_TOKENS = "The tokens are others, so LEFT's stages after them are what its model makes of RIGHT's tokens."
MOST_BYTES = 256_000_000  # of the stages whose cells are at hand


class Kept:
    """The cells of the stages that were asked for last, as many as there is room for; of one at least."""

    def __init__(self, read: Callable[[str], Cells | None]):
        self.read = read
        self._cells: OrderedDict[str, Cells | None] = OrderedDict()

    def __call__(self, name: str) -> Cells | None:
        if name not in self._cells:
            self._cells[name] = self.read(name)
        self._cells.move_to_end(name)
        while len(self._cells) > 1 and sum(map(size, self._cells.values())) > MOST_BYTES:
            self._cells.popitem(last=False)
        return self._cells[name]


def size(cells: Cells | None) -> int:
    """In bytes."""
    if cells is None:
        return 0
    return sum(one.nbytes for one in (*cells.matrices, cells.difference, cells.out, cells.absent))


class Compared:
    """Two sides, by their comparison and its report."""

    def __init__(self, comparison: Comparison, report: Report, notes: Sequence[str] = ()):
        """notes: what is said beside the stages, in sentences."""
        self.comparison, self.report, self.notes = comparison, report, notes
        self._lock = Lock()  # files are read by one at a time
        self._cells = Kept(comparison.cells)

    # -------------------------------------------------------------------------------------------- all stages

    @cached_property
    def facts(self) -> dict[str, Any]:
        """`Facts` of page/src/source.ts."""
        sizes = self.comparison.sizes
        about = {"name": "", "dtype": " ".join(self.report.precision), "hasText": False, "learns": False}
        return {
            **structure(sizes),
            "model": constants(sizes.config) | about,
            "trainingSteps": [],
            "prompt": Asked().as_data(),
            "readOnly": "A comparison can't be changed.",
            "compare": self.data(),
        }

    def data(self) -> dict[str, Any]:
        """`Comparison` of page/src/source.ts."""
        report = self.report
        found = report.as_data()
        names = ("left", "right", "precision", "first", "equal", "diagnosis", "tolerance")
        return {name: found[name] for name in names} | {
            "tokens": list(self.comparison.sizes.tokens),
            "notes": [*self.notes, *([OTHER_TOKENS] if self.comparison.given else [])],
            "stages": [data | self.shown(stage) for data, stage in zip(found["stages"], report.stages, strict=True)],
        }

    def shown(self, stage: StageDiff) -> dict[str, Any]:
        """What a stage's line in the page shows beside what the report says of it."""
        cells = None if stage.verdict == NOT_COMPARED or self.is_text(stage.stage) else self.cells(stage.stage)
        if cells is None:
            return {"end": 1.0, "picture": None, "firstRow": 0}
        return {
            "end": pictures.scale_end(cells.left),
            "picture": pictures.picture_of_differences(*self.differences(cells)),
            "firstRow": self.comparison.sizes.shapes[stage.stage][0] - len(cells.left),
        }

    def is_text(self, name: str) -> bool:
        return self.comparison.sizes.is_text(name)

    # -------------------------------------------------------------------------------------------- one stage

    def cells(self, name: str) -> Cells | None:
        with self._lock:
            return self._cells(name)

    def matrix(self, side: str, name: str) -> np.ndarray:
        """A side's numbers of a stage. Raises DumpError where it can't be read."""
        cells = self.cells(name)
        empty = np.zeros((0, 0))
        return empty if cells is None else {"left": cells.left, "right": cells.right}[side]

    @staticmethod
    def differences(cells: Cells) -> tuple[np.ndarray, float]:
        """(right - left as it is judged, the largest in size that is a number).

        Infinite where one side is masked or holds no number.
        """
        found = np.where(cells.right < cells.left, -cells.difference, cells.difference)
        return found, float(np.abs(found[np.isfinite(found)]).max(initial=0.0))

    def stage(self, name: str) -> dict[str, Any]:
        """`Differences` of page/src/source.ts. Raises DumpError where a side can't be read."""
        if self.is_text(name):
            return nothing() | self.texts(name)
        cells = self.cells(name)
        if cells is None:
            return nothing()
        found, end = self.differences(cells)
        return {
            "end": end,
            "picture": pictures.picture_of_differences(found, end),
            "out": int(cells.out.sum()),
            "worst": cells.worst_first(self.comparison.tolerance, MOST_WORST),
            "words": [self.words(name, cells, side) for side in (0, 1)],
            "tables": None,
        }

    def words(self, name: str, cells: Cells, side: int) -> dict[str, str]:
        """What stands where a side holds no number, by `row,column`."""
        with self._lock:
            found = self.comparison.no_numbers(name, cells.held[side])
        return {f"{row},{column}": text for (row, column), text in list(found.items())[:MOST_WORDS]}

    def as_given(self, name: str) -> Comparison:
        """What words and tokens are compared by, where the rest is the run of RIGHT's tokens."""
        given = self.comparison.given if self.comparison.is_given(name) else None
        return replace(self.comparison, left=given) if given else self.comparison

    def texts(self, name: str) -> dict[str, Any]:
        """Both sides' tables, and the cells that differ."""
        with self._lock:
            left, right = self.as_given(name).tables(name)
        out = differing(left, right, self.comparison.tolerance)
        return {"tables": [as_shown(left), as_shown(right)], "out": len(out), "worst": out}


def nothing() -> dict[str, Any]:
    return {"end": 0.0, "picture": None, "out": 0, "worst": [], "words": [{}, {}], "tables": None}


def as_shown(table: Table) -> list[list[object]]:
    """A table as JSON holds it: no NaN."""
    return [[plain(one) if isinstance(one, int | float | str) else one and str(one) for one in row] for row in table]
