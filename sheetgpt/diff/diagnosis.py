"""Why a stage diverges: RIGHT's is held against what RIGHT's own inputs lead to, rightly and with each known mistake.

A formula that gives RIGHT's numbers back is what RIGHT computed. The mistakes stand in `mistakes`, the computing in
`recomputation`; here are the cause and its sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from sheetgpt.diff.compare import Comparison, Diagnosis, Report, StageDiff, Weights
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.diff.recomputation import Changed, Judgement, NotHeldError, Recomputation
from sheetgpt.diff.sides import Side
from sheetgpt.diff.sides.inferred import PRECISIONS
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Step
from sheetgpt.weights.folder import load_weights

MISTAKE, ROUNDING, INPUTS, CELLS = "mistake", "rounding", "inputs", "cells"
OVERRIDE, TOKENS, UNKNOWN = "override", "tokens", "unknown"

FEW = 100  # one cell in so many, at least one, may be edited by hand
CLOSE = 10  # times the best: of mistakes, those that are named
WITHIN_TOLERANCE = "the stages before it lead to it: their differences are within the tolerance"


def diagnose(comparison: Comparison, report: Report, weights: Weights) -> Diagnosis | None:
    """The diagnosis of a report's first divergent stage; None where nothing diverges."""
    first = report.first
    if first is None:
        return None
    step = comparison.sizes.step(first.stage)
    plain = plain_cause(comparison, first, step)
    if plain is not None or step is None:
        return plain
    try:
        return Explanation(Recomputation(comparison, read_weights(weights, comparison.left))).why_first(step)
    except SheetGPTError as error:
        return Diagnosis(first.stage, UNKNOWN, f"no diagnosis: {error}")


def plain_cause(comparison: Comparison, found: StageDiff, step: Step | None) -> Diagnosis | None:
    """The cause where nothing needs computing again; `step` is None for weights."""
    name = found.stage
    for which, side in zip(("LEFT", "RIGHT"), comparison.sides, strict=True):
        if is_overridden(side, name):
            return overridden(which, name)
    if step is None:
        return Diagnosis(name, UNKNOWN, "the two sides have different weights")
    if step.is_given:
        return Diagnosis(name, TOKENS, "the two sides do not have the same tokens: compare the same prompt")
    if found.shape is None:
        return Diagnosis(name, UNKNOWN, f"{found.note}: compare runs of one prompt")
    return None


def is_overridden(side: Side, name: str) -> bool:
    return name in side.about.get("overridden", [])


def overridden(which: str, name: str) -> Diagnosis:
    return Diagnosis(name, OVERRIDE, f"{which}'s run had it replaced by --set")


def read_weights(weights: Weights, left: Side) -> Mapping[str, np.ndarray]:
    """The matrices: as given, from the folder given, else from the one that LEFT's manifest names; none without any."""
    folder = left.about.get("weights") if weights is None else weights
    if isinstance(folder, Mapping):
        return folder
    return load_weights(Path(folder)) if folder else {}


class Explanation:
    """Causes, found by computing RIGHT's stages again."""

    def __init__(self, again: Recomputation):
        self.again, self.sizes = again, again.sizes

    def why_first(self, step: Step) -> Diagnosis:
        """Of the first stage that diverges: its own cause, or that of a stage before it that differs unseen."""
        if step.is_text:  # the predicted token follows from the logits
            return Diagnosis(step.name, INPUTS, WITHIN_TOLERANCE)
        if not self.again.can_judge(step.name):
            missing = len(self.again.way(step.name)) - 1
            return Diagnosis(step.name, UNKNOWN, f"no diagnosis: {missing} stages that lead to it are not in RIGHT")
        judgement = self.again.judge(step.name)
        if judgement.follows:
            return self.earlier(step) or self.sound(judgement)
        return self.mistaken(judgement)

    def earlier(self, step: Step) -> Diagnosis | None:
        """A stage before that is computed wrongly and differs within the tolerance."""
        for judgement in self.again.judge_all():
            if judgement.stage == step.name:
                return None
            if not judgement.follows:
                found = self.mistaken(judgement)
                if found.cause != ROUNDING:
                    return found
        return None

    # -------------------------------------------------------------------------------------------- causes

    def sound(self, judgement: Judgement) -> Diagnosis:
        """RIGHT follows from its own inputs: its formula is right, what differs has come in before."""
        if self.again.precision != "float64":
            return self.noise(judgement, self.again.precision)
        error = judgement.own_error
        sentence = (
            f"RIGHT follows from its own inputs by the right formula within {error:.0e}: "
            f"the difference came in before it, or LEFT is the one that is wrong"
        )
        return Diagnosis(judgement.stage, INPUTS, sentence, within=error)

    def noise(self, judgement: Judgement, precision: str) -> Diagnosis:
        name, error = judgement.stage, judgement.own_error
        expected = self.again.rounding(name, precision) or self.again.floor(name, precision)
        sentence = (
            f"{precision} rounding, not a bug: computed again from RIGHT's own inputs it differs by at most "
            f"{error:.0e}, and {precision} is expected to round by {expected:.0e} here"
        )
        return Diagnosis(name, ROUNDING, sentence, within=error)

    def mistaken(self, judgement: Judgement) -> Diagnosis:
        """The known mistakes that reproduce the stage; else coarser rounding, else a few edited cells, else unknown."""
        name = judgement.stage
        if is_overridden(self.again.right, name):
            return overridden("RIGHT", name)
        found = dict(sorted(self.reproduced(name), key=lambda item: item[1]))
        if found:
            return self.named(name, found)
        for precision in PRECISIONS[PRECISIONS.index(self.again.precision) + 1 :]:
            if judgement.own_error <= self.again.allowed(name, precision):
                return self.noise(judgement, precision)
        return self.cells(judgement) or self.unknown(judgement)

    def named(self, name: str, found: Mapping[str, float]) -> Diagnosis:
        """found: mistakes that reproduce the stage -> the largest difference, the best first."""
        within = next(iter(found.values()))
        close = tuple(title for title, size in found.items() if size <= max(CLOSE * within, self.again.floor(name)))
        verb = "reproduce" if len(close) > 1 else "reproduces"
        how_well = f"within {within:.0e}" if within else "exactly"
        return Diagnosis(name, MISTAKE, f"{' and '.join(close)} {verb} it {how_well}", close, within)

    def cells(self, judgement: Judgement) -> Diagnosis | None:
        """A few cells that don't follow where all others do."""
        name, right = judgement.stage, self.again.own(judgement.stage)
        wrong = self.again.wrong_cells(judgement)
        if not 0 < len(wrong) <= max(1, right.size // FEW):
            return None
        held = self.again.right.read(name)
        where = held.place(*self.again.comparison.origin(name, held, *wrong[0]))
        many = f"all but {len(wrong)} of {right.size:,} cells follow" if right.size > 1 else "it does not follow"
        sentence = f"{many} from RIGHT's own inputs by the right formula: look at {where}"
        return Diagnosis(name, CELLS, sentence, within=judgement.own_error)

    def unknown(self, judgement: Judgement) -> Diagnosis:
        error = judgement.own_error
        sentence = f"no known mistake reproduces it; from RIGHT's own inputs it should differ by {error:.0e}"
        return Diagnosis(judgement.stage, UNKNOWN, sentence, within=error)

    # -------------------------------------------------------------------------------------------- mistakes

    def reproduced(self, name: str) -> Iterator[tuple[str, float]]:
        """(mistake, largest difference) for each that gives RIGHT's numbers; of several forms of one, the best last."""
        way = self.again.way(name)
        for mistake in known_mistakes(self.sizes):
            changes = {step.name: change for step in way if (change := mistake.change(step, self.sizes.steps))}
            several = [{changed: change} for changed, change in changes.items()] if len(changes) > 1 else []
            for changed in [changes, *several]:
                error = self.tried(name, changed) if changed else None
                if error is not None:
                    yield mistake.name, error

    def tried(self, name: str, changed: Changed) -> float | None:
        """The largest difference where these changes reproduce the stage; None where they don't, or can't be made."""
        try:
            error = self.again.error(name, self.again.value(name, changed))
            return error if error <= self.again.allowed(name, self.again.precision, changed) else None
        except (NotHeldError, ValueError, IndexError):  # shapes that don't allow it; a row beyond the table
            return None
