"""Why stages diverge: each of RIGHT's is held against what RIGHT's own inputs lead to, rightly and with each mistake.

A formula that gives RIGHT's numbers back is what RIGHT computed. Trying the known mistakes belongs in `reproduction`,
computing in `recomputation`, what wrong cells have in common in `patterns`; here are the causes and their sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.computation import NotHeldError
from sheetgpt.diff.grain import Kind
from sheetgpt.diff.mistakes import weights_name
from sheetgpt.diff.patterns import Wrong, in_words, not_numbers
from sheetgpt.diff.recomputation import Judgement, Recomputation
from sheetgpt.diff.reproduction import FEW, SHRINKS, Reproduction
from sheetgpt.diff.rerun import folder_of, tokenizer_of
from sheetgpt.diff.result import (
    CELLS,
    DIFFERENT,
    INPUTS,
    NOT_COMPARED,
    OVERRIDE,
    PATTERN,
    ROUNDING,
    STALE,
    TOKENS,
    UNKNOWN,
    Diagnosis,
    Report,
    StageDiff,
)
from sheetgpt.diff.sides import Side, Weights
from sheetgpt.diff.sides.side import is_error_value
from sheetgpt.diff.tokens import where_cut_differs
from sheetgpt.diff.wrong_places import alike
from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Step
from sheetgpt.weights.folder import load_weights
from sheetgpt.workbook.grid import with_r1c1

FAR = 8  # steps between RIGHT's stages, from which it is said what to dump next
INHERITED = "inherited: it follows from RIGHT's own inputs"
SPREAD = "inherited: its error values come from cells of its inputs that are no numbers"
NO_ROWS_BEFORE = "it takes rows of the tokens before, which RIGHT does not hold and which may have the error before it"
WITHIN_TOLERANCE = "the stages before it lead to it: their differences are within the tolerance"


def explained(comparison: Comparison, report: Report, weights: Weights) -> Report:
    """The report with each stage's own error and cause, and the diagnosis of the first that diverges."""
    try:
        again = Recomputation(comparison, read_weights(weights, comparison.left))
    except SheetGPTError as error:
        return replace(report, diagnosis=undiagnosed(comparison, report.first, error) if report.first else None)
    explanation = Explanation(again, report.first.stage if report.first else "")
    found = with_swaps(explanation, {stage.stage: explanation.why(stage) for stage in report.stages})
    stages = [
        replace(stage, own_error=own, cause=why.sentence if why else "")
        for stage, (own, why) in zip(report.stages, found.values(), strict=True)
    ]
    return replace(report, stages=stages, diagnosis=chosen(report.first, found), assumed=explanation.assumed())


Causes = dict[str, tuple[bool | None, "Diagnosis | None"]]


def with_swaps(explanation: Explanation, found: Causes) -> Causes:
    """The causes; of two blocks that both take the other's weights everywhere it is said that they are swapped."""
    by_block: dict[int, list[Diagnosis]] = {}
    for name, (own, why) in found.items():
        step = explanation.sizes.step(name)
        if own and why is not None and step is not None and step.block is not None:
            by_block.setdefault(step.block, []).append(why)
    for one, whys in by_block.items():
        for other, others in by_block.items():
            if one < other and takes(whys, other) and takes(others, one):
                for why in (*whys, *others):
                    sentence = f"{why.sentence}; blocks {one} and {other} are swapped"
                    found[why.stage] = True, replace(why, sentence=sentence)
    return found


def takes(whys: Sequence[Diagnosis], block: int) -> bool:
    """Are all of these causes that block's weights?"""
    return all(weights_name(block) in why.mistakes for why in whys)


def undiagnosed(comparison: Comparison, first: StageDiff, error: SheetGPTError) -> Diagnosis:
    plain = plain_cause(comparison, first, comparison.sizes.step(first.stage))
    return plain or Diagnosis(first.stage, UNKNOWN, f"no diagnosis: {error}")


def chosen(first: StageDiff | None, found: Mapping[str, tuple[bool | None, Diagnosis | None]]) -> Diagnosis | None:
    """What belongs in the first line: an error before the first stage that diverges, or what is said of that one."""
    for name, (own, why) in found.items():
        if own or (first is not None and name == first.stage):
            return why
    return None


def plain_cause(comparison: Comparison, found: StageDiff, step: Step | None) -> Diagnosis | None:
    """The cause where nothing needs computing again; `step` is None for weights."""
    name = found.stage
    for which, side in zip(("LEFT", "RIGHT"), comparison.sides, strict=True):
        if is_overridden(side, name):
            return overridden(which, name)
    if step is None:
        return Diagnosis(name, UNKNOWN, "the two sides have different weights")
    if step.is_given:
        return Diagnosis(name, TOKENS, other_tokens(comparison.given or comparison.left, comparison.right))
    if found.shape is None:
        remedy = ": compare runs of one prompt" if found.note.startswith("the shapes") else ""
        return Diagnosis(name, PATTERN, f"{found.note}{remedy}")
    return None


def other_tokens(left: Side, right: Side) -> str:
    """How the two sides' tokens differ, from the token table of LEFT's model."""
    if not left.token_ids or not right.token_ids or left.token_ids == right.token_ids:
        return "the two sides do not have the same tokens: compare the same prompt"
    where = where_cut_differs(left.tokens, left.token_ids, right.token_ids, tokenizer_of(left))
    return f"the two sides do not have the same tokens: {where}"


def is_overridden(side: Side, name: str) -> bool:
    return name in side.about.get("overridden", [])


def overridden(which: str, name: str) -> Diagnosis:
    return Diagnosis(name, OVERRIDE, f"{which}'s run had it replaced by --set")


def read_weights(weights: Weights, left: Side) -> Mapping[str, np.ndarray]:
    """The matrices: as given, from the folder given, else from the one that LEFT's manifest names; none without any."""
    if isinstance(weights, Mapping):
        return weights
    folder = folder_of(left, weights)
    return load_weights(folder) if folder else {}


class Explanation:
    """Causes, found by computing RIGHT's stages again."""

    def __init__(self, again: Recomputation, first: str):
        self.again, self.sizes, self.first = again, again.sizes, first
        self.known = Reproduction(again)
        self.found_some = False  # errors of their own, in the stages asked about so far

    def why(self, found: StageDiff) -> tuple[bool | None, Diagnosis | None]:
        """(is a stage's error its own, why); None where that can't be known. Stages are asked in causal order."""
        own, why = self.why_alone(found)
        self.found_some |= own is True
        return own, why

    def why_alone(self, found: StageDiff) -> tuple[bool | None, Diagnosis | None]:
        step = self.sizes.step(found.stage)
        if found.verdict != DIFFERENT:
            return (None, None) if found.verdict == NOT_COMPARED else self.why_unseen(step)
        if found.padding:
            return True, self.padded(replace(found, padding=""))
        if step is not None and step.is_given and step.name != self.first:
            return False, Diagnosis(step.name, TOKENS, INHERITED)
        plain = plain_cause(self.again.comparison, found, step)
        return (True, plain) if plain is not None or step is None else self.why_computed(step)

    def why_computed(self, step: Step) -> tuple[bool | None, Diagnosis]:
        """The same of a stage that a step computes."""
        if step.is_text:  # the predicted token follows from the logits
            return False, Diagnosis(step.name, INPUTS, WITHIN_TOLERANCE)
        try:
            return self.why_different(step)
        except (NotHeldError, ValueError, IndexError) as error:  # shapes that belong to no one run
            return None, Diagnosis(step.name, UNKNOWN, f"no diagnosis: {error}")

    def padded(self, found: StageDiff) -> Diagnosis:
        """Of a vocabulary with rows too many: that it has them, and why the others differ, where they do."""
        _, why = self.why_alone(found) if found.cells_out else (None, None)
        if why is None or why.cause == UNKNOWN:
            return Diagnosis(found.stage, PATTERN, found.note)
        return replace(why, sentence=f"{found.note}; {why.sentence}")

    def why_different(self, step: Step) -> tuple[bool | None, Diagnosis]:
        if not self.again.can_judge(step.name):
            return None, Diagnosis(step.name, UNKNOWN, self.too_far(step.name))
        if self.needs_rows_before(step):
            return None, Diagnosis(step.name, UNKNOWN, NO_ROWS_BEFORE)
        judgement = self.again.judge(step.name)
        if judgement.follows:
            is_first = step.name == self.first and not self.found_some  # an error within the tolerance may be what grew
            return False, self.sound(judgement) if is_first else self.inherited(judgement)
        if self.spread(judgement):
            return False, Diagnosis(step.name, INPUTS, SPREAD)
        why = self.mistaken(judgement)
        return why.cause != ROUNDING, why

    def spread(self, judgement: Judgement) -> bool:
        """Are its wrong cells error values that its inputs have handed on?

        One cell that is no number is enough for a whole product to be none, in a spreadsheet.
        """
        name = judgement.stage
        if not np.isnan(self.again.own(name)[judgement.out]).all():
            return False
        wrong = self.wrong(judgement)
        are_errors = all(is_error_value(wrong.no_numbers.get((row, column))) for row, column in np.argwhere(wrong.out))
        return are_errors and any(np.isnan(self.again.own(one)).any() for one in self.again.taken(name))

    def why_unseen(self, step: Step | None) -> tuple[bool, Diagnosis | None]:
        """Of a stage that is equal within the tolerance: is it computed with a known mistake?"""
        if step is None or step.is_text or not self.again.can_judge(step.name) or self.needs_rows_before(step):
            return False, None
        try:
            judgement = self.again.judge(step.name)
            tried = [] if judgement.follows else list(self.known.tried_alone(judgement))
            why = self.known.by_one(judgement, tried) or self.known.by_most_of_one(judgement, tried)
            if why is None and not judgement.follows and self.is_before_first(step):
                why = self.cells(judgement)  # later ones don't follow from what was edited before them
        except (NotHeldError, ValueError, IndexError):
            return False, None
        return why is not None, why

    def needs_rows_before(self, step: Step) -> bool:
        """Is it a decoding step's row that is made of rows of the tokens before, where these may have an error?"""
        held = self.again.held(step.name)
        if held is None or step.name not in self.again.rows or not self.found_some:
            return False
        taken = (one.inputs[i] for one in self.again.way(step.name) for i in one.op.all_rows)
        return any(name in self.again.steps.by_name for name in taken)

    def is_before_first(self, step: Step) -> bool:
        names = list(self.again.steps.by_name)
        return self.first not in names or names.index(step.name) < names.index(self.first)

    def assumed(self) -> str:
        """What RIGHT's numbers are taken for."""
        grain, precision = self.again.grain, self.again.precision
        numbers = f"numbers printed with {grain}, computed in {precision} or finer" if grain.is_printed else str(grain)
        return ", ".join(filter(None, (numbers, self.again.assumed_weights)))

    # -------------------------------------------------------------------------------------------- causes

    def sound(self, judgement: Judgement) -> Diagnosis:
        """RIGHT follows from its own inputs: its formula is right, what differs has come in before."""
        if self.again.precision is not Kind.FLOAT64 or self.again.grain.is_coarse:
            return self.noise(judgement)
        error = judgement.error
        if self.again.assumed_weights and judgement.stage == self.first_of_weights():
            sentence = f"{self.again.assumed_weights}, not a bug: it follows from these within {error:.0e}"
            return Diagnosis(judgement.stage, ROUNDING, sentence, within=error)
        sentence = (
            f"RIGHT follows from its own inputs by the right formula within {error:.0e}: "
            f"the difference came in before it, or LEFT is the one that is wrong"
        )
        return Diagnosis(judgement.stage, INPUTS, sentence, within=error)

    def inherited(self, judgement: Judgement) -> Diagnosis:
        return Diagnosis(judgement.stage, INPUTS, INHERITED, within=judgement.error)

    def first_of_weights(self) -> str:
        """The first stage that RIGHT holds as a matrix."""
        return next((step.name for step in self.again.steps if self.again.held(step.name) is not None), "")

    def noise(self, judgement: Judgement) -> Diagnosis:
        name, error, grain = judgement.stage, judgement.error, self.again.grain
        allowed = float(judgement.allowed.max(initial=0))
        what = f"no more than rounding to {grain} hides" if grain.is_printed else f"{grain} rounding, not a bug"
        sentence = (
            f"{what}: computed again from RIGHT's own inputs it differs by at most "
            f"{error:.0e}, and up to {allowed:.0e} is rounding here"
        )
        return Diagnosis(name, ROUNDING, sentence, within=error)

    def mistaken(self, judgement: Judgement) -> Diagnosis:
        """The known mistakes that reproduce the stage; else a few edited cells, else what the wrong cells share."""
        if is_overridden(self.again.right, judgement.stage):
            return overridden("RIGHT", judgement.stage)
        tried = list(self.known.tried_alone(judgement))
        found = self.known.by_one(judgement, tried) or self.of_other_block(judgement) or self.known.by_two(judgement)
        found = found or self.known.by_most_of_one(judgement, tried)
        return found or self.cells(judgement) or self.unexplained(judgement)

    def of_other_block(self, judgement: Judgement) -> Diagnosis | None:
        """A stage that holds what LEFT's same stage of another block does."""
        step, own = self.again.steps[judgement.stage], self.again.own(judgement.stage)
        if step.block is None:
            return None
        allowed = self.again.comparison.tolerance.allowed(np.nan_to_num(own))
        for other in self.again.steps:
            if other.block in (None, step.block) or not alike(other, step):
                continue
            difference = self.again.difference_to_left(step.name, other.name)
            if (difference <= allowed).all() and difference.max() * SHRINKS <= judgement.error:
                sentence = f"it is LEFT's {other.name}: blocks are named, or run, in another order"
                return Diagnosis(step.name, PATTERN, sentence, within=judgement.error)
        return None

    def cells(self, judgement: Judgement) -> Diagnosis | None:
        """A few cells that don't follow where all others do."""
        name, right = judgement.stage, self.again.shown(judgement.stage, self.again.own(judgement.stage))
        wrong = [(int(row), int(column)) for row, column in np.argwhere(self.again.shown(name, judgement.out))]
        if not 0 < len(wrong) <= max(1, right.size // FEW):
            return None
        held = self.again.comparison.read(self.again.right, name)
        where = with_r1c1(held.place(*self.again.comparison.origin(name, held, *wrong[0])))
        many = f"all but {len(wrong)} of {right.size:,} cells follow" if right.size > 1 else "it does not follow"
        shared = not_numbers(self.wrong(judgement))
        sentence = f"{many} from RIGHT's own inputs by the right formula: look at {where}" + (shared and f" ({shared})")
        return Diagnosis(name, CELLS, sentence, within=judgement.error)

    def unexplained(self, judgement: Judgement) -> Diagnosis:
        """What the wrong cells have in common, and what the stages after it say."""
        error, shared, reader = judgement.error, in_words(self.wrong(judgement)), self.reader_of_right_one(judgement)
        if reader:
            rest = f"left standing from an earlier run, or edited: {reader} follows from the right one"
        else:
            rest = f"no known mistake reproduces it; from RIGHT's own inputs it should differ by {error:.0e}"
        if len(self.again.way(judgement.stage)) > FAR:
            rest = f"{rest}; {self.too_far(judgement.stage)}"
        cause = STALE if reader else PATTERN if shared else UNKNOWN
        return Diagnosis(judgement.stage, cause, "; ".join(filter(None, (shared, rest))), within=error)

    def reader_of_right_one(self, judgement: Judgement) -> str:
        """A stage that follows from the right one and not from the one that stands there; empty where there is none."""
        name, right = judgement.stage, self.again.value(judgement.stage)
        for reader in (step.name for step in self.again.steps.readers(name)):
            if self.again.can_judge(reader) and not self.again.judge(reader).follows:
                by_right = self.again.computed(reader, moved={name: right})[reader].astype(np.float64)
                if (self.again.difference(reader, by_right) <= self.again.allowed(reader)).all():
                    return reader
        return ""

    def wrong(self, judgement: Judgement) -> Wrong:
        name = judgement.stage
        every = self.again.value(name), self.again.own(name), judgement.allowed
        value, own, allowed = (self.again.shown(name, matrix) for matrix in every)
        comparison = self.again.comparison
        held = comparison.read(self.again.right, name) if np.isnan(own).any() else None
        there = comparison.no_numbers(name, held) if held else {}
        return Wrong(self.again.steps[name], value, own, allowed, self.sizes.config.n_head, there)

    def too_far(self, name: str) -> str:
        """How far a stage lies from those before it that RIGHT holds, and which would help most."""
        way = self.again.way(name)
        return f"{len(way) - 1} stages that lead to it are not in RIGHT: dump {way[(len(way) - 1) // 2].name} next"
