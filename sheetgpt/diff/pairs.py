"""Two mistakes at once: of the known ones on a stage's way, in the order in which they are worth trying.

The mistakes stand in `mistakes`; whether two of them reproduce a stage is asked in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import cast

from sheetgpt import ops
from sheetgpt.diff.computation import Changed
from sheetgpt.diff.mistakes import Mistaken
from sheetgpt.models.step import Step, Steps

FIRST = 12  # of the best ones, that are tried with every other one before the rest

Named = tuple[str, Changed]  # a mistake, the steps that it changes


def in_order(count: int) -> Iterator[tuple[int, int]]:
    """Pairs of numbers below `count`: the first ones with every other one, then the others, the smallest sums first.

    >>> list(in_order(3))
    [(0, 1), (0, 2), (1, 2)]
    """
    yield from ((i, j) for i in range(min(FIRST, count)) for j in range(i + 1, count))
    for total in range(2 * FIRST + 1, 2 * count):
        yield from ((i, total - i) for i in range(max(FIRST, total - count + 1), (total + 1) // 2))


def pairs(ranked: Sequence[Named], steps: Steps) -> Iterator[tuple[tuple[str, str], Changed]]:
    """(the names of two mistakes, the steps done wrong by both), from singles of which the best stand first."""
    for i, j in in_order(len(ranked)):
        (name, one), (other_name, other) = ranked[i], ranked[j]
        if name != other_name:
            for both in merged(one, other, steps):
                yield (name, other_name), both


def merged(one: Changed, other: Changed, steps: Steps) -> Iterator[Changed]:
    """Both sets of changes; of a step that both change, one done on top of the other, either way round."""
    if one.keys().isdisjoint(other):
        yield {**one, **other}
        return
    for inner, outer in permutations((one, other)):
        on_top = {name: stacked(steps[name], inner[name], outer[name]) for name in inner.keys() & outer.keys()}
        if all(on_top.values()):
            yield {**inner, **outer, **{name: step for name, step in on_top.items() if step is not None}}


def stacked(right: Step, inner: Step, outer: Step) -> Step | None:
    """A step done wrong on top of another wrong way; None where the two take other inputs, each its own."""
    changed = {step.inputs for step in (inner, outer)} - {right.inputs}
    if len(changed) > 1 or not isinstance(outer.op, Mistaken):
        return None
    op = cast("ops.Op", Mistaken(inner.op, outer.op.function))
    return replace(right, op=op, inputs=next(iter(changed), right.inputs))
