"""The live workbook for every program: a formula a cell, plain ranges, laid out for the prompt's own number of tokens.

The steps, their order, places and formulas are those of `writer`; here they are written cell by cell
(`workbook.cellwise`), without names that reach to an INDEX, so that Gnumeric, IronCalc, formualizer and Google Sheets
follow them too. How words and merges go without array formulas stands in `codes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sheetgpt.models.step import Axis, Role, Step
from sheetgpt.ops import Box
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.live import checks, codes, index, merges, picks, readings, sets, words
from sheetgpt.sheets.live.labels import ALL_RANKS, BEST_IDS, Labels
from sheetgpt.sheets.live.plan import Plan, plan
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.workbook.cellwise import cell_formulas, exp_of_range
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.references import N_TOKENS, Names

__all__ = ["write_portable_workbook"]

TOTALS = 4  # columns behind the logits in which their greatest stands, and the sum of their powers


def write_portable_workbook(
    trace: Trace, path: Path, *, max_tokens: int | None = None, blocks: range | None = None
) -> Path:
    """Write the portable live workbook of a run. Returns its path. Raises DumpError where it can't be written.

    max_tokens: the prompt's own number, or None; blocks: as in `plan`.
    """
    return PortableWriter(plan(trace, max_tokens=max_tokens, blocks=blocks, portable=True)).write(path)


class PortableWriter(Writer):
    """One portable live workbook being written."""

    def __init__(self, plan: Plan):
        super().__init__(plan)
        self.labels = PortableLabels(self.book, plan, self.master)

    def grows(self, live: str) -> str:  # noqa: ARG002 - nothing does
        return ""

    def other_names(self) -> Names:
        return codes.names(self.plan, self.places) if self.plan.has_words else {}

    def write_next(self, picked: picks.Picks) -> None:
        readings.write_readings(self.book, self.plan)
        readings.write_append(self.book, self.plan, picked.append.value)

    def needs_unset(self, stage: sets.ChangedStage) -> bool:  # noqa: ARG002 - each cell has a formula of its own
        return False

    def write_checks(self) -> Names:
        by_cell = [checks.CellCheck(one.source, one.computed) for one in self.checks]
        return checks.write_checks(self.book, by_cell, self.count, checks.last_so_far)

    def formulas_of(self, step: Step, out: Area) -> Iterator[tuple[Box, str]]:
        return cell_formulas(step.op, out, [self.sources[name] for name in step.inputs])

    def guarded_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        rows = [guard(step, area.row + row) for row in range(area.rows)]
        return {box: f'IF({rows[box[0]]},"",{formula})' for box, formula in self.formulas_of(step, area)}

    def write_words(self) -> None:
        message = codes.prompt_message(self.plan)
        words.write_words(self.book, self.plan, codes.PortableWordRow, message, codes.count_formula(self.plan))

    def write_merges(self, area: Area) -> None:
        merges.write_merges(self.book, self.plan, area, codes.PortableSlot)

    def write_tokens(self, area: Area) -> None:
        merges.write_tokens(self.book, self.plan, area, self.typed, message_of=codes.token_message)

    def write_tables(self) -> None:
        super().write_tables()
        merged = self.places[self.plan.steps.name(Role.MERGES)].area
        codes.write_codes(self.book, self.plan, merged)

    def write_best_tokens(self) -> Area:
        lowest = partial(lowest_id, self.trace.config.n_vocab)
        return index.write_best_tokens(self.book, self.plan, self.places, lowest)


def guard(step: Step, row: int) -> str:
    """Where it holds, a row of a stage stays empty."""
    return f'{cell(row, 0)}=""' if step.rows is Axis.TOKENS else f"{N_TOKENS}=0"


def lowest_id(n_vocab: int, logits: str, best: Area, row: int) -> str:
    """The formula for the id of the best token in a row of their table; of equals, the smallest after the one above.

    `SMALL(IF(...))` needs an array formula over a range; the greatest of products doesn't.
    """
    token_id, logit = (shared.BEST_COLUMNS.index(name) for name in ("id", "logit"))
    here, above = cell(row, logit), cell(row - 1, logit)
    after = "-1" if row == best.row else f"IF({above}={here},{cell(row - 1, token_id)},-1)"
    return f"{n_vocab}-MAX(({logits}={here})*(logit_ids>{after})*({n_vocab}-logit_ids))"


class PortableLabels(Labels):
    """Labels, of which the logits' have a formula a cell."""

    def label_logits(self, step: Step, area: Area) -> Names:
        names = super().label_logits(step, area)
        self.write_totals(step, area)
        return names

    def share_formulas(self, step: Step, area: Area) -> dict[Box, str]:  # noqa: ARG002 - takes no names
        greatest, total = self.totals(area)
        here = [cell(area.row + i, area.column) for i in range(area.rows)]
        return {(i, 0, 1, 1): f'IF({N_TOKENS}=0,"",EXP({here[i]}-{greatest})/{total})' for i in range(area.rows)}

    def rank_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        if area.rows <= ALL_RANKS:
            return super().rank_formulas(step, area)
        ids = [cell(area.row + i, 0) for i in range(area.rows)]
        return {(i, 0, 1, 1): f'IFERROR(MATCH({ids[i]},{BEST_IDS},0),"")' for i in range(area.rows)}

    @staticmethod
    def totals(area: Area) -> list[str]:
        """The cells of the greatest logit and the sum of exp(logit - greatest): no probability adds up by itself."""
        return [cell(area.row, area.column + TOTALS + number, fixed=True) for number in (1, 2)]

    def write_totals(self, step: Step, area: Area) -> None:
        logits, first = self.trace.array(step.name), area.column + TOTALS + 1
        powers = f"SUMPRODUCT({exp_of_range(f'{step.name}-{self.totals(area)[0]}')})"
        facts = (
            ("greatest", f"MAX({step.name})", logits.max()),
            ("sum of exp", powers, np.exp(logits - logits.max()).sum()),
        )
        self.book.sheets[area.tab].set_column(first, first + len(facts) - 1, 11)
        for column, (key, formula, value) in enumerate(facts, start=first):
            self.book.text(area.tab, area.row - 1, column, key, "head token")
            guarded = f'=IF({N_TOKENS}=0,"",{formula})'
            self.book.formula(area.tab, area.row, column, guarded, float(value), "live number")
