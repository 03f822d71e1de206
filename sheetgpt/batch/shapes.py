"""The shapes of the kept stages, by the number of a prompt's tokens; each asked for once. Names of stages by pattern.

Shapes themselves belong in `models.sizes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property

from sheetgpt.errors import StageError, UnknownStageError
from sheetgpt.models import kinds
from sheetgpt.models.config import Config
from sheetgpt.models.sizes import Shape, Sizes
from sheetgpt.models.step import Steps

NO_STAGES = "none"


class StageShapes:
    """The shapes of these stages of one model."""

    def __init__(self, config: Config, stages: Sequence[str], *, untied: bool = False):
        self.config, self.stages, self.untied = config, tuple(stages), untied
        self._by_count: dict[int, dict[str, Shape]] = {}
        self._counts: dict[tuple[str, int], int] = {}

    @cached_property
    def steps(self) -> Steps:
        return kinds.model_steps(self.config, untied=self.untied)

    def of(self, n_tokens: int) -> dict[str, Shape]:
        if n_tokens not in self._by_count:
            shapes = Sizes(self.config, n_tokens, untied=self.untied).shapes
            self._by_count[n_tokens] = {stage: shapes[stage] for stage in self.stages}
        return self._by_count[n_tokens]

    def shape(self, stage: str, n_tokens: int) -> Shape:
        return self.of(n_tokens)[stage]

    def width(self, stage: str) -> int | None:
        """The number of its columns; None where that grows with the prompt."""
        one, two = (self.shape(stage, n_tokens)[1] for n_tokens in (1, 2))
        return one if one == two else None

    def count(self, stage: str, n_tokens: int) -> int:
        """How many rows a prompt has in a shard, or cells where the width grows; 0 without tokens."""
        if (stage, n_tokens) not in self._counts:
            rows, columns = self.shape(stage, n_tokens) if n_tokens else (0, 0)
            self._counts[stage, n_tokens] = rows if self.width(stage) is not None else rows * columns
        return self._counts[stage, n_tokens]

    def cells(self, n_tokens: int) -> int:
        """The numbers of all these stages of a prompt."""
        return sum(rows * columns for rows, columns in self.of(n_tokens).values()) if n_tokens else 0


def chosen(steps: Steps, patterns: str) -> tuple[str, ...]:
    """The stages that `block_*_step_7,logits` names, in the order of the data; `none` names none.

    Raises StageError where a name or pattern fits no stage that is a matrix.
    """
    names = [part.strip() for part in patterns.split(",") if part.strip()]
    if names == [NO_STAGES]:
        return ()
    matrices = [step.name for step in steps.computed if not step.is_text]
    for name in names:
        if not any(fnmatchcase(stage, name) for stage in matrices):
            raise fitting_none(steps, name, matrices)
    if not names:
        raise StageError("--stages names none", remedy=f'give such as "block_*_step_7,logits", or {NO_STAGES}')
    return tuple(stage for stage in matrices if any(fnmatchcase(stage, name) for name in names))


def fitting_none(steps: Steps, name: str, matrices: Sequence[str]) -> StageError:
    if name in steps.by_name and steps[name].is_text:
        what = f"{name} is a table of texts and not kept as a matrix"
        return StageError(what, remedy="the index holds each prompt's tokens and the predicted token")
    if any(mark in name for mark in "*?["):
        return StageError(f"no stage fits {name!r}", remedy="`sheetgpt stages` shows their names")
    return UnknownStageError(name, matrices)
