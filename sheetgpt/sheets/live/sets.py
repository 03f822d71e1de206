"""Changed matrices in the live workbook: which cells are typed values, and how these are marked.

A run with overrides has stages that don't follow from their inputs. Their changed cells are values here. Where a
formula fills more than a cell, what it gives stands on the tab `unset`, and the stage shows that but for those cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter

import numpy as np

from sheetgpt.models.step import Step
from sheetgpt.ops import Piece
from sheetgpt.run.edit import TOKEN_IDS_ROW
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORDS, words_area
from sheetgpt.sheets.marks import SetCells, followed, mark, set_token_ids
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, boxes
from sheetgpt.workbook.places import Panel

UNSET = "unset"  # the tab
HEADING = "What changed stages would be: they show this, but for the cells that were set"
Rows = list[list[float | None]]


def laid_out(plan: Plan, step: Step, matrix: np.ndarray) -> Rows:  # [rows, columns]
    """A stage's matrix as its area holds it: with empty cells for tokens that are not there."""
    panel, count = plan.panel(step), len(plan.trace.token_ids)
    rows: Rows = matrix.tolist()
    if shared.is_by_key(step):
        spare = [None] * (plan.max_tokens - count)
        heads = matrix.reshape(len(matrix), -1, count).tolist()
        rows = [[one for head in row for one in [*head, *spare]] for row in heads]
    return rows + [[None] * panel.columns for _ in range(panel.rows - len(rows))]


def array_laid_out(plan: Plan, step: Step, matrix: np.ndarray) -> np.ndarray:  # [rows, columns]
    """The same, with NaN for the empty cells."""
    return np.array(laid_out(plan, step, matrix), float)


@dataclass(frozen=True)
class ChangedStage:
    """A stage with cells that were set, as its area holds them; NaN where no token is."""

    step: Step
    found: SetCells

    @property
    def cells(self) -> np.ndarray:  # [rows, columns] of bool
        """Which were set."""
        return self.found.cells

    @property
    def is_whole(self) -> bool:
        return bool(self.cells[~np.isnan(self.found.before)].all())

    @property
    def needs_unset(self) -> bool:
        """Does a formula fill more than a cell, so that it can't stand around those that were set?"""
        return not self.is_whole and self.step.op.piece not in (Piece.CELL, Piece.CELLS)

    def panel(self, plan: Plan) -> Panel:
        """Where it stands as it would be."""
        panel = plan.panel(self.step)
        return replace(panel, name=f"{panel.name}_{UNSET}", title=f"{panel.title}, with nothing set", tab=UNSET)


def changed_stages(plan: Plan) -> dict[str, ChangedStage]:
    """Those of the plan's computed stages that don't follow from their inputs, by name."""
    found, trace = {}, plan.trace
    for step in plan.steps.computed:
        if step.name in trace.overridden and step is not plan.typed and not step.is_text:
            one = SetCells(trace.array(step.name), followed(trace, step))
            one = one.turned(partial(array_laid_out, plan, step))
            if one.cells.any():
                found[step.name] = ChangedStage(step, one)
    return found


def segments(plan: Plan, step: Step, area: Area) -> Iterator[tuple[Area, slice]]:
    """The parts of a stage's area that hold its tokens, and the columns of its matrix that stand there."""
    count = len(plan.trace.token_ids)
    rows = len(plan.trace.array(step.name))
    if not shared.is_by_key(step):
        yield area.part(rows=rows), slice(None)
        return
    for head in range(area.columns // plan.max_tokens):
        at = area.part(0, head * plan.max_tokens, rows, count)
        yield at, slice(head * count, (head + 1) * count)


def spare(area: Area, parts: Iterable[Area]) -> Iterator[Area]:
    """What these parts of an area leave of it."""
    taken = np.zeros((area.rows, area.columns), bool)
    for part in parts:
        row, column = part.row - area.row, part.column - area.column
        taken[row : row + part.rows, column : column + part.columns] = True
    yield from (area.part(*box) for box in boxes(~taken))


def mark_token_ids(book: Book, plan: Plan) -> None:
    """Mark the typed ids that are not the prompt's own."""
    found = set_token_ids(plan.trace) if plan.has_words else None
    if found is None:
        return
    for position in np.flatnonzero(found.cells[TOKEN_IDS_ROW]).tolist():
        row, column = divmod(position, plan.longest_word)
        at = Area(WORDS, words_area(plan).row + row, IDS + column, 1, 1)
        mark(book, [at], found.turned(itemgetter((slice(TOKEN_IDS_ROW, None), slice(position, position + 1)))))
