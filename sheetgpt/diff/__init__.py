"""Two runs side by side: what differs, what first, and why.

`diff(open_side("run:Mike is quick."), open_side("port.npz"))` is a `Report`; the command `sheetgpt diff` prints it.
"""

from __future__ import annotations

from dataclasses import replace

from sheetgpt.diff.compare import NOT_COMPARED, Comparison, Report, Weights
from sheetgpt.diff.sides import Side, open_side
from sheetgpt.errors import DumpError

__all__ = ["Report", "Side", "diff", "open_side"]


def diff(
    left: Side,
    right: Side,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    strict: bool = False,
    weights: Weights = None,
    why: bool = True,
) -> Report:
    """Compare two sides.

    weights: what the diagnosis recomputes with, matrices or a folder; by default the folder that LEFT's manifest names.
    """
    comparison = Comparison.of(left, right, atol=atol, rtol=rtol)
    stages = [comparison.stage(name) for name in comparison.names()]
    if all(stage.verdict == NOT_COMPARED for stage in stages):
        raise DumpError(f"{left.label} and {right.label} have no stage in common", remedy="stages are paired by name")
    report = Report(left.label, right.label, comparison.tolerance, comparison.precision, stages, strict=strict)
    if not why or report.first is None:
        return report
    from sheetgpt.diff.diagnosis import diagnose  # only now: runs that are equal start sooner

    return replace(report, diagnosis=diagnose(comparison, report, weights))
