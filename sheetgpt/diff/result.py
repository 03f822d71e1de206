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

    left_place: str  #: the address in LEFT
    right_place: str  #: the address in RIGHT
    row: str  #: what the row is called
    column: str  #: what the column is called
    left: object  #: a number, a text, or None where it is blank
    right: object  #: a number, a text, or None where it is blank


@dataclass(frozen=True)
class StageDiff:
    """One stage's line in the report. Figures leave masked cells out; `note` says what figures can't."""

    stage: str  #: the stage's or weight's name
    title: str  #: the same in plain words
    verdict: str  #: "equal", "different" or "missing"
    shape: tuple[int, int] | None = None  #: (rows, columns); None where it isn't compared
    largest_difference: float | None = None  #: of `|left - right|`
    largest_relative: float | None = None  #: `|left - right|` divided by the larger of the two sizes
    rms: float | None = None  #: the root mean square of the differences
    cosine: float | None = None  #: of the two matrices as vectors: 1 the same direction
    cells: int = 0  #: how many were compared
    cells_out: int = 0  #: how many are beyond the tolerance
    worst: WorstCell | None = None  #: the cell that is furthest beyond it
    note: str = ""  #: what the figures can't say
    own_error: bool | None = None  #: does RIGHT's stage not follow from RIGHT's own inputs? None: they are not there
    cause: str = ""  #: what the diagnosis says of this stage
    is_matrix: bool = True  #: of a stage: no weights, no table of texts
    padding: str = ""  #: a vocabulary with rows too many: what is said of them, and of the others
    is_unreadable: bool = False  #: not compared, as what a side holds of it is damaged or fits nothing
    in_any_block: str = ""  #: its name with `*` for the block's number, for lists of names


@dataclass(frozen=True)
class Diagnosis:
    """Why the first divergent stage diverges."""

    stage: str  #: where it begins: the first divergent one, or one before it that differs within the tolerance
    #: "mistake", "rounding", "inputs" (RIGHT is right, given its inputs), "cells" (a few don't follow from the rest),
    #: "stale" (the stages after it follow from the right one), "pattern" (only what the wrong cells share is known),
    #: "override", "tokens", "unknown"
    cause: str
    sentence: str  #: why, for a person
    mistakes: tuple[str, ...] = ()  #: the known mistakes of ports that explain it, by their names
    within: float | None = None  #: up to which error RIGHT follows as the sentence says; None where nothing is said


@dataclass(frozen=True)
class Taken:
    """Names on one side that number no block, and the block that they were taken for."""

    side: str  #: what the side is called
    names: tuple[str, ...]  #: as they stand there
    block: int  #: that they were taken for

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
    """A comparison."""

    left: str  #: what LEFT is called
    right: str  #: what RIGHT is called
    tolerance: Tolerance  #: what cells may differ by
    precision: tuple[str, str]  #: how finely each side holds its numbers, in words
    stages: list[StageDiff]  #: a line a stage, in causal order
    #: why the first divergent stage diverges; None where none does, or it wasn't asked
    diagnosis: Diagnosis | None = None
    strict: bool = False  #: is a stage that is missing on one side a difference?
    assumed: str = ""  #: what RIGHT's numbers were taken for
    unread: tuple[tuple[str, tuple[str, ...]], ...] = ()  #: arrays that are called like no stage, and the nearest names
    taken: tuple[Taken, ...] = ()  #: names without a block's number, and whose they were taken for
    remarks: tuple[str, ...] = ()  #: what one side shows of how it was made and the other does not

    @property
    def first(self) -> StageDiff | None:
        """The first stage that diverges."""
        return next((stage for stage in self.stages if stage.verdict == DIFFERENT), None)

    @property
    def missing(self) -> list[StageDiff]:
        """The stages that could not be compared."""
        return [stage for stage in self.stages if stage.verdict == NOT_COMPARED]

    @property
    def compared(self) -> list[StageDiff]:
        """The stages that were compared."""
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
        """The stages of which a side holds what can't be read."""
        return [stage for stage in self.stages if stage.is_unreadable]

    @property
    def equal(self) -> bool:
        """Is no difference found?"""
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
