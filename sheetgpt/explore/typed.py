"""What `--set` says, cell by cell: so the page knows which cells are typed over. It reads no other assignments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sheetgpt.errors import StageError
from sheetgpt.explore.runs import Asked, Runs
from sheetgpt.lens.addresses import Region, keys_of
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Role
from sheetgpt.run.edit import TOKEN_IDS_ROW, At, Edit, parse, role_of, shape_of, token_ids

MOST_CELLS = 500  # that a page lists as typed over


class TooManySetError(StageError):
    """More cells are set than a page lists."""


def by_cell(runs: Runs, asked: Asked) -> Asked:
    """The same run asked for by `STAGE[ROW,COLUMN]=VALUE`, one a cell. Raises StageError, and what the run raises."""
    if not asked.sets:
        return asked
    sizes = runs.whole(asked.unchanged).sizes
    cells: dict[str, float] = {}
    for text in asked.sets:
        found = parse(text, sizes)
        if len(cells) + cells_of(found, sizes).size > MOST_CELLS:
            raise TooManySetError(f"{text}: a page takes {MOST_CELLS} set cells at most", remedy="set fewer")
        cells |= dict(assigned(found, sizes))
    return replace(asked, sets=tuple(f"{cell}={shown(value)}" for cell, value in cells.items()))


def by_cell_if_few(runs: Runs, asked: Asked) -> Asked:
    """As it was asked for where so many cells are set that a page doesn't list them."""
    try:
        return by_cell(runs, asked)
    except TooManySetError:
        return asked


def cells_of(edit: Edit, sizes: Sizes) -> np.ndarray:
    """The cells of an assignment: their numbers in the matrix, row by row."""
    shape = shape_of(edit.stage, sizes)
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    return np.atleast_2d(numbers[whole(edit, sizes) if edit.at is None else edit.at])


def whole(edit: Edit, sizes: Sizes) -> At:
    """All cells that can be set: of tokens their ids."""
    rows, columns = shape_of(edit.stage, sizes)
    is_tokens = role_of(edit.stage, sizes) is Role.TOKENS
    return np.ix_([TOKEN_IDS_ROW] if is_tokens else range(rows), range(columns))


def assigned(edit: Edit, sizes: Sizes) -> Iterator[tuple[str, float]]:
    """Each cell's address, and its value. Raises StageError where a file has other tokens than the run."""
    cells, value = cells_of(edit, sizes), edit.value
    if edit.at is None and isinstance(value, np.ndarray) and role_of(edit.stage, sizes) is Role.TOKENS:
        value = token_ids(value, sizes)
    values = np.broadcast_to(value, cells.shape)
    width = shape_of(edit.stage, sizes)[1]
    for cell, each in zip(cells.ravel().tolist(), values.ravel().tolist(), strict=True):
        place = Region(edit.stage, cell // width, cell % width, keys=keys_of(edit.stage, sizes))
        yield str(place), each


def shown(value: float) -> str:
    """All digits, as short as they can be.

    >>> shown(0.0), shown(-2.5), shown(1e-7)
    ('0', '-2.5', '1e-07')
    """
    return repr(float(value)).removesuffix(".0")
