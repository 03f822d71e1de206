"""Which known mistakes reproduce a stage of RIGHT: one alone, two together, or one that explains most of it.

The mistakes stand in `mistakes`, the order of pairs in `pairs`, the computing in `recomputation`; what else may be the
cause belongs in `diagnosis`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from sheetgpt.diff.computation import Changed, NotHeldError
from sheetgpt.diff.mistakes import Mistake, known_mistakes, made_on, of_whole_blocks
from sheetgpt.diff.pairs import FIRST, Named, pairs
from sheetgpt.diff.recomputation import Judgement, Recomputation
from sheetgpt.diff.result import MISTAKE, Diagnosis

FEW = 100  # one cell in so many, at least one, may be edited by hand
CLOSE = 10  # times the best: of mistakes, those that are named
SHRINKS = 100  # times less is left by a mistake that explains most of a difference
BETTER = 2  # times nearer than the right formula: what a mistake must be to count at all
PAIRS_TAKE, PATIENCE = 1.5, 4.0  # seconds that pairs of mistakes may be tried for: at a stage, in a comparison
IMPOSSIBLE = (NotHeldError, ValueError, IndexError, TypeError)  # shapes that don't allow it; a row beyond the table
Tried = Sequence[tuple[str, Judgement]]  # mistakes, and what RIGHT is like beside each


class Reproduction:
    """Known mistakes, tried on RIGHT's stages."""

    def __init__(self, again: Recomputation):
        self.again, self.sizes = again, again.sizes
        self.patience = PATIENCE  # seconds left for pairs of mistakes

    def by_one(self, judgement: Judgement, tried: Tried) -> Diagnosis | None:
        """The mistakes that reproduce the stage, each by itself."""
        found = dict(sorted(tried, key=lambda item: item[1].error, reverse=True))
        whole = {title: one.error for title, one in found.items() if one.follows}
        if not whole:
            return None
        return self.named(judgement.stage, dict(sorted(whole.items(), key=lambda item: item[1])))

    def by_most_of_one(self, judgement: Judgement, tried: Tried) -> Diagnosis | None:
        """The mistake that leaves least, where that is a hundredth."""
        found = dict(sorted(tried, key=lambda item: item[1].unexplained, reverse=True))
        parts = {
            t: one.error for t, one in found.items() if one.unexplained * SHRINKS <= judgement.unexplained < np.inf
        }
        if not parts:
            return None
        title = min(parts, key=lambda title: parts[title])
        sentence = f"{title} explains most of it, {judgement.error:.0e}; {parts[title]:.0e} is left"
        return Diagnosis(judgement.stage, MISTAKE, sentence, (title,), parts[title])

    def by_two(self, judgement: Judgement) -> Diagnosis | None:
        """The pair of mistakes that reproduces the stage where none does alone; none where several pairs do."""
        if self.again.shown(judgement.stage, judgement.out).mean() <= 1 / FEW:
            return None
        until = time.monotonic() + min(self.patience, PAIRS_TAKE)
        began, found = time.monotonic(), dict[tuple[str, str], float]()
        ranked = self.ranked(judgement)
        for tries, (names, changed) in enumerate(pairs(ranked, self.again.steps)):
            if time.monotonic() > until or (found and tries > FIRST * len(ranked)):
                break
            one = self.tried(judgement, changed)
            if one is not None and one.error * SHRINKS <= judgement.error and one.follows:
                found[names] = min(one.error, found.get(names, np.inf))
        self.patience -= time.monotonic() - began
        best = min(found, key=lambda names: found[names], default=None)
        if best is None:
            return None
        close = max(CLOSE * found[best], self.again.floor(judgement.stage))
        if sum(size <= close for size in found.values()) > 1:
            return None
        sentence = f"two mistakes, {' and '.join(best)}, reproduce it together within {found[best]:.0e}"
        return Diagnosis(judgement.stage, MISTAKE, sentence, best, found[best])

    def named(self, name: str, found: Mapping[str, float]) -> Diagnosis:
        """found: mistakes that reproduce the stage -> the largest difference, the best first."""
        within = next(iter(found.values()))
        close = tuple(title for title, size in found.items() if size <= max(CLOSE * within, self.again.floor(name)))
        verb = "reproduce" if len(close) > 1 else "reproduces"
        how_well = f"within {within:.0e}" if within else "exactly"
        return Diagnosis(name, MISTAKE, f"{' and '.join(close)} {verb} it {how_well}", close, within)

    # -------------------------------------------------------------------------------------------- trying

    def tried_alone(self, judgement: Judgement) -> Iterator[tuple[str, Judgement]]:
        """(mistake, what RIGHT is like beside it) for each that comes nearer than the right formula does."""
        way = self.again.way(judgement.stage)
        for name, changed in made_on(way, self.mistakes, self.again.steps):
            found = self.tried(judgement, changed)
            if found is not None:
                yield name, found

    @cached_property
    def mistakes(self) -> list[Mistake]:
        return [*of_whole_blocks(self.sizes.config.n_layer), *known_mistakes(self.sizes)]

    def tried(self, judgement: Judgement, changed: Changed) -> Judgement | None:
        """RIGHT beside these changes; None where they come no nearer to it, or can't be made."""
        try:
            difference = self.again.difference(judgement.stage, self.again.value(judgement.stage, changed))
            if not difference.max(initial=0) * BETTER <= judgement.error:
                return None
            return Judgement(judgement.stage, difference, self.again.allowed(judgement.stage, changed))
        except IMPOSSIBLE:
            return None

    def ranked(self, judgement: Judgement) -> list[Named]:
        """The mistakes on a stage's way, first those beside which least is left of the difference."""
        singles = list(made_on(self.again.way(judgement.stage), self.mistakes, self.again.steps))
        sizes = [self.left_by(judgement, changed) for _, changed in singles]
        order = sorted((at for at, size in enumerate(sizes) if size is not None), key=lambda at: sizes[at] or (0, 0.0))
        return [singles[at] for at in order]

    def left_by(self, judgement: Judgement, changed: Changed) -> tuple[int, float] | None:
        """How far a stage with these changes is from RIGHT's: (cells that are none or masked, root mean square)."""
        try:
            difference = self.again.difference(judgement.stage, self.again.value(judgement.stage, changed))
        except IMPOSSIBLE:
            return None
        infinite = np.isinf(difference)
        return int(infinite.sum()), float(
            np.sqrt(np.mean(np.square(difference[~infinite])))
        ) if not infinite.all() else 0.0
