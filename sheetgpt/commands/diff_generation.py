"""How `sheetgpt diff` prints a generation: the first step that diverges, why, the picks, and a line a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetgpt.commands import show

if TYPE_CHECKING:
    from sheetgpt.diff.generation.steps import GenerationReport, GenerationStep

COLUMNS = ["step", "id", "token", "rank", "predicted", "verdict", "largest", "cells out", "of"]


def as_text(found: GenerationReport, *, every_step: bool = False) -> str:
    lines = [headline(found), f"{found.picks[:1].upper()}{found.picks[1:]}."]
    lines += [f"{note[:1].upper()}{note[1:]}." for note in found.notes]
    shown = [step for step in found.steps if every_step or not step.equal]
    if shown:
        lines += ["", show.table(COLUMNS, [line_of(step) for step in shown])]
    equal = [str(step.step) for step in found.steps if step not in shown]
    if equal:
        lines += ["", f"Equal: steps {', '.join(equal)}"]
    return "\n".join(lines)


def headline(found: GenerationReport) -> str:
    first, count = found.first, f"{len(found.steps)} steps compared"
    if first is None:
        tolerance = f"|left - right| <= {found.tolerance.atol:g} + {found.tolerance.rtol:g} |right|"
        return (
            f"No step diverges: {count}, equal within {tolerance} ({' against '.join(dict.fromkeys(found.precision))})."
        )
    return f"{count}; step {first.step} diverges first: {found.cause}."


def line_of(step: GenerationStep) -> list[str]:
    rank = "" if step.rank is None else str(step.rank)
    verdict = "equal" if step.equal else "DIFFERENT"
    largest = "0" if step.largest_difference == 0 else f"{step.largest_difference:.1e}"
    cells = f"{step.cells_out:,}", f"{step.cells:,}"
    return [str(step.step), str(step.id), show.token(step.token), rank, str(step.predicted), verdict, largest, *cells]
