"""Stages computed from some that are held: from the nearest ones before a stage, rightly or with some steps changed.

What is held, and what no step computes, a subclass says: `recomputation` has RIGHT's stages, `locate` a workbook's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sheetgpt.diff.grain import Kind, rounded
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Step, Steps

LONGEST_WAY = 40  # steps between stages that are held: beyond, hypotheses are too many and a mistake too far away

Matrices = Mapping[str, np.ndarray]
Changed = Mapping[str, Step]  # steps that take the place of those of their names
UNCHANGED: Changed = {}


class NotHeldError(SheetGPTError):
    """Something that the computation needs is not there."""


class Computation:
    """Stages computed again from those that are held."""

    steps: Steps

    def held(self, name: str) -> np.ndarray | None:
        """The matrix of a stage in our layout; None where it isn't held."""
        raise NotImplementedError

    def given(self, name: str) -> np.ndarray:
        """What no step computes: weights, positions, token ids. Raises NotHeldError where it isn't there."""
        raise NotImplementedError

    def way(self, target: str) -> list[Step]:
        """The steps that lead from stages that are held to the target, the target last."""
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

    def computed(
        self,
        target: str,
        changed: Changed = UNCHANGED,
        precision: Kind = Kind.FLOAT64,
        known: Matrices | None = None,
        moved: Matrices | None = None,
    ) -> dict[str, np.ndarray]:
        """What it takes to compute the target from the stages that are held, and the target.

        precision: every matrix is rounded so. known: what is computed without the changes, taken where none matters.
        moved: matrices that stand for those that are held.
        """
        made: dict[str, np.ndarray] = {}
        touched = self.touched(target, changed)

        def make(name: str) -> np.ndarray:
            held = self.held(name) if name != target else None
            if held is not None and name not in changed:
                return moved[name] if moved and name in moved else held
            if known and name in known and name not in touched:
                return known[name]
            if not self._is_computed(name):
                return self.given(name)
            step = changed.get(name, self.steps[name])
            return np.asarray(step.op.value(*[find(i) for i in step.inputs]))

        def find(name: str) -> np.ndarray:
            if name not in made:
                made[name] = rounded(make(name), precision)
            return made[name]

        with np.errstate(all="ignore"):  # what is held may be anything
            find(target)
        return made

    def touched(self, target: str, changed: Changed) -> set[str]:
        """The changed steps and those that come after them on the way."""
        found = set(changed)
        for step in self.way(target):
            if found.intersection(step.inputs):
                found.add(step.name)
        return found
