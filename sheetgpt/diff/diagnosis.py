"""Why a stage diverges: it is computed again from RIGHT's own inputs, rightly and with each known mistake.

A formula that gives RIGHT's numbers back is what RIGHT computed. The mistakes are `mistakes`' business; here are the
recomputation, the size of rounding that is to be expected, and the sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.compare import Comparison, Report, Tolerance, compare, is_masked, masked_cells
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.gpt2 import TOKEN_STAGES, Step
from sheetgpt.models.sizes import TEXT_STAGES

if TYPE_CHECKING:
    from sheetgpt.diff.sides.side import Source

PRECISIONS = ("float64", "float32", "float16")
ROUNDING = 8  # times the rounding that one computation shows: another order of sums may round so much differently
FLOOR = {"float64": 2e-12, "float32": 4 * 2.0**-23, "float16": 4 * 2.0**-10}  # of the largest number: sums, decimals
LONGEST_WAY = 40  # steps between RIGHT's stages: beyond, hypotheses are too many and a mistake too far away
Weights = Mapping[str, np.ndarray] | str | Path | None  # matrices, a folder, or the folder that LEFT names
FEW = 100  # one cell in so many, at least one, may be edited by hand


@dataclass(frozen=True)
class Diagnosis:
    """Why the first divergent stage diverges.

    cause: "mistake", "rounding", "inputs" (RIGHT is right, given its inputs), "cells" (a few don't follow from the
    rest), "override", "tokens", "unknown".
    stage: where it begins: the first divergent one, or one before it that differs within the tolerance.
    """

    stage: str
    cause: str
    sentence: str
    mistakes: tuple[str, ...] = ()
    within: float | None = None


def diagnose(comparison: Comparison, report: Report, weights: Weights) -> Diagnosis | None:
    """The diagnosis of a report's first divergent stage; None where nothing diverges."""
    first = report.first
    if first is None:
        return None
    name, step = first.stage, comparison.setting.steps.get(first.stage)
    for side, source in (("LEFT", comparison.left), ("RIGHT", comparison.right)):
        if name in source.about.get("overridden", []):
            return Diagnosis(name, "override", f"{side}'s run had it replaced by --set")
    if name in TOKEN_STAGES:
        return Diagnosis(name, "tokens", "the two sides do not have the same tokens: compare the same prompt")
    if step is None or first.shape is None:
        what = "the two sides have different weights" if step is None else f"{first.note}: compare runs of one prompt"
        return Diagnosis(name, "unknown", what)
    try:
        return Recomputation(comparison, read_weights(weights, comparison.left)).explain(step)
    except SheetGPTError as error:
        return Diagnosis(name, "unknown", f"no diagnosis: {error}")


def read_weights(weights: Weights, left: Source) -> Mapping[str, np.ndarray]:
    """The matrices: as given, from the folder given, else from the one that LEFT's manifest names; none without any."""
    from sheetgpt.weights.folder import load_weights

    folder = left.about.get("weights") if weights is None else weights
    if isinstance(folder, Mapping):
        return folder
    return load_weights(Path(folder)) if folder else {}


class NotHeldError(SheetGPTError):
    """Something that the recomputation needs is on neither side."""


class Recomputation:
    """Stages computed again from RIGHT's own."""

    def __init__(self, comparison: Comparison, weights: Mapping[str, np.ndarray]):
        self.comparison, self.weights = comparison, weights
        self.setting, self.right = comparison.setting, comparison.right
        self.steps = comparison.setting.steps
        self._held: dict[str, np.ndarray | None] = {}

    # -------------------------------------------------------------------------------------------- inputs

    def held(self, name: str) -> np.ndarray | None:
        """RIGHT's matrix of a stage in our layout; None where RIGHT doesn't hold it."""
        if name not in self._held:
            held = name in self.steps and name not in TEXT_STAGES and self.right.has(name)
            matrix = self.comparison.fitted(name, self.right.read(name)) if held else None
            if matrix is not None and is_masked(name):
                matrix = np.where(np.isnan(matrix), ops.MASKED, matrix)
            self._held[name] = matrix
        return self._held[name]

    def given(self, name: str) -> np.ndarray:
        """What no step computes: weights, positions, token ids (RIGHT's, or LEFT's where RIGHT doesn't tell)."""
        if name == "positions":
            return np.arange(self.setting.n_tokens)
        if name == "final_tokens":
            ids = self.right.token_ids or self.comparison.left.token_ids
            if not ids:
                raise NotHeldError("neither side tells the token ids")
            return np.asarray(ids)
        if name not in self.weights:
            raise NotHeldError(f"it takes {name}: give the weights by --weights")
        expected, found = self.setting.shapes.get(name), self.weights[name].shape
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
            if name in self.steps and name not in TOKEN_STAGES and name not in needed:
                needed.add(name)
                waiting += [i for i in self.steps[name].inputs if self.held(i) is None]
        return [step for name, step in self.steps.items() if name in needed]

    # -------------------------------------------------------------------------------------------- computing

    def value(self, target: str, changed: Mapping[str, Step] | None = None, kind: str = "float64") -> np.ndarray:
        """A stage from RIGHT's stages, computed in a precision, with some steps changed."""
        changed = changed or {}
        made: dict[str, np.ndarray] = {}

        def find(name: str) -> np.ndarray:
            if name not in made:
                held = self.held(name) if name != target else None
                if held is not None and name not in changed:
                    made[name] = rounded(held, kind)
                elif name in self.steps and name not in TOKEN_STAGES:
                    step = changed.get(name, self.steps[name])
                    made[name] = rounded(step.op.value(*[find(i) for i in step.inputs]), kind)
                else:
                    made[name] = rounded(self.given(name), kind)
            return made[name]

        with np.errstate(all="ignore"):  # RIGHT's numbers may be anything
            return find(target).astype(np.float64)

    def error(self, target: str, value: np.ndarray) -> tuple[float, int]:
        """How far a stage computed again lies from RIGHT's: (the largest difference, cells beyond rounding)."""
        right = self.held(target)
        if value.shape != right.shape:
            return np.inf, right.size
        difference, out = compare(value, right, Tolerance(self.floor(target), 1e-11), masked=is_masked(target))
        return float(difference.max(initial=0)), int(out.sum())

    def floor(self, target: str, kind: str = "float64") -> float:
        """Differences that are nothing: some units in the last place of the stage's largest number."""
        right = self.held(target)
        counted = np.isfinite(right)
        if is_masked(target):
            counted &= ~masked_cells(right)
        largest = float(np.abs(right[counted]).max(initial=0))
        return FLOOR[kind] * (max(1.0, largest) if kind == "float64" else largest)

    def rounding(self, target: str, kind: str, changed: Mapping[str, Step] | None = None) -> float:
        """The size of rounding that a computation in this precision shows at the stage."""
        if kind == "float64":
            return 0.0
        exact, coarse = self.value(target, changed), self.value(target, changed, kind)
        difference, _ = compare(coarse, exact, Tolerance(0, 0), masked=is_masked(target))
        return float(difference[np.isfinite(difference)].max(initial=0))

    def allowed(self, target: str, kind: str, changed: Mapping[str, Step] | None = None) -> float:
        return ROUNDING * self.rounding(target, kind, changed) + self.floor(target, kind)

    @cached_property
    def precision(self) -> str:
        return self.right.dtype if self.right.dtype in PRECISIONS else "float64"

    # -------------------------------------------------------------------------------------------- explaining

    def explain(self, step: Step) -> Diagnosis:
        name = step.name
        if name in TEXT_STAGES:  # the predicted token follows from the logits
            return Diagnosis(
                name, "inputs", "the stages before it lead to it: their differences are within the tolerance"
            )
        if len(self.way(name)) > LONGEST_WAY:
            sentence = f"no diagnosis: {len(self.way(name)) - 1} stages that lead to it are not in RIGHT"
            return Diagnosis(name, "unknown", sentence)
        error, _ = self.error(name, self.value(name))
        if error <= self.allowed(name, self.precision):
            return self.earlier(step) or self.sound(name, error)
        return self.mistaken(name, error)

    def earlier(self, step: Step) -> Diagnosis | None:
        """A stage before that is computed wrongly and differs within the tolerance."""
        for name in self.steps:
            if name == step.name:
                return None
            if name in TEXT_STAGES or self.held(name) is None or len(self.way(name)) > LONGEST_WAY:
                continue
            try:
                error, _ = self.error(name, self.value(name))
            except NotHeldError:
                continue
            if error > self.allowed(name, self.precision):
                found = self.mistaken(name, error)
                if found.cause != "rounding":
                    return found
        return None

    def sound(self, name: str, error: float) -> Diagnosis:
        """RIGHT follows from its own inputs: its formula is right, what differs has come in before."""
        if self.precision == "float64":
            sentence = (
                f"RIGHT follows from its own inputs by the right formula within {error:.0e}: "
                f"the difference came in before it, or LEFT is the one that is wrong"
            )
            return Diagnosis(name, "inputs", sentence, within=error)
        return self.noise(name, self.precision, error)

    def noise(self, name: str, kind: str, error: float) -> Diagnosis:
        expected = self.rounding(name, kind) or self.floor(name, kind)
        sentence = (
            f"{kind} rounding, not a bug: computed again from RIGHT's own inputs it differs by at most "
            f"{error:.0e}, and {kind} is expected to round by {expected:.0e} here"
        )
        return Diagnosis(name, "rounding", sentence, within=error)

    def mistaken(self, name: str, error: float) -> Diagnosis:
        """The known mistakes that reproduce the stage; else coarser rounding, else a few edited cells, else unknown."""
        if name in self.right.about.get("overridden", []):
            return Diagnosis(name, "override", "RIGHT's run had it replaced by --set")
        found = dict(sorted(self.reproduced(name), key=lambda item: item[1]))
        if found:
            within = next(iter(found.values()))
            close = tuple(title for title, size in found.items() if size <= max(10 * within, self.floor(name)))
            names = " and ".join(close)
            sentence = (
                f"{names} reproduce{'' if len(close) > 1 else 's'} it {f'within {within:.0e}' if within else 'exactly'}"
            )
            return Diagnosis(name, "mistake", sentence, close, within)
        for kind in PRECISIONS[PRECISIONS.index(self.precision) + 1 :]:
            if error <= self.allowed(name, kind):
                return self.noise(name, kind, error)
        return self.unknown(name, error)

    def reproduced(self, name: str) -> Iterator[tuple[str, float]]:
        """(mistake, largest difference) for each that gives RIGHT's numbers; of several forms of one, the best last."""
        way = self.way(name)
        for mistake in known_mistakes(self.setting):
            changes = {step.name: change for step in way if (change := mistake.change(step, self.setting))}
            several = [{changed: change} for changed, change in changes.items()] if len(changes) > 1 else []
            for changed in [changes, *several]:
                error = self.tried(name, changed) if changed else None
                if error is not None:
                    yield mistake.name, error

    def tried(self, name: str, changed: Mapping[str, Step]) -> float | None:
        """The largest difference where these changes reproduce the stage; None where they don't, or can't be made."""
        try:
            error, _ = self.error(name, self.value(name, changed))
            return error if error <= self.allowed(name, self.precision, changed) else None
        except (NotHeldError, ValueError, IndexError):  # shapes that don't allow it; a row beyond the table
            return None

    def unknown(self, name: str, error: float) -> Diagnosis:
        right = self.held(name)
        wrong = self.wrong_cells(name)
        if 0 < len(wrong) <= max(1, right.size // FEW):
            row, column = wrong[0]
            place = self.comparison.right.read(name)
            where = place.place(*self.comparison.origin(name, place, row, column))
            many = f"all but {len(wrong)} of {right.size:,} cells follow" if right.size > 1 else "it does not follow"
            sentence = f"{many} from RIGHT's own inputs by the right formula: look at {where}"
            return Diagnosis(name, "cells", sentence, within=error)
        sentence = f"no known mistake reproduces it; from RIGHT's own inputs it should differ by {error:.0e}"
        return Diagnosis(name, "unknown", sentence, within=error)

    def wrong_cells(self, name: str) -> list[tuple[int, int]]:
        allowed = Tolerance(self.allowed(name, self.precision), 0)
        _, out = compare(self.value(name), self.held(name), allowed, masked=is_masked(name))
        return [(int(row), int(column)) for row, column in np.argwhere(out)]


def rounded(array: np.ndarray, kind: str) -> np.ndarray:
    """An array as a precision holds it; float16 is held in float32, as accelerators compute it."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):  # masks are beyond float16's largest number
        return array.astype(np.float16).astype(np.float32) if kind == "float16" else array.astype(kind)
