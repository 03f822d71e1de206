"""A run as a live workbook: by formulas for whole stages, or, of a large model, for rows.

The former are `writer`'s, the latter `tokenwise`'s; for programs without array formulas: `portable`.
"""

from __future__ import annotations

from pathlib import Path

from sheetgpt.run.trace import Trace
from sheetgpt.sheets.live.plan import Plan, plan
from sheetgpt.sheets.live.tokenwise import TokenwiseWriter
from sheetgpt.sheets.live.writer import Writer

__all__ = ["write_live_workbook"]


def write_live_workbook(
    trace: Trace, path: Path, *, max_tokens: int | None = None, blocks: range | None = None
) -> Path:
    """Write the live workbook of a run. Returns its path. Raises DumpError where it can't be or can't be written.

    max_tokens, blocks: as in `plan`.
    """
    return writer_of(plan(trace, max_tokens=max_tokens, blocks=blocks)).write(path)


def writer_of(plan: Plan) -> Writer:
    """What writes the live workbook of a plan."""
    return TokenwiseWriter(plan) if plan.by_token else Writer(plan)
