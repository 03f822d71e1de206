"""Stages computed again from RIGHT's own: what a stage's inputs lead to, and how far from it RIGHT may lie and lies.

Every stage can be judged by itself. Why one doesn't follow is asked in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.matrices import Tolerance, compare
from sheetgpt.diff.sides.inferred import PRECISIONS, own_head
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import POSITIONS, Role, Step

FINEST = PRECISIONS[0]
ROUNDING = 8  # times the rounding that one computation shows: another order of sums may round so much differently
FLOOR = {"float64": 2e-12, "float32": 4 * 2.0**-23, "float16": 4 * 2.0**-10}  # of the largest number: sums, decimals
SAME = Tolerance(0, 0)
LONGEST_WAY = 40  # steps between RIGHT's stages: beyond, hypotheses are too many and a mistake too far away

Matrices = Mapping[str, np.ndarray]
Changed = Mapping[str, Step]  # steps that take the place of those of their names
UNCHANGED: Changed = {}


class NotHeldError(SheetGPTError):
    """Something that the recomputation needs is on neither side."""


@dataclass(frozen=True)
class Judgement:
    """Does a stage of RIGHT follow from RIGHT's own inputs by the right formula?

    own_error: the largest difference between what RIGHT holds and what its own inputs lead to.
    allowed: what RIGHT's precision is expected to differ by.
    """

    stage: str
    own_error: float
    allowed: float

    @property
    def follows(self) -> bool:
        return self.own_error <= self.allowed


class Recomputation:
    """Stages computed again from RIGHT's own."""

    def __init__(self, comparison: Comparison, weights: Matrices):
        self.comparison, self.weights = comparison, weights
        self.left, self.right = comparison.sides
        untied = not own_head(comparison.sizes.config).isdisjoint(weights)
        self.sizes: Sizes = replace(comparison.sizes, untied=untied or comparison.sizes.untied)
        self.steps = self.sizes.steps
        self._held: dict[str, np.ndarray | None] = {}

    @cached_property
    def precision(self) -> str:
        """RIGHT's."""
        precision = self.comparison.precision[1]
        return precision if precision in PRECISIONS else FINEST

    # -------------------------------------------------------------------------------------------- judging

    def can_judge(self, name: str) -> bool:
        """Does RIGHT hold the stage as a matrix, and the stages that lead to it are not too far away?"""
        return self.held(name) is not None and len(self.way(name)) <= LONGEST_WAY

    def judge(self, name: str) -> Judgement:
        """Raises NotHeldError where an input is on neither side."""
        return Judgement(name, self.error(name, self.value(name)), self.allowed(name, self.precision))

    def judge_all(self) -> Iterator[Judgement]:
        """Every stage that can be judged, in causal order."""
        for step in self.steps:
            if self.can_judge(step.name):
                try:
                    yield self.judge(step.name)
                except NotHeldError:
                    continue

    # -------------------------------------------------------------------------------------------- inputs

    def held(self, name: str) -> np.ndarray | None:
        """RIGHT's matrix of a stage in our layout; None where RIGHT doesn't hold it."""
        if name not in self._held:
            self._held[name] = self._read(name)
        return self._held[name]

    def _read(self, name: str) -> np.ndarray | None:
        if name not in self.steps.by_name or self.sizes.is_text(name) or not self.right.has(name):
            return None
        matrix = self.comparison.fitted(name, self.right.read(name))
        if matrix is not None and self.sizes.is_masked(name):
            return np.where(np.isnan(matrix), ops.MASKED, matrix)
        return matrix

    def own(self, name: str) -> np.ndarray:
        """RIGHT's matrix of a stage that is judged. Raises NotHeldError where RIGHT doesn't hold it."""
        matrix = self.held(name)
        if matrix is None:
            raise NotHeldError(f"{name} is not in {self.right.label}")
        return matrix

    def given(self, name: str) -> np.ndarray:
        """What no step computes: weights, positions, token ids (RIGHT's, or LEFT's where RIGHT doesn't tell)."""
        if name == POSITIONS:
            return np.arange(self.sizes.n_tokens)
        if name == self.steps.name(Role.TOKENS):
            ids = self.right.token_ids or self.left.token_ids
            if not ids:
                raise NotHeldError("neither side tells the token ids")
            return np.asarray(ids)
        if name not in self.weights:
            raise NotHeldError(f"it takes {name}", remedy="give the weights by --weights")
        expected, found = self.sizes.shapes.get(name), self.weights[name].shape
        if expected is not None and tuple(found) != tuple(expected):
            raise NotHeldError(
                f"{name} of --weights is {found[0]} x {found[1]}, the runs' is {expected[0]} x {expected[1]}"
            )
        return self.weights[name]

    def way(self, target: str) -> list[Step]:
        """The steps that lead from stages that RIGHT holds to the target, the target last."""
        needed: set[str] = set()
        waiting = [target]
        while waiting:
            name = waiting.pop()
            if self._is_computed(name) and name not in needed:
                needed.add(name)
                waiting += [i for i in self.steps[name].inputs if self.held(i) is None]
        return [step for step in self.steps if step.name in needed]

    def _is_computed(self, name: str) -> bool:
        return name in self.steps.by_name and not self.steps[name].is_given

    # -------------------------------------------------------------------------------------------- computing

    def value(self, target: str, changed: Changed = UNCHANGED, precision: str = FINEST) -> np.ndarray:
        """A stage from RIGHT's stages, computed in a precision, with some steps changed."""
        made: dict[str, np.ndarray] = {}

        def make(name: str) -> np.ndarray:
            held = self.held(name) if name != target else None
            if held is not None and name not in changed:
                return held
            if not self._is_computed(name):
                return self.given(name)
            step = changed.get(name, self.steps[name])
            return np.asarray(step.op.value(*[find(i) for i in step.inputs]))

        def find(name: str) -> np.ndarray:
            if name not in made:
                made[name] = rounded(make(name), precision)
            return made[name]

        with np.errstate(all="ignore"):  # RIGHT's numbers may be anything
            return find(target).astype(np.float64)

    def error(self, target: str, value: np.ndarray) -> float:
        """How far a stage computed again lies from RIGHT's: the largest difference."""
        right = self.own(target)
        if value.shape != right.shape:
            return np.inf
        difference, _ = compare(value, right, SAME, masked=self.sizes.is_masked(target))
        return float(difference.max(initial=0))

    def wrong_cells(self, judgement: Judgement) -> list[tuple[int, int]]:
        """The cells that don't follow: (row, column)."""
        name, allowed = judgement.stage, Tolerance(judgement.allowed, 0)
        _, out = compare(self.value(name), self.own(name), allowed, masked=self.sizes.is_masked(name))
        return [(int(row), int(column)) for row, column in np.argwhere(out)]

    # -------------------------------------------------------------------------------------------- rounding

    def allowed(self, target: str, precision: str, changed: Changed = UNCHANGED) -> float:
        """What a computation in this precision is expected to differ by."""
        return ROUNDING * self.rounding(target, precision, changed) + self.floor(target, precision)

    def rounding(self, target: str, precision: str, changed: Changed = UNCHANGED) -> float:
        """The size of rounding that a computation in this precision shows at the stage."""
        if precision == FINEST:
            return 0.0
        exact, coarse = self.value(target, changed), self.value(target, changed, precision)
        difference, _ = compare(coarse, exact, SAME, masked=self.sizes.is_masked(target))
        return float(difference[np.isfinite(difference)].max(initial=0))

    def floor(self, target: str, precision: str = FINEST) -> float:
        """Differences that are nothing: some units in the last place of the stage's largest number."""
        right = self.own(target)
        counted = np.isfinite(right)
        if self.sizes.is_masked(target):
            counted &= ~ops.masked_cells(right)
        largest = float(np.abs(right[counted]).max(initial=0))
        return FLOOR[precision] * (max(1.0, largest) if precision == FINEST else largest)


def rounded(array: np.ndarray, precision: str) -> np.ndarray:
    """An array as a precision holds it; float16 is held in float32, as accelerators compute it."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):  # masks are beyond float16's largest number
        return array.astype(np.float16).astype(np.float32) if precision == "float16" else array.astype(precision)
