"""Two runs side by side: what differs, what first, and why.

`diff(trace, open_side("port.npz"))` is a `Report`; the command `sheetgpt diff` prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypedDict, Unpack

from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.result import DIFFERENT, NOT_COMPARED, Report
from sheetgpt.diff.sides import Side, Weights, open_side
from sheetgpt.errors import DumpError
from sheetgpt.run.trace import Trace

__all__ = ["How", "Report", "Side", "compared", "diff", "open_side"]


class How(TypedDict, total=False):
    """By what two sides are compared, and how far; see `compared`."""

    atol: float | None  #: the absolute tolerance; None: as the coarser of the two sides has it
    rtol: float | None  #: the relative tolerance; None: as the coarser of the two sides has it
    strict: bool  #: is a stage that is missing on one side a difference?
    weights: Weights  #: what the diagnosis recomputes with, matrices or a folder
    why: bool  #: is the cause looked for?
    only: str | None  #: patterns of stages' names, with commas between them


def diff(left: Side | Trace, right: Side | Trace, **how: Unpack[How]) -> Report:
    """A report on two sides, or runs; see `compared`. Raises DumpError where they have no stage in common."""
    return compared(as_side(left, "left"), as_side(right, "right"), **how)[1]


def as_side(one: Side | Trace, label: str) -> Side:
    """A side, or a run as one."""
    if isinstance(one, Side):
        return one
    from sheetgpt.diff.sides.run import RunSide  # only where it is needed, as `sides` has it

    return RunSide(one, label=label)


def compared(
    left: Side,
    right: Side,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    strict: bool = False,
    weights: Weights = None,
    why: bool = True,
    only: str | None = None,
) -> tuple[Comparison, Report]:
    """What two sides are compared by, and what it finds.

    atol, rtol: a cell is equal when `|left - right| <= atol + rtol |right|`; by default as the coarser of the two sides
    has it.
    strict: a stage that is missing on one side is a difference. why: the cause is looked for.
    only: patterns of stages' names, with commas between them; by default all.
    weights: what the diagnosis recomputes with, matrices or a folder; by default the folder that LEFT's manifest names.
    Raises DumpError where the sides have no stage in common, or none can be read.
    """
    comparison = Comparison.of(left, right, atol=atol, rtol=rtol)
    names = chosen(comparison.names(), only)
    stages = [comparison.stage(name) for name in names]
    if why and any(stage.verdict == DIFFERENT and comparison.is_given(stage.stage) for stage in stages):
        from sheetgpt.diff.rerun import run_of_right  # only now: it is rare

        again = run_of_right(left, right, weights)
        if again is not None:
            given = {stage.stage: stage for stage in stages if comparison.is_given(stage.stage)}
            comparison = Comparison.of(again, right, atol=atol, rtol=rtol, given=left)
            names = chosen(comparison.names(), only)
            stages = [given.get(name) or comparison.stage(name) for name in names]
    if all(stage.verdict == NOT_COMPARED for stage in stages):
        unreadable = [stage.note for stage in stages if stage.is_unreadable]
        if unreadable:
            raise DumpError(unreadable[0])
        raise DumpError(f"{left.label} and {right.label} have no stage in common", remedy="stages are paired by name")
    unread = tuple((name, tuple(like)) for side in (left, right) for name, like in side.unread.items())
    report = Report(
        left.label,
        right.label,
        comparison.tolerance,
        comparison.precision,
        stages,
        strict=strict,
        unread=unread,
        taken=tuple(comparison.taken()),
    )
    if report.first is not None:
        remarks = [side.remark for side in (left, right)]
        report = replace(report, remarks=() if all(remarks) else tuple(filter(None, remarks)))
    if not why or (report.first is None and comparison.is_exact):
        return comparison, report
    from sheetgpt.diff.diagnosis import explained  # only now: runs that are equal start sooner

    return comparison, explained(comparison, report, weights)


def chosen(names: Sequence[str], only: str | None) -> list[str]:
    """The names that fit one of the patterns. Raises DumpError where none does."""
    patterns = [pattern.strip() for pattern in only.split(",")] if only else ["*"]
    found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not found:
        raise DumpError(f"--stages {only}: no stage is called so", remedy='give a pattern such as "block_0_*"')
    return found
