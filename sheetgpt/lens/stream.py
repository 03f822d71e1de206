"""The residual stream of a model, read off its list of steps: where it begins, what writes to it, what reads its end.

A write is an `Add` in a block; of its two inputs the stream is the one that was written last. Before the first write it
is the one that the other was made of.
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
        return copied(self.steps, step)


def stream_of(trace: Trace) -> Stream:
    """The residual stream of a run's model. Raises LensError where it has none."""
    writes = tuple(writes_of(trace.steps))
    if not writes:
        raise LensError(
            f"a {trace.config.model} model has no blocks that write to a residual stream",
            remedy="take one that has: attention, microgpt or gpt2",
        )
    return Stream(trace.steps, writes)


def writes_of(steps: Steps) -> Iterator[Write]:
    stream: Step | None = None  # as the last write left it
    for step in steps:
        if isinstance(step.op, ops.Add) and step.block is not None:
            left, right = (steps[name] for name in step.inputs)
            made, before = (left, right) if is_stream(steps, right, stream, left) else (right, left)
            own = (one for one in behind(steps, made, before) if one.block == step.block)
            mix = next((one for one in own if isinstance(one.op, ops.AttentionMix)), None)
            yield Write(step.block, made, before, step, mix)
            stream = step


def is_stream(steps: Steps, step: Step, stream: Step | None, made: Step) -> bool:
    """Is this input of a write the stream, and not what is added to it?"""
    if stream is None:
        return step in list(behind(steps, made, step))
    return copied(steps, step) == stream


def copied(steps: Steps, step: Step) -> Step:
    """The stage that a step is a copy of, or the step."""
    while isinstance(step.op, ops.Copy):
        step = steps[step.inputs[0]]
    return step


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
