"""The residual stream of a model, read off its list of steps: where it begins, what writes to it, what reads its end.

A write is an `Add` in a block; of its two inputs the stream is the one that the other was made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sheetgpt import ops
from sheetgpt.errors import LensError
from sheetgpt.models.step import Step, Steps
from sheetgpt.run.trace import Trace

ATTENTION, MLP = "attention", "MLP"


@dataclass(frozen=True)
class Write:
    """One addition to the stream: what was made (of `before`), and the stream after it."""

    block: int
    made: Step
    before: Step
    after: Step
    mix: Step | None  # the attended values, head by head, that it was made of

    @property
    def kind(self) -> str:
        return MLP if self.mix is None else ATTENTION


@dataclass(frozen=True)
class Stream:
    """The writes of a model, in order."""

    steps: Steps
    writes: tuple[Write, ...]

    @property
    def start(self) -> Step:
        """What the first block reads: the embeddings."""
        return self.source(self.writes[0].before)

    @property
    def end(self) -> Step:
        return self.writes[-1].after

    @cached_property
    def blocks(self) -> dict[int, list[Write]]:
        """The writes of each block."""
        found: dict[int, list[Write]] = {}
        for write in self.writes:
            found.setdefault(write.block, []).append(write)
        return found

    def source(self, step: Step) -> Step:
        """The stage that a step is a copy of, or the step."""
        while isinstance(step.op, ops.Copy):
            step = self.steps[step.inputs[0]]
        return step


def stream_of(trace: Trace) -> Stream:
    """The residual stream of a run's model. Raises LensError where it has none, or the run's stages were set."""
    require_unset(trace)
    writes = tuple(writes_of(trace.steps))
    if not writes:
        raise LensError(
            f"a {trace.config.model} model has no blocks that write to a residual stream",
            remedy="take one that has: attention, microgpt or gpt2",
        )
    return Stream(trace.steps, writes)


def require_unset(trace: Trace) -> None:
    """Raises LensError for a run with overrides: its stages no longer follow from each other."""
    if trace.overridden:
        what = f"{', '.join(trace.overridden)} was set in this run, and a lens needs one as the model makes it"
        raise LensError(what, remedy="run the prompt without overrides")


def writes_of(steps: Steps) -> Iterator[Write]:
    for step in steps:
        if isinstance(step.op, ops.Add) and step.block is not None:
            left, right = (steps[name] for name in step.inputs)
            made, before = (left, right) if right in list(behind(steps, left, right)) else (right, left)
            mixes = [one for one in behind(steps, made, before) if isinstance(one.op, ops.AttentionMix)]
            yield Write(step.block, made, before, step, mixes[0] if mixes else None)


def behind(steps: Steps, made: Step, before: Step) -> Iterator[Step]:
    """The stages that one is made of, itself the first, back to `before`."""
    seen, waiting = set(), [made.name]
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in steps.by_name:
            continue
        seen.add(name)
        yield steps[name]
        if name != before.name:
            waiting += steps[name].inputs
