"""The experiment on the first tab: the one attention weight to type over, and what is predicted then.

Which weight that is belongs in `lens.decisive`; here it gets its address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sheetgpt.lens.decisive import Ablation, decisive
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.places import Place


@dataclass(frozen=True)
class Experiment:
    """An attention weight in the workbook, and what follows when it is 0."""

    found: Ablation
    at: Area

    @property
    def address(self) -> str:
        return f"{self.at.tab}!{self.at.range()}"

    @property
    def sentence(self) -> str:
        return f"Type 0 into {self.address} ({self.found.place}): {self.found.effect}."


def experiment(plan: Plan, places: Mapping[str, Place]) -> Experiment | None:
    """The experiment that a workbook of the whole model invites to; None where it predicts nothing or has no heads.

    None where stages were set, too: of these the workbook holds some cells, a run with overrides all.
    """
    trace = plan.trace
    found = decisive(trace) if plan.is_whole and not any(name in trace for name in trace.overridden) else None
    if found is None:
        return None
    column = found.head * plan.max_tokens + found.key
    return Experiment(found, places[found.stage].area.part(found.query, column, 1, 1))
