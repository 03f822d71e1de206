"""Lenses: what the numbers of a run mean, as tables.

Each lens reads the list of steps and a run's stages; none knows a model by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sheetgpt.lens.cells import dependents as dependents
    from sheetgpt.lens.cells import precedents as precedents
    from sheetgpt.lens.explained import Explanation as Explanation
    from sheetgpt.lens.explanation import explain as explain
    from sheetgpt.lens.plot import write_plot as write_plot
    from sheetgpt.lens.tables import Look as Look
    from sheetgpt.lens.tables import Report as Report
    from sheetgpt.lens.tables import Table as Table
    from sheetgpt.lens.workbook import write_workbook as write_workbook

_HOMES = {  # imported when they are asked for
    "Explanation": "explained",
    "Look": "tables",
    "Report": "tables",
    "Table": "tables",
    "dependents": "cells",
    "explain": "explanation",
    "precedents": "cells",
    "write_plot": "plot",
    "write_workbook": "workbook",
}
__all__ = [
    "Explanation",
    "Look",
    "Report",
    "Table",
    "dependents",
    "explain",
    "precedents",
    "write_plot",
    "write_workbook",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sheetgpt.lens.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'sheetgpt.lens' has no attribute {name!r}")
