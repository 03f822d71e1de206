"""Changed matrices in the live workbook: which cells are typed values, and how these are marked.

A run with overrides has stages that don't follow from their inputs. Their changed cells are values here. Where a
formula fills more than a cell, what it gives stands on the tab `unset`, and the stage shows that but for those cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt.models.step import Role, Step
from sheetgpt.ops import Piece
from sheetgpt.run.forward import forward
from sheetgpt.run.trace import Trace
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import IDS, WORDS, words_area
from sheetgpt.sheets.marks import MARKED
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, boxes
from sheetgpt.workbook.places import Panel

UNSET = "unset"  # the tab
HEADING = "What changed stages would be: they show this, but for the cells that were set"
EXACT = 1e-12  # up to which, relatively, a cell follows from its inputs
MOST_MARKS = 200  # cells that are marked one by one; of more, their rows and columns


FRAME = {"border": 1, "border_color": style.WARNING}  # seen where a colour scale has the fill
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


@dataclass(frozen=True)
class ChangedStage:
    """A stage with cells that were set, as its area holds them; NaN where no token is."""

    step: Step
    before: np.ndarray  # [rows, columns], as it follows from its inputs
    cells: np.ndarray  # [rows, columns] of bool: which were set

    @property
    def is_whole(self) -> bool:
        return bool(self.cells[~np.isnan(self.before)].all())

    @property
    def places(self) -> list[tuple[int, int]]:
        """The cells that were set, from the stage's first one."""
        return [(row, column) for row, column in np.argwhere(self.cells).tolist()]

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
            now, before = (
                np.array(laid_out(plan, step, m), float) for m in (trace.array(step.name), followed(trace, step))
            )
            if (cells := differing(now, before)).any():
                found[step.name] = ChangedStage(step, before, cells)
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
    trace = plan.trace
    if plan.steps.name(Role.TOKENS) not in trace.overridden or trace.prompt is None or not plan.has_words:
        return
    own = np.array(plan.tokenizer.encode(trace.prompt))
    ids = np.array(trace.token_ids)
    for position in np.flatnonzero(own != ids).tolist() if own.shape == ids.shape else []:
        row, column = divmod(position, plan.longest_word)
        at = Area(WORDS, words_area(plan).row + row, IDS + column, 1, 1)
        mark(book, at, np.ones((1, 1), bool), own[position : position + 1, None])


def followed(trace: Trace, step: Step) -> np.ndarray:  # [rows, columns]
    """A changed stage as it follows from its inputs."""
    assert trace.weights is not None  # or there would be no plan
    tokens = trace.steps.name(Role.TOKENS)
    given = {**trace.arrays, **trace.steps.inputs(trace.arrays[tokens])}
    return forward([step], trace.weights, given, dtype=trace.dtype, overrides=trace.changed_weights)[step.name]


def differing(now: np.ndarray, before: np.ndarray) -> np.ndarray:  # [rows, columns] each -> the same, of bool
    """Which cells were set."""
    return np.asarray(np.abs(now - before) > EXACT * np.maximum(1, np.abs(before)))


def mark(book: Book, area: Area, cells: np.ndarray, before: np.ndarray | None) -> None:
    """Mark the cells of an area that were set. before: what stood there, for the notes."""
    sheet, fmt = book.sheets[area.tab], book.conditional({**MARKED, **FRAME})
    rule = {"type": "no_errors", "format": fmt}
    places = np.argwhere(cells).tolist()
    for row, column in places if len(places) <= MOST_MARKS else []:
        at = area.row + row, area.column + column
        sheet.conditional_format(*at, *at, rule)
        was = "" if before is None else f": it would be {before[row, column]:.6g}"
        sheet.write_comment(*at, f"set{was}", {"author": "sheetgpt"})
    if len(places) > MOST_MARKS:
        first, last = np.min(places, axis=0).tolist(), np.max(places, axis=0).tolist()
        corners = area.row + first[0], area.column + first[1], area.row + last[0], area.column + last[1]
        sheet.conditional_format(*corners, rule)
        sheet.write_comment(*corners[:2], f"{len(places):,} cells from here on were set", {"author": "sheetgpt"})
