"""Cells of a run by address, `STAGE[ROW,COLUMN]` as `--set` has it, there and back; and what a cell is called.

What makes a cell belongs in `cells`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from sheetgpt.errors import StageError, UnknownStageError
from sheetgpt.lens.tokens import alike, known_id
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Axis, Role
from sheetgpt.ops import Box, Cell
from sheetgpt.run import edit
from sheetgpt.run.trace import Trace

TOKEN_IDS_ROW = edit.TOKEN_IDS_ROW
PREDICTION_SHAPE = (3, 2)  # as the reference lays it out
ONE = r"""(?P<name>\w+)(?:\[(?P<place>(?:'[^']*'|"[^"]*"|[^\]'"])*)\])?"""
ADDRESS = re.compile(ONE)
DIFFERENCE = re.compile(rf"({ONE})\s*-\s*({ONE.replace('<name>', '<name_2>').replace('<place>', '<place_2>')})")
QUOTED = re.compile(r"""\s*(?P<mark>['"])(?P<token>.*)(?P=mark)\s*""", re.DOTALL)


@dataclass(frozen=True)
class Region:
    """A box of cells of a stage or weight. As text its address: `block_0_step_3[2,5]`, `block_0_step_3[2,0:64]`."""

    stage: str  #: the stage's or weight's name
    row: int  #: the first row, from 0
    column: int  #: the first column, from 0
    rows: int = 1  #: how many rows
    columns: int = 1  #: how many columns
    #: how many columns each head has, where an address names heads: `block_0_step_7[1,-1,0:6]`
    keys: int = field(default=0, compare=False)

    def __str__(self) -> str:
        head, key = divmod(self.column, self.keys) if self.keys else (0, self.column)
        in_a_head = self.keys and key + self.columns <= self.keys
        sides = ((self.row, self.rows), (key if in_a_head else self.column, self.columns))
        texts = [f"{at}" if n == 1 else f"{at}:{at + n}" for at, n in sides]
        return f"{self.stage}[{','.join([str(head), *texts] if in_a_head else texts)}]"

    def __contains__(self, other: Region) -> bool:
        return (
            other.stage == self.stage
            and self.row <= other.row
            and self.column <= other.column
            and other.row + other.rows <= self.row + self.rows
            and other.column + other.columns <= self.column + self.columns
        )

    @property
    def cell(self) -> Cell:
        """(row, column) of its first cell."""
        return self.row, self.column

    @property
    def is_cell(self) -> bool:
        """Is it one cell?"""
        return self.rows == self.columns == 1

    def at(self, number: int) -> Region:
        """One of its cells, counted row by row."""
        row, column = divmod(number, self.columns)
        return Region(self.stage, self.row + row, self.column + column, keys=self.keys)


# ------------------------------------------------------------------------------------------------ from text


def split(text: str) -> list[str]:
    """The address, or the two whose difference is meant.

    >>> split("logits[464] - logits[435]")
    ['logits[464]', 'logits[435]']
    """
    found = DIFFERENCE.fullmatch(text.strip())
    return [text.strip()] if found is None else [found[1], found[4]]


def parse(text: str, trace: Trace) -> Region:
    """The cell of a stage or weight that an address names. Raises StageError.

    Indices are those of `--set`. Where there is one column (one row), its index may be left out; where rows count
    tokens of the vocabulary, one may be named by its text: `logits[' quickly']`.
    """
    found = ADDRESS.fullmatch(text.strip())
    if found is None:
        form = 'STAGE[ROW,COLUMN], STAGE[HEAD,QUERY,KEY] or "logits[ID]-logits[ID]"'
        raise StageError(f"a cell is {form}, not {text!r}")
    name, place = found["name"], found["place"]
    require_cells(name, trace)
    shape = shape_of(name, trace.sizes)
    if place is None or not place.strip():
        if role_of(name, trace) is Role.PREDICTION:
            return Region(name, 0, 0)
        raise StageError(f"{name} has {shape[0]} x {shape[1]} cells", remedy=f"name one, {form_of(name, trace)}")
    row, column = cell_of(name, whole_place(name, place, shape, trace), trace)
    return Region(name, row, column, keys=keys_of(name, trace.sizes))


def role_of(name: str, trace: Trace) -> Role | None:
    step = trace.steps.by_name.get(name)
    return step.role if step else None


def require_cells(name: str, trace: Trace) -> None:
    """Raises StageError where there is no such stage or weight, or it holds texts."""
    role, sizes = role_of(name, trace), trace.sizes
    if name not in sizes.shapes and role is None:
        known = [step.name for step in trace.steps if not step.is_given]
        raise UnknownStageError(name, [*known, *sizes.weights])
    if role is Role.TOKENS or (sizes.is_text(name) and role is not Role.PREDICTION):
        raise StageError(
            f"{name} is made by merging texts, not computed", remedy="see `sheetgpt tokenize TEXT --trace`"
        )


def shape_of(name: str, sizes: Sizes) -> tuple[int, int]:
    return sizes.shapes.get(name, PREDICTION_SHAPE)


def form_of(name: str, trace: Trace) -> str:
    step = trace.steps.by_name.get(name)
    by_head = f" or {name}[HEAD,QUERY,KEY]" if step is not None and step.by_head else ""
    return f"{name}[ROW,COLUMN]{by_head}"


def whole_place(name: str, place: str, shape: tuple[int, int], trace: Trace) -> str:
    """The place with what may be left out, and with a token's id for its text."""
    quoted = QUOTED.fullmatch(place) or QUOTED.fullmatch(place.rpartition(",")[0])
    if quoted is not None:
        behind = place[quoted.end() :] if QUOTED.fullmatch(place) is None else ""
        place = f"{token_id(name, quoted['token'], trace)}{behind}"
    if "," not in place and 1 in shape:
        return f"{place},0" if shape[1] == 1 else f"0,{place}"
    return place


def token_id(name: str, token: str, trace: Trace) -> int:
    """The id of a token, where the rows of a stage or weight count those."""
    if rows_of(name, trace) is not Axis.VOCABULARY:
        raise StageError(f"{name}[{token!r}]: the rows of {name} are no tokens of the vocabulary", remedy="count them")
    found = known_id(trace, token)
    if found is None:
        like = next(iter(alike(trace.labels.vocabulary(), token)), None)
        remedy = f"did you mean {like!r}?" if like is not None else "`sheetgpt tokenize TEXT` shows a text's tokens"
        raise StageError(f"{name}[{token!r}]: no token is {token!r}", remedy=remedy)
    return found


def cell_of(name: str, place: str, trace: Trace) -> Cell:
    if role_of(name, trace) is not Role.PREDICTION:
        return one_cell(name, place, edit.place(name, place, trace.sizes), trace)
    try:
        indices: list[int | slice] = [int(part) for part in place.split(",")]
        row, column = edit.within(name, indices, list(zip(("rows", "columns"), PREDICTION_SHAPE, strict=True)))
    except ValueError:
        raise StageError(f"{name}[{place}]: a cell of {name} is {name}[ROW,COLUMN]") from None
    return one_cell(name, place, (row, column), trace)


def one_cell(name: str, place: str, at: tuple[Any, ...], trace: Trace) -> Cell:
    """The place as a cell. Raises StageError where it is several."""
    row, column = at
    if not isinstance(row, int) or not isinstance(column, int):
        raise StageError(f"{name}[{place}] is several cells", remedy=f"name one: {form_of(name, trace)}")
    return row, column


# ------------------------------------------------------------------------------------------------ to text


def address(region: Region, trace: Trace) -> str:
    """A cell's address as `--set` takes it: by head where there are heads."""
    return str(replace(region, keys=keys_of(region.stage, trace.sizes)))


def keys_of(name: str, sizes: Sizes) -> int:
    """How many columns each head has in a stage that has a slice of keys for each; else 0."""
    step = sizes.step(name)
    return sizes.n_tokens if step is not None and step.by_head else 0


def rows_of(name: str, trace: Trace) -> Axis | None:
    step = trace.steps.by_name.get(name)
    return step.rows if step is not None else trace.sizes.weights[name].rows


def row_label(name: str, row: int, trace: Trace) -> str:
    """What a row of a stage or weight is called."""
    rows = rows_of(name, trace)
    if rows is Axis.VOCABULARY:
        return f'token {row} "{trace.labels.vocabulary()[row]}"'
    return f"position {row}" if rows is Axis.POSITIONS else trace.sizes.row_label(name, row)


def label(region: Region, trace: Trace) -> str:
    """What a cell is called: `position 2 " quick", dimension 5`."""
    rows, columns = shape_of(region.stage, trace.sizes)
    parts = [row_label(region.stage, region.row, trace)] if rows > 1 or region.stage in trace.steps.by_name else []
    if columns > 1:
        parts.append(trace.sizes.column_label(region.stage, region.column))
    return ", ".join(parts)


def label_within(region: Region, number: int, trace: Trace) -> str:
    """What one of a region's cells is called among the others: along the axis that it has several of."""
    cell = region.at(number)
    if region.columns == 1 and (region.rows > 1 or shape_of(region.stage, trace.sizes)[1] == 1):
        return row_label(region.stage, cell.row, trace)
    return trace.sizes.column_label(region.stage, cell.column)


def region_of(name: str, box: Box, trace: Trace) -> Region | None:
    """A box of an operation's input or value as cells of the stage or weight; None of what has none, as positions."""
    role = role_of(name, trace)
    if role is Role.TOKENS:
        return Region(name, TOKEN_IDS_ROW, box[1], 1, box[3])
    if role is Role.PREDICTION:
        return Region(name, 0, 1, 3, 1)
    is_known = name in trace.steps.by_name or name in trace.sizes.weights
    return Region(name, *box, keys=keys_of(name, trace.sizes)) if is_known else None
