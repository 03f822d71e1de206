"""The formula of a cell as the live workbook has it, from the same list, and where its stages stand there."""

from __future__ import annotations

from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.write import Writer
from sheetgpt.workbook.references import Input, slot_at

Place = tuple[str, int, int, int]  # tab, row and column of the first cell, columns of each head (0: there are no heads)


def writer_of(trace: Trace) -> Writer | None:
    """What would write the run as a live workbook; None where sheets can't hold it."""
    try:
        return Writer(plan(trace))
    except SheetGPTError:
        return None


def places(trace: Trace) -> dict[str, Place]:
    """Where each stage and weight begins in the live workbook."""
    writer = writer_of(trace)
    if writer is None:
        return {}
    areas = {name: place.area for name, place in writer.places.items()} | writer.weights
    by_head = {step.name for step in trace.steps if step.by_head}
    keys = writer.plan.max_tokens
    return {name: (area.tab, area.row, area.column, keys if name in by_head else 0) for name, area in areas.items()}


def formula(trace: Trace, name: str, row: int, column: int) -> str:
    """With `=`; empty where the workbook has a value there."""
    step, writer = trace.steps.by_name.get(name), writer_of(trace)
    if step is None or step.is_given or writer is None:
        return ""
    area = writer.places[name].area
    if step.role is Role.PREDICTION:
        area = area.part(rows=2, column=1)
    elif shared.is_by_key(step):
        keys = len(trace.token_ids)
        column = column // keys * writer.plan.max_tokens + column % keys
    slot = slot_at(step.op, area.rows, area.columns, row, column)
    found = step.op.formula(*(Input(writer.sources[one], slot, area.tab) for one in step.inputs))
    return f"={found if isinstance(found, str) else found[row]}"
