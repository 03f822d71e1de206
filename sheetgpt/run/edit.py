"""Changed cells: what `--set` says, what a person edited in a workbook, and the run that follows from them.

Edits are applied in causal order: a cell set in a late stage stands among cells that already follow from the early
edits. Computing is `forward`'s, reading files `sources`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.models.sizes import TEXT_STAGES, Setting, require_override
from sheetgpt.run.trace import Trace, unknown_stage

if TYPE_CHECKING:
    from sheetgpt.model import Model

CELL = re.compile(r"(\w+)\[([^\]]*)\]=(.*)", re.DOTALL)
WHOLE = re.compile(r"(\w+)=(.+)", re.DOTALL)
TOKENS, TOKEN_IDS_ROW = "final_tokens", 1
BEST, BEST_SHAPE = "predicted_token", (2, 1)  # in memory the logit and the id


@dataclass(frozen=True)
class Edit:
    """One assignment: a cell of a matrix, or all of it (`at` is None)."""

    stage: str
    at: tuple[int, int] | None
    value: float | np.ndarray


@dataclass(frozen=True)
class Travel:
    """How far a change got: the largest change in a part of the model, and in which stage it is."""

    part: str
    largest_change: float
    stage: str


# ------------------------------------------------------------------------------------------------ what --set says


def parse(text: str, setting: Setting) -> Edit:
    """`STAGE[ROW,COLUMN]=VALUE`, `STAGE[HEAD,QUERY,KEY]=VALUE` or `STAGE=FILE.csv`. Raises StageError."""
    found = CELL.fullmatch(text)
    if found:
        name, places, value = found.groups()
        require_settable(name, setting)
        return Edit(name, place(name, places, setting), number(value, text))
    found = WHOLE.fullmatch(text)
    if not found:
        raise StageError(f'--set takes "STAGE[ROW,COLUMN]=VALUE" or STAGE=FILE.csv, not {text!r}')
    name, file = found.groups()
    require_settable(name, setting)
    return Edit(name, None, read_whole(name, Path(file), setting))


def require_settable(name: str, setting: Setting) -> None:
    if name in TEXT_STAGES and name != TOKENS:
        instead = "set logits" if name == BEST else "set final_tokens, or give another prompt"
        raise StageError(f"{name} holds text and can't be set: {instead}")
    if name not in setting.shapes and name != TOKENS:
        raise unknown_stage(name, setting.shapes)


def shape_of(name: str, setting: Setting) -> tuple[int, int]:
    return (2, setting.n_tokens) if name == TOKENS else setting.shapes[name]


def place(name: str, text: str, setting: Setting) -> tuple[int, int]:
    """`2,-1` or `HEAD,QUERY,KEY` as a row and a column of the stage."""
    try:
        indices = [int(part) for part in text.split(",")]
    except ValueError:
        raise StageError(f"{name}[{text}]: a cell is ROW,COLUMN in whole numbers, counted from 0") from None
    rows, columns = shape_of(name, setting)
    step = setting.steps.get(name)
    if len(indices) == 3 and step is not None and step.columns == "heads x keys":
        heads, keys = setting.config.n_head, setting.n_tokens
        head, query, key = within(name, indices, [("heads", heads), ("queries", rows), ("keys", keys)])
        return query, head * keys + key
    if len(indices) != 2:
        form = "ROW,COLUMN or HEAD,QUERY,KEY" if step is not None and step.columns == "heads x keys" else "ROW,COLUMN"
        raise StageError(f"{name}[{text}]: a cell of {name} is {name}[{form}]")
    row, column = within(name, indices, [("rows", rows), ("columns", columns)])
    if name == TOKENS and row != TOKEN_IDS_ROW:
        raise StageError(f"{name}[{text}]: row 0 holds texts; set the token's id, {name}[1,{column}]=ID")
    return row, column


def within(name: str, indices: Sequence[int], axes: Sequence[tuple[str, int]]) -> list[int]:
    """Indices counted from the end where they are negative. Raises StageError where one is out of range."""
    for index, (axis, count) in zip(indices, axes, strict=True):
        if not -count <= index < count:
            raise StageError(f"{name}{list(indices)}: {index} is out of range, its {axis} are 0 to {count - 1}")
    return [index % count for index, (_, count) in zip(indices, axes, strict=True)]


def number(value: str, text: str) -> float:
    try:
        found = float(value)
    except ValueError:
        raise StageError(f"{text}: {value!r} is no number") from None
    if not np.isfinite(found):
        raise StageError(f"{text}: a cell takes a finite number; a mask is -1e10")
    return found


def read_whole(name: str, path: Path, setting: Setting) -> np.ndarray:
    """A CSV, with labels as dumps have them or without, as the matrix of a stage or weight."""
    from sheetgpt.diff.sides.side import read_csv

    numbers, others, labels = read_csv(path)
    if name == TOKENS:
        return numbers[-1:]
    matrix = setting.fitted(name, numbers)
    if matrix is None:
        require_override(name, numbers.shape, setting.shapes[name])
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        what = repr(others.get((row, column), "")) if np.isnan(numbers[row, column]) else f"{numbers[row, column]}"
        raise StageError(
            f"{path}, row {row + labels + 1}, column {column + labels + 1} holds {what}, no finite number: correct it"
        )
    return matrix


# ------------------------------------------------------------------------------------------------ overrides


def checked(overrides: Mapping[str, np.ndarray], setting: Setting) -> dict[str, np.ndarray]:
    """Overrides as `forward` takes them. Raises StageError for unknown names, texts and wrong shapes."""
    found = {}
    for name, matrix in overrides.items():
        if name != BEST:
            require_settable(name, setting)
        if name == TOKENS:
            found[name] = token_ids(matrix, setting)
            continue
        array = np.asarray(matrix)
        if array.dtype.kind not in "fiub":
            raise StageError(f"{name} takes numbers, not {array.dtype}: give a matrix of floats")
        require_override(name, array.shape, BEST_SHAPE if name == BEST else setting.shapes[name])
        found[name] = array
    return found


def token_ids(table, setting: Setting) -> np.ndarray:  # [T], [1, T] or [2, T] with the ids in row 1 -> [T]
    """The ids in an override of `final_tokens`."""
    ids = np.atleast_2d(np.asarray(table, dtype=object))[-1]
    try:
        whole = [int(i) for i in ids]
        fits = len(whole) == setting.n_tokens and all(float(i) == w for i, w in zip(ids, whole, strict=True))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise StageError(f"{TOKENS} takes {setting.n_tokens} whole numbers in its row 1, the token ids")
    return np.asarray(whole)


def in_order(edits: Iterable[Edit], setting: Setting) -> dict[str, list[Edit]]:
    """Edits by matrix: weights, then the token ids, then stages in causal order."""
    weights = [name for name in setting.shapes if name not in setting.steps]
    order = {name: number for number, name in enumerate([*weights, *setting.steps])}
    found: dict[str, list[Edit]] = {}
    for edit in edits:
        found.setdefault(edit.stage, []).append(edit)
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def setting_of(model: Model, trace: Trace) -> Setting:
    return Setting(model.config, len(trace.token_ids), trace.tokens, model.weights.untied)


def run_edited(model: Model, before: Trace, edits: Iterable[Edit]) -> Trace:
    """The run that follows from these edits of a run. What no edit reaches is taken from it."""
    setting, trace = setting_of(model, before), before
    overrides: dict[str, np.ndarray] = {}
    for name, found in in_order(edits, setting).items():
        overrides[name] = edited(current(name, trace, model), found)
        trace = run_again(model, before, overrides, trace)
    return trace


def current(name: str, trace: Trace, model: Model) -> np.ndarray:
    if name == TOKENS:
        return np.array([range(len(trace.token_ids)), trace.token_ids], float)
    return model.weights[name] if name in model.weights else trace.array(name)


def edited(matrix: np.ndarray, edits: Iterable[Edit]) -> np.ndarray:
    """A copy of the matrix with the edits in the order in which they were made."""
    changed = np.array(matrix)
    for edit in edits:
        changed[... if edit.at is None else edit.at] = edit.value
    return changed


def run_again(model: Model, before: Trace, overrides: Mapping[str, np.ndarray], base: Trace) -> Trace:
    """The prompt of `before` with overrides."""
    source = {"prompt": before.prompt} if before.prompt is not None else {"token_ids": before.token_ids}
    return model.run(**source, overrides=overrides, base=None if TOKENS in overrides else base)


# ------------------------------------------------------------------------------------------------ how far it travelled


def travel(before: Trace, after: Trace) -> list[Travel]:
    """The largest change in the embeddings, in each block and in the language head; masked cells left out."""
    from sheetgpt.diff.compare import masked_cells

    found: dict[str, Travel] = {}
    for step in before.steps:
        if step.rows == "text":
            continue
        part = f"block {step.block}" if step.block is not None else "head" if found.get("block 0") else "embeddings"
        left, right = before.arrays[step.name], after.arrays[step.name]
        masked = masked_cells(left) | masked_cells(right)
        change = float(np.abs(right - left)[~masked].max(initial=0))
        if part not in found or change > found[part].largest_change:
            found[part] = Travel(part, change, step.name)
    return list(found.values())
