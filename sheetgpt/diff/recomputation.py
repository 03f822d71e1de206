"""Stages computed again from RIGHT's own: what a stage's inputs lead to, and how far from it RIGHT may lie and lies.

Every stage can be judged by itself. Why one doesn't follow is asked in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice

import numpy as np

from sheetgpt import ops
from sheetgpt.diff.compare import Comparison
from sheetgpt.diff.computation import LONGEST_WAY, UNCHANGED, Changed, Computation, Matrices, NotHeldError
from sheetgpt.diff.contents import holds
from sheetgpt.diff.grain import Grain, Kind
from sheetgpt.diff.matrices import Tolerance, compare
from sheetgpt.diff.sides.inferred import own_head
from sheetgpt.diff.sides.side import Held, readable
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import POSITIONS, Role

ROUNDING = 8  # times the rounding that one computation shows: another order of sums may round so much differently
FLOOR = {  # of the largest number: sums, decimals
    Kind.FLOAT64: 2e-12,
    Kind.FLOAT32: 4 * 2.0**-23,
    Kind.FLOAT16: 4 * 2.0**-10,
    Kind.BFLOAT16: 4 * 2.0**-7,
}
SAME = Tolerance(0, 0)
DRAWS, MARGIN = 16, 8  # of inputs moved within their rounding; times what is usual among them
ASKED, SMALL = 8, 1 << 24  # stages that tell whether the weights are float32, by weights of so many numbers at most


@dataclass(frozen=True)
class Judgement:
    """Does a stage of RIGHT follow from RIGHT's own inputs by the right formula?

    difference: how far what RIGHT holds lies from what its own inputs lead to; infinite where one is no number.
    allowed: what the rounding that RIGHT's numbers show makes there.
    """

    stage: str
    difference: np.ndarray = field(repr=False)  # [rows, columns]
    allowed: np.ndarray = field(repr=False)  # [rows, columns]

    @property
    def error(self) -> float:
        return float(self.difference.max(initial=0))

    @property
    def out(self) -> np.ndarray:
        """Which cells don't follow."""
        wrong: np.ndarray = ~(self.difference <= self.allowed)
        return wrong

    @property
    def follows(self) -> bool:
        return not self.out.any()

    @property
    def unexplained(self) -> float:
        """The largest difference of a cell that doesn't follow."""
        return float(self.difference[self.out].max(initial=0))


class Recomputation(Computation):
    """Stages computed again from RIGHT's own."""

    def __init__(self, comparison: Comparison, weights: Matrices):
        self.comparison, self.weights = comparison, weights
        self.left, self.right = comparison.sides
        untied = not own_head(comparison.sizes.config).isdisjoint(weights)
        self.sizes: Sizes = replace(comparison.sizes, untied=untied or comparison.sizes.untied)
        self.steps = self.sizes.steps
        self._held: dict[str, np.ndarray | None] = {}
        self._values: dict[str, Matrices] = {}
        self._grains: dict[str, Grain] = {}
        self.rows: dict[str, np.ndarray] = {}  # stages of which RIGHT holds a decoding step's row alone -> LEFT's row
        self._errors: dict[str, np.ndarray] = {}  # which cells of a masked stage hold error values
        self.assumed_weights = ""
        if self.precision is Kind.FLOAT64 and self.has_float32_weights():
            self._take(Float32Weights(weights))
            self.assumed_weights = "float32 weights under double arithmetic"

    def _take(self, weights: Matrices) -> None:
        """Compute with these weights from now on."""
        if weights is not self.weights:
            self.weights, self._values = weights, {}

    @property
    def grain(self) -> Grain:
        """Of RIGHT's numbers."""
        return self.comparison.grains[1]

    @cached_property
    def precision(self) -> Kind:
        """The type in which RIGHT was computed, as far as its numbers tell."""
        return self.grain.arithmetic

    def has_float32_weights(self) -> bool:
        """Does a stage that weights lead to follow from the weights as float32, as it doesn't from the exact ones?

        A stage with an error of its own follows from neither, so several are asked.
        """
        exact, single = self.weights, Float32Weights(self.weights)
        asked = (step.name for step in self.steps if self.can_judge(step.name) and self._takes_small(step.name))
        for name in islice(asked, ASKED):
            try:
                plain = self.error(name)
                if plain > self.floor(name):
                    self._take(single)
                    if self.error(name) < plain / 1000:
                        return True
            except NotHeldError:
                continue
            finally:
                self._take(exact)
        return False

    def _takes_small(self, name: str) -> bool:
        """Is it made with weights, none of them a table of a large vocabulary?"""
        taken = [one for step in self.way(name) for one in step.inputs if one in self.weights]
        return bool(taken) and all(map(self._is_small, taken))

    def _is_small(self, name: str) -> bool:
        """Is it no table of a whole vocabulary, or the model so small that all of its weights are small?"""
        rows, columns = self.sizes.shapes[name]
        return rows * columns <= SMALL

    # -------------------------------------------------------------------------------------------- judging

    def can_judge(self, name: str) -> bool:
        """Does RIGHT hold the stage as a matrix, and the stages that lead to it are not too far away?"""
        return self.held(name) is not None and len(self.way(name)) <= LONGEST_WAY

    def judge(self, name: str) -> Judgement:
        """By the right formula. Raises NotHeldError where an input is on neither side."""
        value = self.value(name)
        if value.shape != self.own(name).shape:
            raise NotHeldError(f"{name} on the right is of other tokens than those that are known")
        return Judgement(name, self.difference(name, value), self.allowed(name))

    def error(self, name: str) -> float:
        """How far RIGHT's stage lies from what the right formula leads to, at most."""
        return float(self.difference(name, self.value(name)).max(initial=0))

    # -------------------------------------------------------------------------------------------- inputs

    def held(self, name: str) -> np.ndarray | None:
        """RIGHT's matrix of a stage in our layout; None where RIGHT doesn't hold it."""
        if name not in self._held:
            self._held[name] = self._read(name)
        return self._held[name]

    def _read(self, name: str) -> np.ndarray | None:
        if name not in self.steps.by_name or self.sizes.is_text(name) or not self.right.has(name):
            return None
        held = readable(partial(self.comparison.read, self.right), name)
        if held is None or held.absent is not None:  # nothing follows from a part
            return None
        if self.comparison.is_last_row(name, held):
            return self._behind_lefts(name, held)
        matrix = self.comparison.fitted(name, held)
        if matrix is None:
            return None
        if self.sizes.is_masked(name) and not np.isnan(matrix[:, 0]).any():  # no token is hidden from the first
            self._errors[name] = holds(self.sizes, name, held, held.errors)
            matrix = np.where(np.isnan(matrix) & ~self._errors[name], ops.MASKED, matrix)
        return self.grain.restored(matrix)

    def lefts(self, name: str) -> np.ndarray | None:
        """LEFT's matrix of a stage; None where LEFT doesn't hold it."""
        held = readable(partial(self.comparison.read, self.left), name) if self.left.has(name) else None
        return None if held is None else self.comparison.fitted(name, held)

    def _behind_lefts(self, name: str, row: Held) -> np.ndarray | None:
        """A decoding step's row, behind the rows that LEFT holds of the tokens before."""
        whole = self.lefts(name)
        if whole is None:
            return None
        self.rows[name] = whole[-1]
        return np.concatenate([whole[:-1], self.grain.restored(row.numbers)])

    def shown(self, name: str, matrix: np.ndarray) -> np.ndarray:
        """Of a matrix of a stage those rows that RIGHT holds."""
        return matrix[-1:] if name in self.rows else matrix

    def own(self, name: str) -> np.ndarray:
        """RIGHT's matrix of a stage that is judged. Raises NotHeldError where RIGHT doesn't hold it."""
        matrix = self.held(name)
        if matrix is None:
            raise NotHeldError(f"{name} is not in {self.right.label}")
        return matrix

    def given(self, name: str) -> np.ndarray:
        """What no step computes: weights, positions, token ids (RIGHT's, or LEFT's where RIGHT doesn't tell)."""
        if name == POSITIONS:
            return np.arange(self.sizes.n_tokens)
        if name == self.steps.name(Role.TOKENS):
            ids = self.right.token_ids or self.left.token_ids
            if not ids:
                raise NotHeldError("neither side tells the token ids")
            return np.asarray(ids)
        if name not in self.weights:
            raise NotHeldError(f"it takes {name}", remedy="give the weights by --weights")
        expected, found = self.sizes.shapes.get(name), self.weights[name].shape
        if expected is not None and tuple(found) != tuple(expected):
            raise NotHeldError(
                f"{name} of --weights is {found[0]} x {found[1]}, the runs' is {expected[0]} x {expected[1]}"
            )
        return self.weights[name]

    # -------------------------------------------------------------------------------------------- computing

    def value(self, target: str, changed: Changed = UNCHANGED) -> np.ndarray:
        """A stage from RIGHT's stages, with some steps changed."""
        if target not in self._values:
            self._values[target] = self.computed(target)
        right = self._values[target]
        return (self.computed(target, changed, known=right) if changed else right)[target].astype(np.float64)

    def difference(self, target: str, value: np.ndarray) -> np.ndarray:
        """How far a stage computed again lies from RIGHT's, cell by cell."""
        right = self.own(target)
        if value.shape != right.shape:
            return np.full(right.shape, np.inf)
        difference, _ = compare(value, right, SAME, masked=self.sizes.is_masked(target))
        if target in self.rows:
            difference[:-1] = 0
        if target in self._errors:  # they are no masked cells
            difference[self._errors[target] & ~np.isnan(value)] = np.inf
        return difference

    def difference_to_left(self, target: str, other: str) -> np.ndarray:
        """How far RIGHT's stage lies from another one of LEFT's."""
        matrix = self.lefts(other)
        return np.full(self.own(target).shape, np.inf) if matrix is None else self.difference(target, matrix)

    # -------------------------------------------------------------------------------------------- rounding

    def grain_of(self, name: str) -> Grain:
        """The rounding that RIGHT's matrix of a stage shows: its own printing, or that of all its stages."""
        if name not in self._grains:
            self._grains[name] = self.comparison.stage_grain(name, self.shown(name, self.own(name)))
        return self._grains[name]

    def allowed(self, target: str, changed: Changed = UNCHANGED) -> np.ndarray:  # [rows, columns]
        """What a computation with RIGHT's rounding may differ by, cell by cell."""
        right = self.own(target)
        printed = self.grain_of(target)
        allowed = np.full(right.shape, ROUNDING * self.rounding(target, changed) + self.floor(target))
        if printed.is_printed:
            allowed = allowed + printed.half_unit(right) * (1 + 1e-9)
        return allowed + self.sway(target, changed)

    def rounding(self, target: str, changed: Changed = UNCHANGED) -> float:
        """The size of rounding that a computation in RIGHT's precision shows at the stage."""
        if self.precision is Kind.FLOAT64:
            return 0.0
        coarse = self.computed(target, changed, self.precision)[target].astype(np.float64)
        with np.errstate(invalid="ignore"):  # infinite on both sides
            return self._largest(target, coarse - self.value(target, changed))

    def sway(self, target: str, changed: Changed) -> np.ndarray | float:  # [rows, columns]
        """How far the target moves when RIGHT's stages move within the rounding of their printing."""
        units = {name: unit for name in self.taken(target) if (unit := self.unit(name)).any()}
        if not units:
            return 0.0
        exact, rng = self.value(target, changed), np.random.default_rng(0)
        squares = np.zeros(self.own(target).shape)
        for _ in range(DRAWS):
            moved = {name: self._moved(name, unit, rng) for name, unit in units.items()}
            there = self.computed(target, changed, moved=moved)[target].astype(np.float64)
            if there.shape != squares.shape:
                return 0.0
            with np.errstate(invalid="ignore", over="ignore"):
                squares += np.where(np.isfinite(there - exact), np.square(there - exact), 0)
        swayed: np.ndarray = MARGIN * np.sqrt(squares / DRAWS)
        return swayed

    def unit(self, name: str) -> np.ndarray:  # [rows, columns]
        """How far each number of RIGHT's stage may be from the one that was computed with.

        The rows before a decoding step's are LEFT's: they may be off as RIGHT's own row is off from LEFT's.
        """
        right, grain = self.own(name), self.grain_of(name)
        unit = grain.half_unit(right) if grain.is_coarse else np.zeros(right.shape)
        if name in self.rows:
            off = np.abs(right[-1] - self.rows[name])
            unit[:-1] = np.maximum(unit[:-1], ROUNDING * off[np.isfinite(off)].max(initial=0))
        return unit

    def _moved(self, name: str, unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        right = self.own(name)
        counted = np.isfinite(right) & ~(ops.masked_cells(right) if self.sizes.is_masked(name) else False)
        return np.where(counted, right + unit * rng.uniform(-1, 1, right.shape), right)

    def taken(self, target: str) -> set[str]:
        """RIGHT's stages that the target is computed from."""
        return {name for step in self.way(target) for name in step.inputs if self.held(name) is not None} - {target}

    def floor(self, target: str) -> float:
        """Differences that are nothing: some units in the last place of the stage's largest number."""
        largest = self._largest(target, self.own(target))
        floor = FLOOR[self.precision]
        return floor * (max(1.0, largest) if self.precision is Kind.FLOAT64 else largest)

    def _largest(self, target: str, numbers: np.ndarray) -> float:
        """The largest of a stage's numbers that count."""
        right = self.own(target)
        counted = np.isfinite(numbers)
        if self.sizes.is_masked(target):
            counted &= ~ops.masked_cells(right)
        return float(np.abs(numbers[counted]).max(initial=0))


class Float32Weights(Mapping[str, np.ndarray]):
    """Weights as float32 has them, each made when it is asked for: a large model's would fill the memory."""

    def __init__(self, exact: Matrices):
        self._exact, self._made = exact, dict[str, np.ndarray]()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._made:
            self._made[name] = self._exact[name].astype(np.float32).astype(np.float64)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._exact)

    def __len__(self) -> int:
        return len(self._exact)
