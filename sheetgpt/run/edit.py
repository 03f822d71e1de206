"""Changed cells: what `--set` says, what a person edited in a workbook, and the matrices that follow from them.

Edits are applied in causal order: a cell set in a late stage stands among cells that already follow from the early
edits. Computing belongs in `forward`; who edits says how to run again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.errors import StageError, UnknownStageError
from sheetgpt.files.labelled import read_numbers
from sheetgpt.models.sizes import Shape, Sizes, require_override
from sheetgpt.models.step import Part, Role
from sheetgpt.run.forward import Override
from sheetgpt.run.trace import Trace

__all__ = ["Edit", "Travel", "current", "edited", "largest_change", "overrides_of", "parse", "read", "travel"]

CELL = re.compile(r"(\w+)\[([^\]]*)\]=(.*)", re.DOTALL)
WHOLE = re.compile(r"(\w+)=(.+)", re.DOTALL)
TOKEN_IDS_ROW = 1  # of the stage of tokens
BEST_SHAPE = (2, 1)  # of the predicted token in memory: the logit and the id

At = tuple[int, int] | tuple[np.ndarray, ...]  # a cell; of several cells numpy's open mesh, as `np.ix_` makes it
Index = int | slice


@dataclass(frozen=True)
class Edit:
    """One assignment: a cell of a matrix, several cells, or all of it (`at` is None)."""

    stage: str  #: the name of a stage or weight
    at: At | None  #: (row, column), or numpy's open mesh of several; None: all of it
    value: float | np.ndarray  #: a number, or a matrix [rows, columns]


@dataclass(frozen=True)
class Travel:
    """How far a change got: the largest change in a part of the model, and in which stage it is."""

    part: str  #: "embeddings", "block 0" and so on, "head"
    largest_change: float  #: the size of the change, in the stage's own units
    stage: str  #: where it is


# ------------------------------------------------------------------------------------------------ what --set says


def parse(text: str, sizes: Sizes) -> Edit:
    """One assignment. Raises StageError.

    `STAGE[ROW,COLUMN]=VALUE`, of a stage with heads also `STAGE[HEAD,QUERY,KEY]=VALUE`; `STAGE=FILE.csv`. A number
    fills all that the indices of numpy would: `STAGE=0`, `STAGE[3,:]=0`, `STAGE[:,-2:]=0`, a head `STAGE[0]=0`.
    """
    found = CELL.fullmatch(text)
    if found:
        name, places, value = found.groups()
        require_settable(name, sizes)
        return Edit(name, place(name, places, sizes), number(value, text))
    found = WHOLE.fullmatch(text)
    if not found:
        raise StageError(f'--set takes "STAGE[ROW,COLUMN]=VALUE", STAGE=VALUE or STAGE=FILE.csv, not {text!r}')
    name, value = found.groups()
    require_settable(name, sizes)
    return Edit(name, None, number(value, text) if is_number(value) else read_whole(name, Path(value), sizes))


def names_file(text: str) -> bool:
    """Does an assignment take its value from a file?

    >>> names_file("logits=new.csv"), names_file("logits=0"), names_file("logits[0,0]=1")
    (True, False, False)
    """
    found = None if CELL.fullmatch(text) else WHOLE.fullmatch(text)
    return found is not None and not is_number(found[2])


def read(edits: Iterable[Edit | str], sizes: Sizes) -> list[Edit]:
    """Edits, those that are texts read. Raises StageError."""
    return [parse(one, sizes) if isinstance(one, str) else one for one in edits]


def role_of(name: str, sizes: Sizes) -> Role | None:
    step = sizes.step(name)
    return step.role if step else None


def require_settable(name: str, sizes: Sizes) -> None:
    role = role_of(name, sizes)
    if sizes.is_text(name) and role is not Role.TOKENS:
        tokens, logits = sizes.steps.name(Role.TOKENS), sizes.steps.name(Role.LOGITS)
        instead = f"set {logits}" if role is Role.PREDICTION else f"set {tokens}, or give another prompt"
        raise StageError(f"{name} holds text and can't be set", remedy=instead)
    if name not in sizes.shapes and role is not Role.TOKENS:
        raise UnknownStageError(name, sizes.shapes)


def shape_of(name: str, sizes: Sizes) -> Shape:
    return (2, sizes.n_tokens) if role_of(name, sizes) is Role.TOKENS else sizes.shapes[name]


def place(name: str, text: str, sizes: Sizes) -> At:
    """`2,-1`, `HEAD,QUERY,KEY` or a slice such as `3,:` as the rows and columns of the stage."""
    where, shown = f"{name}[{text}]", f"{name}[{', '.join(part.strip() for part in text.split(','))}]"
    try:
        indices = [index_of(part) for part in text.split(",")]
    except ValueError:
        raise StageError(f"{where}: a cell is ROW,COLUMN in whole numbers, counted from 0; : is all of them") from None
    rows, columns = shape_of(name, sizes)
    step = sizes.step(name)
    by_head = step is not None and step.by_head
    if by_head and len(indices) in (1, 3):
        heads, keys = sizes.config.n_head, sizes.n_tokens
        axes = [("heads", heads), ("queries", rows), ("keys", keys)]
        head, query, key = within(shown, indices, axes)
        return mesh(query, join(head, key, keys))
    if len(indices) > 2:
        form = "ROW,COLUMN or HEAD,QUERY,KEY" if by_head else "ROW,COLUMN"
        raise StageError(f"{where}: a cell of {name} is {name}[{form}]")
    row, column = within(shown, indices, [("rows", rows), ("columns", columns)])
    if role_of(name, sizes) is Role.TOKENS and np.any(np.asarray(row) != TOKEN_IDS_ROW):
        tokens = text.partition(",")[2].strip() or ":"
        raise StageError(f"{where}: row 0 holds texts; set the token's id, {name}[1,{tokens}]=ID")
    return mesh(row, column)


def index_of(text: str) -> Index:
    """`3`, `-1`, `:`, `1:3` or `::2` as Python has it. Raises ValueError.

    >>> index_of("-1"), index_of(":3")
    (-1, slice(None, 3, None))
    """
    if ":" not in text:
        return int(text)
    return slice(*(int(part) if part.strip() else None for part in text.split(":", 2)))


def within(where: str, indices: Sequence[Index], axes: Sequence[tuple[str, int]]) -> list[int | np.ndarray]:
    """Indices from the beginning, each a number or several; axes that none is given for are whole.

    Raises StageError where one is out of range or holds nothing.
    """
    given = [*indices, *[slice(None)] * (len(axes) - len(indices))]
    return [one_axis(where, index, *axis) for index, axis in zip(given, axes, strict=True)]


def one_axis(where: str, index: Index, axis: str, count: int) -> int | np.ndarray:
    if isinstance(index, slice):
        if index.step == 0:
            raise StageError(f"{where}: a step of 0 leads nowhere")
        found = np.arange(count)[index]
        if not found.size:
            raise StageError(f"{where} holds no cell, its {axis} are 0 to {count - 1}")
        return found
    if not -count <= index < count:
        raise StageError(f"{where}: {index} is out of range, its {axis} are 0 to {count - 1}")
    return index % count


def join(head: int | np.ndarray, key: int | np.ndarray, n_keys: int) -> int | np.ndarray:
    """The columns of these keys of these heads."""
    if isinstance(head, int) and isinstance(key, int):
        return head * n_keys + key
    columns: np.ndarray = np.atleast_1d(head)[:, None] * n_keys + np.atleast_1d(key)
    return columns.ravel()


def mesh(row: int | np.ndarray, column: int | np.ndarray) -> At:
    if isinstance(row, int) and isinstance(column, int):
        return row, column
    return np.ix_(np.atleast_1d(row), np.atleast_1d(column))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def number(value: str, text: str) -> float:
    if not is_number(value):
        raise StageError(f"{text}: {value!r} is no number")
    found = float(value)
    if not np.isfinite(found):
        raise StageError(f"{text}: a cell takes a finite number; a mask is {ops.MASKED_TEXT}")
    return found


def read_whole(name: str, path: Path, sizes: Sizes) -> np.ndarray:
    """A CSV, with labels as dumps have them or without, as the matrix of a stage or weight."""
    found = read_numbers(path)
    if role_of(name, sizes) is Role.TOKENS:
        return found.numbers[-1:]
    matrix = None if sizes.rows_taken(name, found.numbers.shape) else sizes.fitted(name, found.numbers)
    if matrix is None:
        require_override(name, found.numbers.shape, sizes.shapes[name])
    if matrix is None or not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(found.numbers))[0].tolist()
        value = found.numbers[row, column]
        what = repr(found.others.get((row, column), "")) if np.isnan(value) else f"{value}"
        where = f"{path}, row {row + found.labels + 1}, column {column + found.labels + 1}"
        raise StageError(f"holds {what}, no finite number", where=where, remedy="correct it")
    return matrix


# ------------------------------------------------------------------------------------------------ overrides


def checked(overrides: Mapping[str, Any], sizes: Sizes) -> dict[str, Override]:
    """Overrides as `forward` takes them. Raises StageError for unknown names, texts and wrong shapes."""
    found: dict[str, Override] = {}
    for name, matrix in overrides.items():
        role = role_of(name, sizes)
        if role is not Role.PREDICTION:
            require_settable(name, sizes)
        if role is Role.TOKENS:
            found[name] = token_ids(matrix, sizes)
            continue
        if callable(matrix):
            if name in sizes.weights:
                raise StageError(f"{name} is a weight, which nothing computes", remedy="give a matrix, not a function")
            found[name] = matrix
            continue
        array = np.asarray(matrix)
        if array.dtype.kind not in "fiub":
            raise StageError(f"{name} takes numbers, not {array.dtype}", remedy="give a matrix of floats")
        require_override(name, array.shape, BEST_SHAPE if role is Role.PREDICTION else sizes.shapes[name])
        found[name] = array
    return found


def token_ids(table: Any, sizes: Sizes) -> np.ndarray:  # [T], [1, T] or [2, T] with the ids in row 1 -> [T]
    """The ids in an override of the tokens."""
    ids = np.atleast_2d(np.asarray(table, dtype=object))[-1]
    try:
        whole = [int(i) for i in ids]
        fits = len(whole) == sizes.n_tokens and all(float(i) == w for i, w in zip(ids, whole, strict=True))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        name = sizes.steps.name(Role.TOKENS)
        raise StageError(f"{name} takes {sizes.n_tokens} whole numbers in its row 1, the token ids")
    return np.asarray(whole)


def in_order(edits: Iterable[Edit], sizes: Sizes) -> dict[str, list[Edit]]:
    """Edits by matrix: weights, then the token ids, then stages in causal order."""
    order = {name: number for number, name in enumerate([*sizes.weights, *sizes.steps.by_name])}
    found: dict[str, list[Edit]] = {}
    for edit in edits:
        found.setdefault(edit.stage, []).append(edit)
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def overrides_of(before: Trace, edits: Iterable[Edit]) -> dict[str, Override]:
    """What becomes of each stage and weight in the run that follows from these edits of a run.

    Of a stage that is computed it depends on what the edits before it make of it. What was set in the run stays set.
    """
    given = (before.steps.name(Role.TOKENS), *before.sizes.weights, *before.overrides)
    found: dict[str, Override] = dict(before.overrides)
    for name, of_one in in_order(edits, before.sizes).items():
        become = partial(edited, edits=of_one)
        found[name] = become(current(name, before)) if name in given else become
    return found


def current(name: str, trace: Trace) -> np.ndarray:
    """The matrix [rows, columns] of a stage or weight in a run, as edits find it; tokens as their two rows, positions
    above ids.
    """
    if trace.steps.name(Role.TOKENS) == name:
        return np.array([range(len(trace.token_ids)), trace.token_ids], float)
    return trace.matrix(name)


def edited(matrix: np.ndarray, edits: Iterable[Edit]) -> np.ndarray:
    """A copy of the matrix [rows, columns] with the edits in the order in which they were made."""
    changed = np.array(matrix)
    for edit in edits:
        changed[... if edit.at is None else edit.at] = edit.value
    return changed


# ------------------------------------------------------------------------------------------------ how far it travelled


def largest_change(before: np.ndarray, after: np.ndarray) -> float:
    """The size of the largest change between two matrices [rows, columns]. Infinite where a number became none; cells
    that are masked before or after are left out.
    """
    masked = (before <= ops.MASKED_BELOW) | (after <= ops.MASKED_BELOW)
    with np.errstate(invalid="ignore", over="ignore"):
        change = np.abs(after - before)
    change[np.isnan(before) & np.isnan(after)] = 0.0
    return float(np.where(np.isnan(change), np.inf, change)[~masked].max(initial=0))


def travel(before: Trace, after: Trace) -> list[Travel]:
    """The largest change in the embeddings, in each block and in the language head."""
    found: dict[str, Travel] = {}
    for step in before.steps:
        if step.is_text:
            continue
        part = "embeddings" if step.part is Part.EMBEDDINGS else "head" if step.block is None else f"block {step.block}"
        change = largest_change(before.arrays[step.name], after.arrays[step.name])
        if part not in found or change > found[part].largest_change:
            found[part] = Travel(part, change, step.name)
    return list(found.values())
