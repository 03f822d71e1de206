"""What a person edited in a dumped workbook, and the run that follows from it.

A cell is an edit where it holds neither what the original run had there (so it is no stale value after an edit
before it) nor what follows from the edits before it (so no formula computed it). Running on is `edit`'s, reading and
writing workbooks `workbook`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.diff.compare import Tolerance, at, masked_cells, same_text, trimmed
from sheetgpt.diff.sides.side import Matrix
from sheetgpt.diff.sides.workbook import WorkbookSource
from sheetgpt.errors import DumpError, StageError
from sheetgpt.model import Model, load_model
from sheetgpt.models.sizes import TEXT_STAGES, Setting
from sheetgpt.run.edit import TOKEN_IDS_ROW, TOKENS, Edit, current, edited, run_again, setting_of
from sheetgpt.run.trace import Trace

SAVED = Tolerance(1e-300, 1e-12)  # what saving a number in 15 digits moves
COMPUTED = 1e-9  # relative to cell and stage: what a spreadsheet program's own sums move
TYPED_TEXTS = ("separated_into_words", "final_tokens")


@dataclass(frozen=True)
class Change:
    """One edited cell: where it stands in the workbook and in its stage, what it held and holds."""

    place: str
    stage: str
    at: tuple[int, int]
    row: str
    column: str
    before: float
    after: float


@dataclass(frozen=True)
class Resumed:
    """The run that the workbook was dumped from, the edits, and the run that follows from them."""

    before: Trace
    after: Trace
    changes: list[Change]


def resume(path: Path, weights: str | Path | None = None) -> Resumed:
    """Find the edits of a workbook of ours and run on from them. Raises DumpError or StageError in one line."""
    book = WorkbookSource(path)
    model, before = original_run(book, path, weights)
    setting = setting_of(model, before)
    book.check(setting)
    if not book.is_live:
        refuse_texts(book, before)
    trace, changes = before, []
    overrides: dict[str, np.ndarray] = {}
    for name in in_causal_order(book, setting):
        side = book.read(name)
        found = list(changes_of(name, book, side, setting, (before, trace), model))
        if found:
            edits = [Edit(name, change.at, change.after) for change in found]
            overrides[name] = edited(current(name, trace, model), edits)
            changes += found
            trace = run_again(model, before, overrides, trace)
    return Resumed(before, trace, changes)


def original_run(book: WorkbookSource, path: Path, weights: str | Path | None) -> tuple[Model, Trace]:
    """The model and the run that the workbook says it was dumped from."""
    changed = [name for name in book.about.get("overridden", []) if name.startswith("model_")]
    if changed:
        raise DumpError(
            f"{path} was dumped from a run with other weights ({changed[0]}): resume from a dump without --set"
        )
    folder = weights or book.about.get("weights")
    if not folder:
        raise DumpError(f"{path} doesn't say which weights it was run with: give --weights")
    model = load_model(folder, book.about.get("dtype", "float64"))
    if book.is_live or book.about.get("prompt") is None:
        return model, model.run(token_ids=book.token_ids if book.is_live else dumped_ids(book, model))
    return model, model.run(book.about["prompt"])


def dumped_ids(book: WorkbookSource, model: Model) -> list[int]:
    """The token ids of the dump, though some may be edited: those whose embeddings stand in the workbook."""
    table, ids = model.weights["model_wte"], list(book.token_ids)
    if not book.has("token_embeddings"):
        return ids
    for position, row in enumerate(book.read("token_embeddings").numbers):
        same = np.flatnonzero(np.isclose(table, row, rtol=1e-6, atol=0).all(axis=1))
        if same.size and ids[position] not in same:
            ids[position] = int(same[0])
    return ids


def in_causal_order(book: WorkbookSource, setting: Setting) -> list[str]:
    """The workbook's weights, token ids and stages."""
    weights = [name for name in setting.shapes if name not in setting.steps]
    stages = [name for name in setting.steps if name not in TEXT_STAGES or (name == TOKENS and not book.is_live)]
    return [name for name in [*weights, *stages] if book.has(name)]


def refuse_texts(book: WorkbookSource, before: Trace) -> None:
    """Raises StageError where a word or a token's text was edited: they are made from the prompt."""
    for name in TYPED_TEXTS:
        if not book.has(name) or name not in before:
            continue
        theirs, ours = trimmed(book.table(name)), trimmed(before.text_table(name))
        rows = 1 if name == TOKENS else len(ours)
        for row in range(rows):
            for column in range(max(len(ours[row]), len(theirs[row]) if row < len(theirs) else 0)):
                found, expected = at(theirs, row, column), at(ours, row, column)
                if not same_text(found, expected, SAVED):
                    raise StageError(
                        f"{book.read(name).place(row, column)} was edited from {expected!r} to {found!r}, and texts "
                        f"can't be resumed: edit the ids of {TOKENS}, or run another prompt"
                    )


def changes_of(
    name: str, book: WorkbookSource, side: Matrix, setting: Setting, traces: tuple[Trace, Trace], model: Model
) -> Iterator[Change]:
    """The edited cells of one matrix. traces: the original run, and the one that follows from the edits so far."""
    original, expected = (np.asarray(current(name, trace, model), np.float64) for trace in traces)
    form = unchanged_form if name == TOKENS else lambda array: setting.fitted(name, array)
    numbers = form(side.numbers).astype(traces[0].dtype).astype(np.float64)
    origin = form(np.arange(side.numbers.size).reshape(side.numbers.shape))
    edited_cells = ~(same(numbers, original, live=book.is_live) | same(numbers, expected, live=book.is_live))
    if name == TOKENS:
        edited_cells[:TOKEN_IDS_ROW] = False
    for row, column in np.argwhere(edited_cells).tolist():
        there = divmod(int(origin[row, column]), side.numbers.shape[1])
        place, value = side.place(*there), float(numbers[row, column])
        if not np.isfinite(value):
            held = repr(side.others[there]) if there in side.others else "nothing" if np.isnan(value) else f"{value}"
            raise StageError(f"{place} ({name}[{row},{column}]) holds {held}, no finite number: type a number")
        labels = setting.row_label(name, row), setting.column_label(name, column)
        yield Change(place, name, (row, column), *labels, float(expected[row, column]), value)


def unchanged_form(array: np.ndarray) -> np.ndarray:
    return array


def same(numbers: np.ndarray, expected: np.ndarray, *, live: bool) -> np.ndarray:
    """Which cells hold what is expected, but for saving or, in a live workbook, for computing."""
    masked = masked_cells(expected)
    if live:
        size = float(np.sqrt(np.mean(np.square(expected[~masked])))) if not masked.all() else 0.0
        allowed = COMPUTED * (np.abs(expected) + size)
    else:
        allowed = SAVED.allowed(expected)
    with np.errstate(invalid="ignore"):
        close = np.abs(numbers - expected) <= allowed
    return close | (masked & masked_cells(numbers)) | (np.isnan(numbers) & (expected == 0))
