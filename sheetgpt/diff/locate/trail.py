"""Following a workbook that goes its own way: each stage is computed from those found before it, and looked for.

First by the right formula, then with each known mistake. What stands exactly where a mistake leads to was computed with
that mistake; from there on the workbook's own numbers count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.computation import UNCHANGED, Changed, Computation, NotHeldError
from sheetgpt.diff.locate.choice import Choice, Found, outermost
from sheetgpt.diff.locate.pattern import EXACT, patterns
from sheetgpt.diff.locate.search import EXACTLY, Location, SearchedTab, search
from sheetgpt.diff.mistakes import known_mistakes, made_on
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import POSITIONS, Role, Step

FARTHEST = 20  # steps since the last stage that was found, a block and its neighbours: further on no mistake is tried
NO_MORE_THAN_ROUNDING = 1e-6  # of a stage's largest number: so near, the right formula needs no mistake
AHEAD = 6  # stages whose right numbers are no mistake of an earlier one
NAMED = 3  # mistakes that lead to the same numbers

AT, OR = ", at ", " or "

Hypothesis = tuple[str, np.ndarray]  # the mistake, empty for the right formula, and what it leads to


class Trail(Computation):
    """A workbook's stages, in causal order, each from the workbook's own numbers before it."""

    def __init__(
        self, sizes: Sizes, weights: Mapping[str, np.ndarray], token_ids: Sequence[int], cells: Sequence[SearchedTab]
    ):
        self.sizes, self.steps, self.weights, self.cells = sizes, sizes.steps, weights, cells
        self.token_ids = token_ids
        self.mistakes = known_mistakes(sizes)
        self._held: dict[str, np.ndarray] = {}

    # ------------------------------------------------------------------------------------------------ what is held

    def held(self, name: str) -> np.ndarray | None:
        return self._held.get(name)

    def given(self, name: str) -> np.ndarray:
        if name == POSITIONS:
            return np.arange(self.sizes.n_tokens)
        if name == self.steps.name(Role.TOKENS) and self.token_ids:
            return np.asarray(self.token_ids)
        if name not in self.weights:
            raise NotHeldError(f"it takes {name}")
        return self.weights[name]

    def hold(self, found: Found) -> None:
        """Compute with the workbook's own numbers of this stage from now on.

        subtle: a copy is held once a stage has followed from it; it may stand there and not be what is taken.
        """
        matrix, step = found.matrix(self.sizes), self.steps[found.stage]
        for one in self.way(found.stage)[:-1]:
            value = self.value(one.name) if isinstance(one.op, ops.Copy) and one.name not in found.assumed else None
            if value is not None:
                self._held[one.name] = value
        if matrix is not None and not isinstance(step.op, ops.Copy):
            self._held[found.stage] = matrix

    # ------------------------------------------------------------------------------------------------ one stage

    def find(self, step: Step, known: Found | None, own: np.ndarray, choice: Choice) -> Found | None:
        """The stage where the workbook's own numbers lead to; `known` is where RUN's `own` numbers have found it."""
        right = self.value(step.name)
        if right is None:
            return known
        follows = None if same(right, own) else self.searched(step, [("", right)], choice)
        best = follows if follows is not None and follows.fit == EXACTLY else better(known, follows)
        if best is not None and is_right(best, right):
            return best
        return better(best, self.searched(step, list(self.mistaken(step, right)), choice))

    def value(self, name: str, changed: Changed = UNCHANGED) -> np.ndarray | None:
        """A stage from the workbook's own; None where something is missing, or shapes don't allow it."""
        try:
            return np.asarray(self.computed(name, changed)[name], np.float64)
        except (NotHeldError, ValueError, IndexError, TypeError):
            return None

    def mistaken(self, step: Step, right: np.ndarray) -> Iterator[Hypothesis]:
        """What each known mistake leads to, where it shows: nothing that another stage holds already."""
        if len(self.way(step.name)) > FARTHEST:
            return
        others = [right, *self._held.values(), *self.ahead(step)]
        for name, changed in made_on(self.way(step.name), self.mistakes, self.steps):
            value = self.value(step.name, changed)
            if value is not None and value.shape == right.shape and not any(same(value, other) for other in others):
                yield place_of(name, changed, step), value

    def ahead(self, step: Step) -> Iterator[np.ndarray]:
        """What the stages after this one should be: queries that look like the keys are keys."""
        after = [one for one in self.steps if not one.is_text]
        start = next(number for number, one in enumerate(after) if one.name == step.name) + 1
        values = (self.value(one.name) for one in after[start : start + AHEAD])
        return (value for value in values if value is not None)

    def searched(self, step: Step, hypotheses: Sequence[Hypothesis], choice: Choice) -> Found | None:
        """Where what some hypothesis leads to stands, and which."""
        wanted = [p for name, value in hypotheses for p in patterns(self.sizes, step.name, value, name)]
        places: dict[str, list[Location]] = {}
        for cells in self.cells:
            for place in search(cells, wanted):
                places.setdefault(place.assumed, []).append(place)
        best: Found | None = None
        for assumed, there in places.items():
            free = [place for place in there if not assumed or choice.is_free(place)]
            best = merged(best, choice.found(step.name, outermost(free, ()), assumed))
        return best


def better(one: Found | None, other: Found | None) -> Found | None:
    if one is None or other is None:
        return one or other
    return other if other.exceeds(one) else one


def merged(one: Found | None, other: Found | None) -> Found | None:
    """The better one; both mistakes are named where they lead to the same cells."""
    best = better(one, other)
    if one is None or other is None or best is None:
        return best
    names = [title(mistake) for mistake in one.assumed.split(OR)]
    if one.fit == other.fit == EXACTLY and one.areas == other.areas:
        more = [other.assumed] if title(other.assumed) not in names and len(names) < NAMED else []
        return replace(one, assumed=OR.join([one.assumed, *more]))
    return best


def title(assumed: str) -> str:
    """A mistake without the step where it happens."""
    return assumed.partition(AT)[0]


def is_right(found: Found, right: np.ndarray) -> bool:
    """Is there no more left than rounding to float32?"""
    if found.assumed or found.off or not found.is_whole:
        return False
    return found.fit == EXACTLY or found.largest <= NO_MORE_THAN_ROUNDING * float(np.abs(right).max(initial=0))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Are two matrices the same but for the rounding of doubles?"""
    if one.shape != other.shape:
        return False
    size = float(np.abs(other[np.isfinite(other)]).max(initial=0))
    return bool(np.allclose(one, other, rtol=EXACT, atol=EXACT * min(size, 1e9), equal_nan=True))


def place_of(name: str, changed: Changed, step: Step) -> str:
    """A mistake with the step where it happens, where that is another one than the stage itself."""
    others = [name for name in changed if name != step.name]
    return f"{name}{AT}{others[0]}" if len(changed) == 1 and others else name


def lost_after(steps: Iterable[Step], found: Mapping[str, Found | None]) -> tuple[str, int]:
    """(the last stage that was found, how many matrix stages after it were not)."""
    names = [step.name for step in steps if step.name in found]
    there = [number for number, name in enumerate(names) if found[name]]
    return (names[there[-1]], len(names) - 1 - there[-1]) if there else ("", len(names))
