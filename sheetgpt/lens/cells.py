"""Where a number comes from and where it goes: the terms of a run's cell, its precedents and its dependents.

As data, for whoever draws arrows; in words and tables in `explanation`. What the operations know of this is their
`terms` and `dependents`.
"""

from __future__ import annotations

import numpy as np

from sheetgpt import ops
from sheetgpt.lens.addresses import Region, parse, region_of, role_of
from sheetgpt.models.step import Role, Step
from sheetgpt.run.trace import Trace


def precedents(trace: Trace, address: str) -> list[Region]:
    """The cells of stages and weights that a cell is computed from; none of a weight. Raises StageError.

    Where ids choose a row of a table, theirs are among them, as `final_tokens[1,POSITION]`.
    """
    return precedents_of(trace, parse(address, trace))


def precedents_of(trace: Trace, region: Region) -> list[Region]:
    """The same of a cell that is known."""
    step = trace.steps.by_name.get(region.stage)
    if step is None or step.is_given:
        return []
    found = [region_of(step.inputs[cells.input], cells.box, trace) for cells in terms_of(trace, region).cells]
    regions = list(dict.fromkeys(one for one in found if one is not None))
    return [one for one in regions if not any(one in other for other in regions if other != one)]


def dependents(trace: Trace, address: str) -> list[Region]:
    """The cells of stages that are computed from a cell of a stage or weight, one step on. Raises StageError."""
    return dependents_of(trace, parse(address, trace))


def dependents_of(trace: Trace, region: Region) -> list[Region]:
    """The same of a cell that is known; of `final_tokens[1,POSITION]` as well."""
    row = 0 if role_of(region.stage, trace) is Role.TOKENS else region.row
    found = (
        region_of(step.name, box, trace)
        for step in trace.steps.computed.readers(region.stage)
        for number, name in enumerate(step.inputs)
        if name == region.stage
        for box in step.op.dependents(number, (row, region.column), *inputs_of(trace, step))
    )
    return list(dict.fromkeys(one for one in found if one is not None))


def terms_of(trace: Trace, region: Region) -> ops.Terms:
    """What makes a cell of a computed stage, by its operation."""
    step = trace.step(region.stage)
    cell = (0, 0) if step.role is Role.PREDICTION else region.cell
    with np.errstate(all="ignore"):  # a run may hold what is no finite number, and so do its terms
        return step.op.terms(cell, *inputs_of(trace, step))


def inputs_of(trace: Trace, step: Step) -> list[np.ndarray]:
    return [trace.matrix(name) for name in step.inputs]


def value_at(trace: Trace, region: Region) -> float:
    """The number in a cell of a stage or weight; of the predicted token the greatest logit."""
    matrix = trace.matrix(region.stage)
    return float(matrix[(0, 0) if role_of(region.stage, trace) is Role.PREDICTION else region.cell])
