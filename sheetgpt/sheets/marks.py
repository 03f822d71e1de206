"""Cells that a person changed: which they are, and how they are marked, by a fill and a note that says what was there.

Where their stage stands belongs in `values` and `live`; that no colour scale lies over them, in `colours`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sheetgpt.models.step import Role, Step
from sheetgpt.run.edit import TOKEN_IDS_ROW, current
from sheetgpt.run.forward import forward
from sheetgpt.run.trace import Trace
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, boxes

__all__ = ["SetCells"]

MARKED = {"bg_color": style.CHANGED_FILL, "bold": True, "font_color": "#8A3B12"}
MOST_NOTES = 2_000  # of a matrix: programs get slow with more, so that more changed cells have one note together
MOST_RANGES = 500  # of a rule: programs read long lists slowly
EXACT = 1e-12  # up to which, relatively, a cell is unchanged


@dataclass(frozen=True)
class SetCells:
    """A matrix in which cells were set. before: what it was, or what follows from its inputs; NaN: nothing."""

    now: np.ndarray  #: [rows, columns] with the set cells
    before: np.ndarray  #: [rows, columns] what it was, or what follows from its inputs; NaN: nothing
    how: str = "set"  #: what was done, in a word
    was: str = "computed"  #: what the number before is, in a word

    @cached_property
    def cells(self) -> np.ndarray:  # [rows, columns] of bool
        """Which cells were set, [rows, columns] of bool."""
        return np.asarray(~np.isclose(self.now, self.before, rtol=EXACT, atol=EXACT, equal_nan=True))

    def turned(self, turn: Callable[[np.ndarray], np.ndarray]) -> SetCells:
        """The same in another layout; `turn` takes and gives a matrix [rows, columns]."""
        return SetCells(turn(self.now), turn(self.before), self.how, self.was)

    def note(self, row: int, column: int) -> str:
        """What a comment on a set cell says."""
        return f"{self.how}: {self.now[row, column]:.12g}, {self.was}: {self.before[row, column]:.12g}"

    def notes(self) -> Iterator[tuple[int, int, str]]:
        """(row, column, text): one a cell, or one for all of them."""
        places = np.argwhere(self.cells).tolist()
        if len(places) > MOST_NOTES:
            row, column = places[0]
            yield row, column, f"{len(places):,} cells from here on were {self.how}"
        else:
            yield from ((row, column, self.note(row, column)) for row, column in places)


def mark(book: Book, areas: Sequence[Area], found: SetCells) -> None:
    """Mark the set cells of a matrix, which stands in areas that belong side by side."""
    start = 0
    for area in areas:
        parts = [area.part(*box) for box in boxes(found.cells[:, start : start + area.columns])]
        # subtle: a conditional format lies over the number's own style, which `cells` writes
        rule = {"type": "formula", "criteria": "=TRUE", "format": book.conditional(MARKED)} if parts else {}
        for first in range(0, len(parts), MOST_RANGES):
            book.rule(rule, *parts[first : first + MOST_RANGES])
        start += area.columns
    for row, column, text in found.notes():
        at = cell_of(areas, row, column)
        book.sheets[at.tab].write_comment(at.row, at.column, text, {"author": "sheetgpt"})


def cell_of(areas: Sequence[Area], row: int, column: int) -> Area:
    for area in areas:
        if column < area.columns:
            return area.part(row, column, 1, 1)
        column -= area.columns
    raise IndexError(column)


# ------------------------------------------------------------------------------------------------ of a run


def set_in_run(trace: Trace) -> dict[str, SetCells]:
    """The set cells of a run's stages, by name: those that don't hold what their own inputs give; and its token ids."""
    found = {}
    for name in trace.overridden:
        step = trace.steps.by_name.get(name)
        if step is not None and not step.is_given and not step.is_text:
            found[name] = SetCells(trace.array(name), followed(trace, step))
    if (ids := set_token_ids(trace)) is not None:
        found[trace.steps.name(Role.TOKENS)] = ids
    return {name: one for name, one in found.items() if one.cells.any()}


def set_in_weight(trace: Trace, name: str) -> SetCells | None:
    """The set cells of a weight; None where the run took the model's own."""
    if name not in trace.changed_weights or trace.weights is None:
        return None
    return SetCells(np.asarray(trace.changed_weights[name]), np.asarray(trace.weights[name]), was="before")


def set_token_ids(trace: Trace) -> SetCells | None:
    """The tokens' two rows beside those of the prompt; None where nothing was set, or there is no prompt."""
    name = trace.steps.name(Role.TOKENS)
    if name not in trace.overridden or trace.prompt is None or trace.tokenizer is None:
        return None
    ids = trace.tokenizer.encode(trace.prompt)
    if len(ids) != len(trace.token_ids):  # then special tokens were read as one token each
        ids = trace.tokenizer.encode(trace.prompt, special=True)
    now = current(name, trace)
    before = now.copy()
    before[TOKEN_IDS_ROW] = ids
    return SetCells(now, before)


def followed(trace: Trace, step: Step) -> np.ndarray:  # [rows, columns]
    """A changed stage as it follows from its inputs."""
    given = {**trace.arrays, **trace.steps.inputs(trace.token_ids)}
    with np.errstate(all="ignore"):
        made = forward([step], trace.weights or {}, given, dtype=trace.dtype, overrides=trace.changed_weights)
    return made[step.name]
