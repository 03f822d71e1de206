"""What a comparison finds, as data: a line a stage, its worst cell, why it diverges, and the whole report.

Finding it belongs in `compare` and `diagnosis`, printing in the command, writing as a workbook in `report`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sheetgpt.diff.matrices import Tolerance

__all__ = ["Diagnosis", "StageDiff", "Taken", "WorstCell"]

EQUAL, DIFFERENT, NOT_COMPARED = "equal", "different", "missing"
FEW = 3  # names that are shown of those that number no block
MISTAKE, ROUNDING, INPUTS, CELLS = "mistake", "rounding", "inputs", "cells"
OVERRIDE, TOKENS, STALE, PATTERN, UNKNOWN = "override", "tokens", "stale", "pattern", "unknown"


@dataclass(frozen=True)
class WorstCell:
    """One cell on both sides, as a person finds it."""

    left_place: str
    right_place: str
    row: str
    column: str
    left: object  #: a number, a text, or None where it is blank
    right: object


@dataclass(frozen=True)
class StageDiff:
    """One stage's line in the report. Figures leave masked cells out; `note` says what figures can't."""

    stage: str
    title: str
    verdict: str
    shape: tuple[int, int] | None = None
    largest_difference: float | None = None
    largest_relative: float | None = None  #: |left - right| / the larger of |left| and |right|
    rms: float | None = None
    cosine: float | None = None
    cells: int = 0
    cells_out: int = 0
    worst: WorstCell | None = None
    note: str = ""
    own_error: bool | None = None  #: does RIGHT's stage not follow from RIGHT's own inputs? None: they are not there
    cause: str = ""
    is_matrix: bool = True  #: of a stage: no weights, no table of texts
    padding: str = ""  #: a vocabulary with rows too many: what is said of them, and of the others
    is_unreadable: bool = False  #: not compared, as what a side holds of it is damaged or fits nothing
    in_any_block: str = ""  #: its name with `*` for the block's number, for lists of names


@dataclass(frozen=True)
class Diagnosis:
    """Why the first divergent stage diverges.

    cause: "mistake", "rounding", "inputs" (RIGHT is right, given its inputs), "cells" (a few don't follow from the
    rest), "stale" (the stages after it follow from the right one), "pattern" (only what the wrong cells share is
    known), "override", "tokens", "unknown".
    stage: where it begins: the first divergent one, or one before it that differs within the tolerance.
    """

    stage: str
    cause: str
    sentence: str
    mistakes: tuple[str, ...] = ()
    within: float | None = None


@dataclass(frozen=True)
class Taken:
    """Names on one side that number no block, and the block that they were taken for."""

    side: str
    names: tuple[str, ...]
    block: int

    @property
    def sentence(self) -> str:
        """What is said of them.

        >>> Taken("page.npz", ("block_step_7",), 11).sentence
        "In page.npz block_step_7 numbers no block and is taken as block 11's, the last."
        """
        more = f" and {len(self.names) - FEW} more" if len(self.names) > FEW else ""
        what = "numbers no block and is" if len(self.names) == 1 else "number no block and are"
        return f"In {self.side} {', '.join(self.names[:FEW])}{more} {what} taken as block {self.block}'s, the last."


@dataclass(frozen=True)
class Report:
    """A comparison. `stages` stand in causal order. `assumed`: what RIGHT's numbers were taken for."""

    left: str
    right: str
    tolerance: Tolerance
    precision: tuple[str, str]
    stages: list[StageDiff]
    diagnosis: Diagnosis | None = None
    strict: bool = False
    assumed: str = ""
    unread: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: arrays that are called like no stage, and the nearest names
    taken: tuple[Taken, ...] = ()
    remarks: tuple[str, ...] = ()  #: what one side shows of how it was made and the other does not

    @property
    def first(self) -> StageDiff | None:
        """The first stage that diverges."""
        return next((stage for stage in self.stages if stage.verdict == DIFFERENT), None)

    @property
    def missing(self) -> list[StageDiff]:
        return [stage for stage in self.stages if stage.verdict == NOT_COMPARED]

    @property
    def compared(self) -> list[StageDiff]:
        return [stage for stage in self.stages if stage.verdict != NOT_COMPARED]

    @property
    def extent(self) -> tuple[int, int]:
        """(how many stages are compared, how many there are), tables of texts not counted."""
        return sum(stage.is_matrix for stage in self.compared), sum(stage.is_matrix for stage in self.stages)

    @property
    def own_errors(self) -> list[StageDiff]:
        """The stages that don't follow from RIGHT's own inputs."""
        return [stage for stage in self.stages if stage.own_error]

    @property
    def unreadable(self) -> list[StageDiff]:
        return [stage for stage in self.stages if stage.is_unreadable]

    @property
    def equal(self) -> bool:
        return self.first is None and not self.unreadable and not (self.strict and self.missing)

    def as_data(self) -> dict[str, Any]:
        """The report as JSON has it: no NaN and no infinities, which JSON doesn't know."""
        data = asdict(self) | {"first": self.first.stage if self.first else None, "equal": self.equal}
        for stage in data["stages"]:
            del stage["in_any_block"], stage["is_matrix"]
        found: dict[str, Any] = plain(data)
        return found


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
