"""What wrong caches lead to: each as what stands in the cache, what is fed to it, where, and how its rows are taken.

A decoder makes them all, one step at a time; nothing here knows of tolerances or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from sheetgpt import ops
from sheetgpt.generate.decode import Decoder, LanguageModel
from sheetgpt.models.step import POSITIONS, Step

Rows = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Cached:
    """A wrong decoding step: the tokens before it, then those that are fed to it, each with its first position.

    keys, values: what takes the place of all tokens' rows while the last are fed.
    """

    before: Sequence[int]
    fed: Sequence[int]
    start: int = 0
    position: int | None = None  # of what is fed; None: the one after those before
    keys: Rows | None = None
    values: Rows | None = None

    def logits(self, model: LanguageModel) -> np.ndarray | None:  # [n_vocab]; None where a position doesn't exist
        place = self.start + len(self.before) if self.position is None else self.position
        if place < 0 or max(self.start + len(self.before), place + len(self.fed)) > model.room(0) or not self.fed:
            return None
        decoder, shift = Decoder(model.steps, model.weights, model.weights.dtype), Shift(self.start)
        decoder.steps = right = [shifted(step, shift) for step in decoder.steps]
        if self.before:
            decoder.feed(self.before)
        shift.by = place - len(self.before)
        decoder.steps = [self._wrong(step) for step in right]
        return decoder.feed(self.fed)

    def _wrong(self, step: Step) -> Step:
        for op, rows in ((ops.AttentionScores, self.keys), (ops.AttentionMix, self.values)):
            if rows is not None and isinstance(step.op, op):
                return replace(step, op=cast("ops.Op", Stale(step.op, rows)))
        return step


@dataclass
class Shift:
    """By how much positions are off, until someone says otherwise."""

    by: int = 0


@dataclass(frozen=True)
class Shifted:
    """An operation that takes positions, with positions that are off."""

    right: Any
    which: tuple[int, ...]  # of its inputs
    shift: Shift

    @property
    def all_rows(self) -> tuple[int, ...]:
        rows: tuple[int, ...] = self.right.all_rows
        return rows

    def value(self, *inputs: np.ndarray) -> np.ndarray:
        moved = [x + self.shift.by if i in self.which else x for i, x in enumerate(inputs)]
        value: np.ndarray = self.right.value(*moved)
        return value


@dataclass(frozen=True)
class Stale:
    """An operation that takes all tokens' rows, with others than the right ones."""

    right: Any
    rows: Rows

    @property
    def all_rows(self) -> tuple[int, ...]:
        rows: tuple[int, ...] = self.right.all_rows
        return rows

    def value(self, own: np.ndarray, every: np.ndarray, *others: np.ndarray) -> np.ndarray:
        value: np.ndarray = self.right.value(own, self.rows(every), *others)
        return value


def shifted(step: Step, shift: Shift) -> Step:
    """subtle: the mask stays, as a decoding step sees all that is in the cache wherever it thinks it stands."""
    which = tuple(i for i, name in enumerate(step.inputs) if name == POSITIONS)
    if not which or isinstance(step.op, ops.CausalMask):
        return step
    return replace(step, op=cast("ops.Op", Shifted(step.op, which, shift)))


def last_row(of: Callable[[np.ndarray], np.ndarray]) -> Rows:
    """The same rows with another last one."""

    def rows(every: np.ndarray) -> np.ndarray:
        changed = np.array(every)
        changed[-1:] = of(every)
        return changed

    return rows


NOTHING = last_row(lambda every: np.zeros_like(every[-1:]))
ROW_BEFORE = last_row(lambda every: every[-2:-1])
NOT_THERE, OF_THE_ONE_BEFORE = "are not in the cache", "are those of the token before in the cache"


def wrong_caches(prompt: Sequence[int], made: Sequence[int]) -> Iterator[tuple[str, Cached]]:
    """(what is wrong, the step) for the step after the newest of the tokens that were made."""
    before, newest = [*prompt, *made[:-1]], [made[-1]]
    place = len(before)
    yield "stale: these are the logits without the newest token", Cached(before[:-1], before[-1:])
    yield "the newest token was fed twice", Cached([*before, *newest], newest)
    yield "the newest token was fed twice", Cached([*before, *newest], newest, position=place)
    yield "the token before was fed instead of the newest one", Cached(before, before[-1:])
    yield "the newest token's position is one too high", Cached(before, newest, position=place + 1)
    yield "the newest token's position is one too low", Cached(before, newest, position=place - 1)
    yield "the newest token's position is 0", Cached(before, newest, position=0)
    yield "the newest token's position counts the new tokens only", Cached(before, newest, position=len(made) - 1)
    yield "the cache is empty: only the newest token is seen", Cached([], newest, position=place)
    yield "the cache is empty: only the newest token is seen, at position 0", Cached([], newest, position=0)
    yield "the cache holds no new tokens: the prompt and the newest token are seen", Cached(prompt, newest, 0, place)
    yield "the cache holds no prompt: only new tokens are seen", Cached(made[:-1], newest, len(prompt))
    yield "the cache holds no prompt: only new tokens are seen, from position 0", Cached(made[:-1], newest)
    yield "the token before is not in the cache", Cached(before[:-1], newest, position=place)
    yield "the first token is not in the cache", Cached(before[1:], newest, 1)
    for rows, why in ((NOTHING, NOT_THERE), (ROW_BEFORE, OF_THE_ONE_BEFORE)):
        yield f"the newest token's values {why}", Cached(before, newest, values=rows)
        yield f"the newest token's keys {why}", Cached(before, newest, keys=rows)
        yield f"the newest token's keys and values {why}", Cached(before, newest, keys=rows, values=rows)
