"""Two runs side by side: every stage that both hold, in causal order, its verdict, its figures and its worst cell.

Here: pairing and layouts. What is found stands in `result`; reading belongs in `sides`, single matrices and texts in
`matrices` and `texts`, why a stage diverges in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sheetgpt.diff.cells import Cells
from sheetgpt.diff.contents import has_vocabulary, holds, spelled, unlike, unpadded
from sheetgpt.diff.grain import FINE, Grain, coarser, grain_of
from sheetgpt.diff.matrices import Tolerance, compare, figures, finite, tolerance_for
from sheetgpt.diff.result import DIFFERENT, EQUAL, NOT_COMPARED, StageDiff, Taken, WorstCell
from sheetgpt.diff.sides import Held, Side
from sheetgpt.diff.sides.inferred import grain_of_side, sizes_of
from sheetgpt.diff.texts import Table, at, differing, extent, trimmed
from sheetgpt.errors import DamagedError, DumpError
from sheetgpt.files.labelled import number_in
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import ANY_BLOCK, Axis, Part, Role
from sheetgpt.ops import masked_cells

__all__ = ["Comparison"]

WEIGHTS_TITLE = "weights"


@dataclass(frozen=True)
class Comparison:
    """Two sides and what they share: compares one stage at a time."""

    left: Side  #: the first side
    right: Side  #: the second side
    sizes: Sizes  #: of the run that both show
    grains: tuple[Grain, Grain]  #: how finely each side holds its numbers
    tolerance: Tolerance  #: what cells may differ by
    given: Side | None = None  #: LEFT as it was given, where this one is its model's run of RIGHT's tokens

    @classmethod
    def of(
        cls,
        left: Side,
        right: Side,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        given: Side | None = None,
    ) -> Comparison:
        """Raises DumpError where a side can't be of the run that both show."""
        sizes = sizes_of((left, right))
        if any([side.take_as_last_block(sizes.config.n_layer) for side in (left, right)]):  # noqa: C419 - of both
            sizes = sizes_of((left, right))
        for side in (left, right):
            side.check(sizes)
        grains = grain_of_side(left, sizes), grain_of_side(right, sizes)
        return cls(left, right, sizes, grains, tolerance_for(grains, atol, rtol), given)

    def is_given(self, name: str) -> bool:
        """Is it a stage of words or tokens, that no matrix leads to?"""
        step = self.sizes.step(name)
        return step is not None and step.is_given

    @property
    def is_exact(self) -> bool:
        """Are the numbers so fine that no mistake hides in what rounding may differ by?"""
        return all(grain == FINE for grain in self.grains)

    @property
    def precision(self) -> tuple[str, str]:
        """How finely each side holds its numbers, in words."""
        return str(self.grains[0]), str(self.grains[1])

    @property
    def sides(self) -> tuple[Side, Side]:
        """LEFT and RIGHT."""
        return self.left, self.right

    def names(self) -> list[str]:
        """The stages of the model in causal order; before them the weights that either side holds as such."""
        weights = [name for name in self.sizes.weights if any(name in side.names for side in self.sides)]
        return weights + list(self.sizes.steps.by_name)

    def taken(self) -> Iterator[Taken]:
        """What each side holds under names without a block's number, and whose it is taken for."""
        last = self.sizes.config.n_layer - 1
        for side in self.sides:
            if side.taken:
                yield Taken(side.label, tuple(side.taken.values()), last)

    def stage(self, name: str) -> StageDiff:
        """One stage's line."""
        step = self.sizes.step(name)
        title = step.title if step else WEIGHTS_TITLE
        found = self._compared(name)
        own_error = False if found.verdict == EQUAL else None  # of others, `diagnosis` knows
        is_matrix, general = step is not None and not step.is_text, self._in_any_block(name)
        return replace(found, title=title, own_error=own_error, is_matrix=is_matrix, in_any_block=general)

    def _compared(self, name: str) -> StageDiff:
        without = [side.label for side in self.sides if not side.has(name)]
        note = f"not in {' nor in '.join(without)}" if without else self.left.gap(name) or self.right.gap(name)
        if note:
            return StageDiff(name, "", NOT_COMPARED, note=note)
        try:
            return self._texts(name) if self.sizes.is_text(name) else self._matrices(name)
        except DamagedError:
            raise
        except DumpError as error:  # the others can be compared all the same
            return StageDiff(name, "", NOT_COMPARED, note=str(error), is_unreadable=True)

    def _in_any_block(self, name: str) -> str:
        step = self.sizes.step(name)
        if step is not None:
            return step.in_any_block
        block = self.sizes.weights[name].block
        return name if block is None else name.replace(str(block), ANY_BLOCK, 1)

    # -------------------------------------------------------------------------------------------- matrices

    def paired(self, name: str) -> tuple[list[Held], list[np.ndarray | None]]:
        """What the sides hold of a stage, and the matrices [rows, columns] to compare: of a decoding step, one row, the
        last one.
        """
        held = [self.read(side, name) for side in self.sides]
        whole = [self.fitted(name, one) for one in held]
        rows = self.sizes.shapes[name][0]
        single = [self.is_last_row(name, one) for one in held]
        if sorted(single) != [False, True]:
            return held, whole
        held = [one if is_row else self._last_row(name, one, rows) for one, is_row in zip(held, single, strict=True)]
        return held, [one.numbers for one in held]

    def is_last_row(self, name: str, held: Held) -> bool:
        """Is it one row of several, that of a decoding step?"""
        step, (rows, columns) = self.sizes.step(name), self.sizes.shapes[name]
        is_row = held.numbers.shape == (1, columns) and rows > 1
        return is_row and step is not None and step.rows is Axis.TOKENS

    def read(self, side: Side, name: str) -> Held:
        """A side's stage, without the rows that pad its vocabulary."""
        held = side.read(name)
        inner = unpadded(self.sizes, name, held.numbers)
        if inner is held.numbers:
            return held
        others = {at: value for at, value in held.others.items() if at[0] < len(inner) and at[1] < inner.shape[1]}
        return replace(held, numbers=inner, others=others)

    def padding(self, name: str) -> str:
        """Which side's vocabulary has rows too many, in words; empty where neither has."""
        found = []
        for which, side in zip(("LEFT", "RIGHT"), self.sides, strict=True):
            numbers = side.read(name).numbers
            inner = unpadded(self.sizes, name, numbers)
            if inner is numbers:
                continue
            rows, more = self.sizes.shapes[name][0], max(numbers.shape)
            beyond = bool(numbers[-1].argmax() >= rows) if inner.shape[1] == rows else numbers.argmax() >= rows
            top = ", the greatest number among them" if beyond and self._is_logits(name) else ""
            found.append(f"{which}'s vocabulary is padded to {more:,} rows, {more - rows:,} too many{top}")
        return "; ".join(found)

    def _is_logits(self, name: str) -> bool:
        return name == self.sizes.steps.name(Role.LOGITS)

    def _last_row(self, name: str, held: Held, rows: int) -> Held:
        whole = self.fitted(name, held)
        if whole is None:
            return held

        def place(_row: int, column: int) -> str:
            return held.place(*self.origin(name, held, rows - 1, column))

        columns = range(whole.shape[1] if held.others else 0)
        there = {column: held.others.get(self.origin(name, held, rows - 1, column)) for column in columns}
        others = {(0, column): value for column, value in there.items() if value is not None}
        return Held(whole[-1:], place, others, blanks=held.blanks)

    def fitted(self, name: str, held: Held) -> np.ndarray | None:
        """A side's numbers of a stage in our layout, [rows, columns]; None where their shape fits no layout."""
        matrix, step = self.sizes.fitted(name, held.numbers), self.sizes.step(name)
        if matrix is not None and held.blanks and step is not None and step.by_head and step.op.shares:
            return np.where(
                np.isnan(matrix) & ~holds(self.sizes, name, held, held.others), 0, matrix
            )  # a blank share is 0
        return matrix

    def cells(self, name: str) -> Cells | None:
        """A stage cell by cell; None where a side's shape fits no layout."""
        held, (left, right) = self.paired(name)
        if left is None or right is None:
            return None
        absent = self.absent(name, held)
        left, right = (np.where(absent, 0, one) for one in (left, right))
        difference, out = compare(left, right, self.tolerance, masked=self.sizes.is_masked(name))
        others = unlike(self.sizes, name, held, left.shape)
        difference[others], out = np.inf, out | others
        printed = self.printed_alone(name, right)
        if printed is not None:
            out &= ~(difference <= self.tolerance.allowed(finite(right)) + printed.half_unit(right) * (1 + 1e-9))
        return Cells(held, left, right, difference, out, absent, printed)

    def _matrices(self, name: str) -> StageDiff:
        cells = self.cells(name)
        if cells is None:
            held, _ = self.paired(name)
            return StageDiff(name, "", DIFFERENT, note=self.misfit(*(one.numbers for one in held)))
        out = cells.out
        padding = self.padding(name) if has_vocabulary(self.sizes, name) else ""
        if padding:
            verdict = f"{int(out.sum()):,} of their cells differ" if out.any() else "these are equal"
            padding = f"{padding}; the first {self.sizes.shapes[name][0]:,} are compared: {verdict}"
        note = "; ".join(filter(None, (padding, self._overtaken(name, *cells.matrices))))
        found = StageDiff(name, "", DIFFERENT if note or out.any() else EQUAL, note=note, padding=padding)
        masked = self.sizes.is_masked(name)
        found = replace(found, **figures(*cells.matrices, cells.difference, masked=masked), cells_out=int(out.sum()))
        if cells.absent.any():
            found = replace(found, cells=int(np.sum(~cells.absent)))
        found = replace(found, note="; ".join(filter(None, (note, *self._remarks(name, cells)))))
        return replace(found, worst=self._worst(name, cells)) if out.any() else found

    def _remarks(self, name: str, cells: Cells) -> Iterator[str]:
        """What of a stage is compared, where that is not all of it as it is."""
        yield f"rounded to {cells.printed} on the right" if cells.printed is not None else ""
        yield from (f"only {one.held_part}" for one in cells.held if one.held_part)
        for which, one in zip(("left", "right"), cells.held, strict=True):
            rows = self.sizes.rows_taken(name, one.numbers.shape)
            yield f"{rows} on the {which}" if rows else ""
        if len(cells.left) < self.sizes.shapes[name][0]:
            yield f"one row, compared with the last of {self.sizes.shapes[name][0]}"

    def absent(self, name: str, held: Sequence[Held]) -> np.ndarray:  # [rows, columns]
        """The cells that one of the sides doesn't hold, in our layout, [rows, columns] of bool."""
        missing = [self.sizes.fitted(name, one.absent) for one in held if one.absent is not None]
        none_of_it: np.ndarray = np.zeros(1, dtype=bool)
        found: np.ndarray = np.logical_or.reduce([one for one in missing if one is not None] or [none_of_it])
        return found

    def printed_alone(self, name: str, right: np.ndarray) -> Grain | None:
        """The printing of a computed stage, [rows, columns], that is rounded where the rest of RIGHT is not."""
        found = self.stage_grain(name, right)
        return None if found == self.grains[1] else found

    def stage_grain(self, name: str, right: np.ndarray) -> Grain:
        """The rounding of one of RIGHT's matrices [rows, columns]: as all of RIGHT has it, or, of a computed stage,
        printed coarser.
        """
        step, whole = self.sizes.step(name), self.grains[1]
        if step is None or step.part in (Part.WORDS, Part.EMBEDDINGS):  # weights may have few digits of their own
            return whole
        counted = right[~masked_cells(right)] if self.sizes.is_masked(name) else right
        if whole.is_printed and np.array_equal(whole.rounded(finite(counted)), finite(counted)):
            return whole
        found = grain_of(counted)
        return coarser(found, whole, counted[np.isfinite(counted)]) if found.is_printed else whole

    @staticmethod
    def misfit(left: np.ndarray, right: np.ndarray) -> str:
        """What keeps two matrices [rows, columns] from being compared, in words."""
        shapes = f"{left.shape[0]} x {left.shape[1]} and {right.shape[0]} x {right.shape[1]}"
        if left.shape == right.T.shape:
            same = np.allclose(left, right.T, rtol=1e-3, atol=1e-3, equal_nan=True)
            return f"RIGHT's is transposed ({shapes})" + ("" if same else ", and its numbers differ too")
        if left.size == right.size:
            return f"RIGHT's is flattened or in another shape ({shapes})"
        return f"the shapes don't fit: {shapes}"

    def _overtaken(self, name: str, left: np.ndarray, right: np.ndarray) -> str:
        """Another token is the best one: a difference within any tolerance."""
        if (
            not self._is_logits(name)
            or not left.size
            or left.argmax() == right.argmax()
            or np.isnan(left + right).any()
        ):
            return ""
        return f"the best token is {left.argmax()} on the left, {right.argmax()} on the right"

    def _worst(self, name: str, cells: Cells) -> WorstCell:
        row, column = cells.worst(self.tolerance)
        places, values = [], []
        for one, matrix in zip(cells.held, cells.matrices, strict=True):
            there = self.origin(name, one, row, column)
            places.append(one.place(*there))
            value = number_or_none(matrix[row, column]) if one.blanks else float(matrix[row, column])
            values.append(one.others.get(there, value))
        at = row + self.sizes.shapes[name][0] - len(cells.right)  # a decoding step's row is the last
        labels = self.sizes.row_label(name, at), self.sizes.column_label(name, column)
        return WorstCell(places[0], places[1], *labels, values[0], values[1])

    def no_numbers(self, name: str, held: Held) -> Mapping[tuple[int, int], str]:
        """What stands in the cells that hold no number, as a person says it; by our layout's cell."""
        matrix = self.fitted(name, held)
        if matrix is None or np.isfinite(matrix).all():
            return {}
        form = self.sizes.forms(name)[held.numbers.shape]
        numbered = form(np.arange(held.numbers.size).reshape(held.numbers.shape))
        cells = np.argwhere(np.isnan(matrix)).tolist()
        there = (divmod(int(numbered[row, column]), held.numbers.shape[1]) for row, column in cells)
        return {(row, column): spelled(held.content(cell)) for (row, column), cell in zip(cells, there, strict=True)}

    def origin(self, name: str, held: Held, row: int, column: int) -> tuple[int, int]:
        """Where a cell of our layout stands in a side's own."""
        rows, columns = held.numbers.shape
        form = self.sizes.forms(name).get((rows, columns))
        if form is None or (rows, columns) == self.sizes.shapes[name]:  # a decoding step's row is as it is
            return row, column
        numbered = form(np.arange(rows * columns).reshape(rows, columns))
        row_there, column_there = divmod(int(numbered[row, column]), columns)
        return row_there, column_there

    # -------------------------------------------------------------------------------------------- texts

    def tables(self, name: str) -> tuple[Table, Table]:
        """Both sides' words, merges or tokens, or what both have of them."""
        tables = (trimmed(side.table(name)) for side in self.sides)
        return comparable(self.sizes.steps[name].role, *tables)

    def _texts(self, name: str) -> StageDiff:
        """Words, merges, tokens: texts must be the same; numbers must be equal within the tolerance."""
        left, right = self.tables(name)
        out = differing(left, right, self.tolerance)
        rows, columns = extent(left, right)
        found = StageDiff(name, "", EQUAL, (rows, columns), cells=rows * columns, cells_out=len(out))
        if not out:
            return found
        row, column = out[0]
        places = [text_place(side, name, row, column) for side in self.sides]
        cells = [at(table, row, column) for table in (left, right)]
        worst = WorstCell(places[0], places[1], f"row {row}", f"column {column}", cells[0], cells[1])
        return replace(found, verdict=DIFFERENT, worst=worst)


def comparable(role: Role | None, left: Table, right: Table) -> tuple[Table, Table]:
    """Both tables, or what both have of them.

    Of the tokens a side may hold the ids alone, or the texts alone; of the prediction no text, or no labels.
    """
    if role is Role.TOKENS and 1 in (len(left), len(right)):
        are_texts = any(len(table) == 1 and not holds_numbers(table[0]) for table in (left, right))
        return (left[:1], right[:1]) if are_texts else (left[-1:], right[-1:])
    if role is Role.PREDICTION:
        rows = min(len(left), len(right))
        has_no_labels = any(len(row) == 1 for table in (left, right) for row in table)
        if rows == 2 or has_no_labels:
            return [row[-1:] for row in left[:rows]], [row[-1:] for row in right[:rows]]
    return left, right


def holds_numbers(row: Sequence[object]) -> bool:
    return all(np.isfinite(number_in(cell)) for cell in row)


def text_place(side: Side, name: str, row: int, column: int) -> str:
    try:
        return side.read(name).place(row, column)
    except (DumpError, AttributeError, KeyError, IndexError):  # a table of texts may hold other rows than its matrix
        return f"{name}[{row},{column}]"


def number_or_none(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
