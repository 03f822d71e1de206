"""The formulas of a run's cells as the live workbook has them, from the same list, and where its stages stand there.

A stage has one formula, as in the workbook of a small model; a large one's has one a row: `live.tokenwise`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from sheetgpt.errors import SheetGPTError
from sheetgpt.models.step import Role, Step
from sheetgpt.ops import Box
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.workbook.references import Input, slot_at, slots

Place = tuple[str, int, int, int]  # tab, row and column of the first cell, columns of each head (0: there are no heads)
Piece = tuple[Box, str]  # the cells that one formula fills, and the formula


class LiveWorkbook:
    """The live workbook of a run, as it would be written."""

    def __init__(self, trace: Trace):
        self.trace = trace

    @cached_property
    def writer(self) -> Writer | None:
        """What would write it; None where sheets can't hold it."""
        try:
            return Writer(plan(self.trace, by_token=False))
        except SheetGPTError:
            return None

    @property
    def places(self) -> dict[str, Place]:
        """Where each stage and weight begins."""
        if self.writer is None:
            return {}
        areas = {name: place.area for name, place in self.writer.places.items()} | self.writer.weights
        by_head = {step.name for step in self.trace.steps if step.by_head}
        keys = self.writer.plan.max_tokens
        return {name: (area.tab, area.row, area.column, keys if name in by_head else 0) for name, area in areas.items()}

    def formula(self, name: str, row: int, column: int) -> str:
        """A cell's formula, with `=`; empty where the workbook has a value there."""
        step, writer = self.trace.steps.by_name.get(name), self.writer
        if step is None or step.is_given or writer is None:
            return ""
        area = writer.places[name].area
        if step.role is Role.PREDICTION:
            area = area.part(rows=2, column=1)
        elif shared.is_by_key(step):
            keys = len(self.trace.token_ids)
            column = column // keys * writer.plan.max_tokens + column % keys
        slot = slot_at(step.op, area.rows, area.columns, row, column)
        found = step.op.formula(*(Input(writer.sources[one], slot, area.tab) for one in step.inputs))
        return f"={found if isinstance(found, str) else found[row]}"

    def pieces(self, step: Step) -> Iterator[Piece]:
        """Every formula of a stage, and the cells of the run's matrix that it fills."""
        rows, columns = self.trace.array(step.name).shape
        for slot in slots(step.op, rows, columns):
            yield slot.box, self.formula(step.name, *slot.box[:2])
