"""Where a cell of a run comes from and where it goes, as data: the operations' `terms` and `dependents`."""

from __future__ import annotations

from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.result import plain
from sheetgpt.errors import StageError
from sheetgpt.lens.addresses import Region, region_of, require_cells, shape_of
from sheetgpt.lens.cells import dependents_of, precedents_of, terms_of
from sheetgpt.models.step import Step
from sheetgpt.run.trace import Trace

MOST_SUMMANDS = 12  # that are shown one by one


def origin(trace: Trace, region: Region) -> dict[str, Any]:
    """`Origin` of page/src/source.ts, but for the workbook's formula."""
    step = trace.steps.by_name.get(region.stage)
    is_computed = step is not None and not step.is_given
    return {
        "terms": terms_data(trace, step, terms_of(trace, region)) if step is not None and is_computed else None,
        "precedents": [region_data(one) for one in precedents_of(trace, region)],
        "dependents": [region_data(one) for one in dependents_of(trace, region)],
    }


def require_cell(region: Region, trace: Trace) -> None:
    """Raises StageError where the run has no such cell."""
    require_cells(region.stage, trace)
    for at, axis, count in zip(region.cell, ("rows", "columns"), shape_of(region.stage, trace.sizes), strict=True):
        if at >= count:
            raise StageError(f"{region}: {at} is out of range, its {axis} are 0 to {count - 1}")


def region_data(region: Region) -> dict[str, Any]:
    names = ("stage", "row", "column", "rows", "columns")
    return {name: getattr(region, name) for name in names}


def cells_data(trace: Trace, step: Step, cells: ops.Cells | None) -> dict[str, Any] | None:
    found = None if cells is None else region_of(step.inputs[cells.input], cells.box, trace)
    return None if found is None else region_data(found)


def terms_data(trace: Trace, step: Step, terms: ops.Terms) -> dict[str, Any]:
    """`Terms` of page/src/source.ts."""
    source = terms.numbers[terms.source].cells if terms.source else None
    return {
        "value": sent(terms.value),
        "formula": terms.formula,
        "numbers": [
            {
                "name": name,
                "value": sent(one.value),
                "addend": one.addend,
                "cells": cells_data(trace, step, one.cells),
            }
            for name, one in terms.numbers.items()
        ],
        "sum": None if terms.sum is None else sum_data(trace, step, terms.sum),
        "source": cells_data(trace, step, source),
    }


def sum_data(trace: Trace, step: Step, made: ops.Sum) -> dict[str, Any]:
    largest = np.argsort(-np.abs(made.values), kind="stable")[:MOST_SUMMANDS]
    return {
        "what": made.what,
        "count": len(made.values),
        "total": sent(made.total),
        "left": cells_data(trace, step, made.left.cells),
        "right": cells_data(trace, step, made.right.cells) if made.right else None,
        "largest": [
            {
                "index": i,
                "value": sent(made.values[i]),
                "left": sent(made.left.values[i]),
                "right": sent(made.right.values[i]) if made.right else None,
            }
            for i in largest.tolist()
        ],
    }


def sent(value: float) -> float | str:
    """A number as JSON can hold it."""
    found: float | str = plain(float(value))
    return found
