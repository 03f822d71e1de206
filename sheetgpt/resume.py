"""What a person edited in a dumped workbook, and the run that follows from it.

A cell is an edit where it holds neither what the original run had there (so it is no stale value after an edit
before it) nor what follows from the edits before it (so no formula computed it). Changing cells belongs in `run.edit`,
reading workbooks in `diff.sides`, writing them in `sheets`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.matrices import Tolerance
from sheetgpt.diff.sides.workbook import WorkbookSide
from sheetgpt.diff.texts import at, same_text, trimmed
from sheetgpt.errors import DumpError, StageError
from sheetgpt.model import Model, load_model
from sheetgpt.models.sizes import Sizes, unchanged
from sheetgpt.models.step import Role, Steps
from sheetgpt.run.edit import TOKEN_IDS_ROW, Edit, current
from sheetgpt.run.trace import Trace
from sheetgpt.workbook.grid import with_r1c1

__all__ = ["Change", "Resumed", "resume"]

SAVED = Tolerance(1e-300, 1e-12)  # what saving a number in 15 digits moves
SAVED_AS_DATE = Tolerance(1e-11, 1e-11)  # likewise, in an .ods, of numbers that are displayed as dates or times
COMPUTED = 1e-9  # relative to cell and stage: what a spreadsheet program's own sums move


@dataclass(frozen=True)
class Change:
    """One edited cell: where it stands in the workbook and in its stage, what it held and holds."""

    place: str  #: the cell's address in the workbook
    stage: str  #: the stage, weight or table of tokens
    at: tuple[int, int]  #: (row, column) in it, from 0
    row: str  #: what the row is called
    column: str  #: what the column is called
    before: float  #: what the run and the edits before it make of the cell
    after: float  #: what was typed


@dataclass(frozen=True)
class Resumed:
    """The run that the workbook was dumped from, the edits, and the run that follows from them."""

    before: Trace  #: the run that the workbook was dumped from
    after: Trace  #: the run with the edits
    changes: list[Change]  #: the edited cells, in causal order


def resume(path: Path, weights: str | Path | None = None) -> Resumed:
    """Find the edits of a workbook of ours and run on from them. Raises DumpError or StageError in one line."""
    book = WorkbookSide(path)
    model, before = original_run(book, path, weights)
    book.check(before.sizes)
    if not book.is_live:
        refuse_texts(book, before)
    trace, changes = before, []
    for name in in_causal_order(book, before.sizes):
        found = list(changes_of(name, book, before, trace))
        if found:
            edits = [Edit(name, change.at, change.after) for change in found]
            changes += found
            trace = model.run_edited(trace, edits)
    return Resumed(before, trace, changes)


# ------------------------------------------------------------------------------------------------ the original run


def original_run(book: WorkbookSide, path: Path, weights: str | Path | None) -> tuple[Model, Trace]:
    """The model and the run that the workbook says it was dumped from."""
    changed = [name for name in book.about.get("overridden", []) if name in book.known.weights]
    if changed:
        raise DumpError(
            f"was dumped from a run with other weights ({changed[0]})",
            where=path,
            remedy="resume from a dump without --set",
        )
    folder = weights or book.about.get("weights")
    if not folder:
        raise DumpError("doesn't say which weights it was run with", where=path, remedy="give --weights")
    model = load_model(folder, book.about.get("dtype", "float64"))
    if book.is_live or book.about.get("prompt") is None:
        return model, model.run(token_ids=book.token_ids if book.is_live else dumped_ids(book, model))
    return model, model.run(book.about["prompt"], special=bool(book.about.get("special")))


def dumped_ids(book: WorkbookSide, model: Model) -> list[int]:
    """The token ids of the dump, though some may be edited: those whose embeddings stand in the workbook."""
    ids, found = list(book.token_ids), embeddings(model.steps)
    if found is None or found[0] not in book.names:
        return ids
    stage, table = found[0], model.weights[found[1]]
    for position, row in enumerate(book.read(stage).numbers):
        same_row = np.flatnonzero(np.isclose(table, row, rtol=1e-6, atol=0).all(axis=1))
        if same_row.size and ids[position] not in same_row:
            ids[position] = int(same_row[0])
    return ids


def embeddings(steps: Steps) -> tuple[str, str] | None:
    """(the stage that holds a row for each token, the table that the rows are taken from); None where there is none."""
    for step in steps.readers(steps.name(Role.TOKENS)):
        if isinstance(step.op, ops.TakeRows):
            return step.name, step.inputs[0]
    return None


# ------------------------------------------------------------------------------------------------ edits


def in_causal_order(book: WorkbookSide, sizes: Sizes) -> list[str]:
    """The workbook's weights, token ids and stages."""
    stages = [step.name for step in sizes.steps if not step.is_text or (step.role is Role.TOKENS and not book.is_live)]
    return [name for name in [*sizes.weights, *stages] if name in book.names]


def refuse_texts(book: WorkbookSide, before: Trace) -> None:
    """Raises StageError where a word or a token's text was edited: they are made from the prompt."""
    for role in (Role.WORDS, Role.TOKENS):
        name = before.steps.name(role)
        if name not in book.names or name not in before:
            continue
        theirs, ours = trimmed(book.table(name)), trimmed(before.text_table(name))
        for row in range(TOKEN_IDS_ROW if role is Role.TOKENS else len(ours)):
            for column in range(max(len(ours[row]), len(theirs[row]) if row < len(theirs) else 0)):
                found, expected = at(theirs, row, column), at(ours, row, column)
                if not same_text(found, expected, SAVED):
                    tokens = before.steps.name(Role.TOKENS)
                    raise StageError(
                        f"was edited from {expected!r} to {found!r}, and texts can't be resumed",
                        where=with_r1c1(book.read(name).place(row, column)),
                        remedy=f"edit the ids of {tokens}, or run another prompt",
                    )


def changes_of(name: str, book: WorkbookSide, before: Trace, after: Trace) -> Iterator[Change]:
    """The edited cells of one matrix. before: the original run; after: what follows from the edits so far."""
    held, sizes = book.read(name), before.sizes
    is_tokens = name == before.steps.name(Role.TOKENS)
    form = unchanged if is_tokens else sizes.forms(name)[book.shape(name)]
    original, expected = (np.asarray(current(name, trace), np.float64) for trace in (before, after))
    numbers = form(held.numbers).astype(before.dtype).astype(np.float64)
    origin = form(np.arange(held.numbers.size).reshape(held.numbers.shape))
    saved = SAVED_AS_DATE if book.book.path.suffix.lower() == ".ods" else SAVED
    is_same = partial(same, numbers, saved=saved, live=book.is_live)
    is_edited = ~(is_same(original) | is_same(expected))
    if is_tokens:
        is_edited[:TOKEN_IDS_ROW] = False
    for row, column in np.argwhere(is_edited).tolist():
        row_there, column_there = divmod(int(origin[row, column]), held.numbers.shape[1])
        place, value = held.place(row_there, column_there), float(numbers[row, column])
        if not np.isfinite(value):
            text = held.others.get((row_there, column_there))
            raise no_number(value if text is None else text, f"{with_r1c1(place)}, {name}[{row},{column}]")
        labels = sizes.row_label(name, row), sizes.column_label(name, column)
        yield Change(place, name, (row, column), *labels, float(expected[row, column]), value)


def no_number(value: object, where: str) -> StageError:
    """value: NaN where the cell is blank, an infinity, or what else stands there."""
    shown = repr(value) if not isinstance(value, float) else "nothing" if np.isnan(value) else f"{value}"
    return StageError(f"holds {shown}, no finite number", where=where, remedy="type a number")


def same(numbers: np.ndarray, expected: np.ndarray, *, saved: Tolerance, live: bool) -> np.ndarray:
    """Which cells hold what is expected, but for saving or, in a live workbook, for computing."""
    masked = ops.masked_cells(expected)
    if live:
        size = float(np.sqrt(np.mean(np.square(expected[~masked])))) if not masked.all() else 0.0
        allowed = COMPUTED * (np.abs(expected) + size)
    else:
        allowed = saved.allowed(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(numbers - expected) <= allowed
    found: np.ndarray = close | (masked & ops.masked_cells(numbers)) | (np.isnan(numbers) & (expected == 0))
    return found
