"""A stage as it may stand in a sheet, whole or one head of it, and the few numbers that it is looked for by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sheetgpt.diff.grain import Grain, Kind
from sheetgpt.models import heads
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Axis
from sheetgpt.ops import MASKED, MASKED_BELOW, masked_cells

ANCHORS = 8  # numbers by which a stage is looked for
EXACT = 1e-11  # relative to cell and stage: what doubles summed in another order, or saved in 15 digits, differ by
NEAR = 1e-3  # relative to the cell, and a tenth of it to the stage's root mean square
FEW = 16  # cells: so small a head, or a stage computed with a mistake, counts only where it stands exactly


@dataclass(frozen=True)
class Pattern:
    """A stage in one of the layouts in which it may stand, and the numbers it is looked for by."""

    stage: str
    matrix: np.ndarray  # masked cells hold MASKED
    anchors: np.ndarray = field(repr=False)  # [count, 2] rows and columns
    size: float = 0.0  # root mean square
    head: int | None = None  # where it is one head of the stage
    assumed: str = ""  # the mistake with which it was computed; empty for the right formula
    printed: Grain | None = None  # how the numbers of the tab are rounded

    @classmethod
    def of(cls, stage: str, matrix: np.ndarray, head: int | None = None, assumed: str = "") -> Pattern:
        masked = masked_cells(matrix)
        shown = np.where(masked, MASKED, matrix)
        root_mean_square = float(np.sqrt(np.mean(np.square(matrix[~masked])))) if not masked.all() else 0.0
        return cls(stage, shown, rare_cells(shown), root_mean_square, head, assumed)

    @property
    def values(self) -> np.ndarray:  # [count]
        """The numbers at its anchors."""
        found: np.ndarray = self.matrix[self.anchors[:, 0], self.anchors[:, 1]]
        return found

    @property
    def needs_exactly(self) -> bool:
        """Are its numbers too few to be told from chance where they are only near?"""
        return (self.head is not None or bool(self.assumed)) and self.matrix.size < FEW

    def near(self, numbers: np.ndarray) -> np.ndarray:
        """How far cells may lie from these numbers and still be called near."""
        allowed: np.ndarray = NEAR * (np.abs(numbers) + self.size / 10)
        return allowed if self.printed is None else allowed + self.printed.half_unit(numbers)

    def exact(self, numbers: np.ndarray) -> np.ndarray:
        allowed: np.ndarray = EXACT * (np.abs(numbers) + self.size)
        return allowed

    def rounded_to(self, grain: Grain) -> Pattern:
        """As it is looked for among numbers that are rounded so; too coarse ones would fit anything."""
        fine_enough = grain.count > 1 if grain.kind is Kind.DIGITS else 0.5 * 10.0**-grain.count < self.size / 4
        return replace(self, printed=grain) if grain.is_printed and fine_enough else self


def rare_cells(matrix: np.ndarray) -> np.ndarray:  # [rows, columns] -> [up to ANCHORS, 2]
    """Cells to look for: far from zero and no whole numbers where there are such; else what is not zero."""
    flat = matrix.ravel()
    good = np.flatnonzero((flat != np.round(flat)) & (flat > MASKED_BELOW))
    if not good.size:
        good = np.flatnonzero(flat)
    far = good[np.argsort(-np.abs(flat[good]), kind="stable")][: 8 * ANCHORS]
    chosen = far[:: max(1, len(far) // ANCHORS)][:ANCHORS]
    return np.stack(np.unravel_index(chosen, matrix.shape), axis=1).astype(np.int64).reshape(-1, 2)


def patterns(sizes: Sizes, name: str, matrix: np.ndarray, assumed: str = "") -> Iterator[Pattern]:
    """A stage as it may stand in a sheet: whole, ours first, then head by head."""
    step, config = sizes.step(name), sizes.config
    if step is None or not is_cut_by_head(sizes, name):
        yield Pattern.of(name, matrix, None, assumed)
        return
    writings = heads.writings(matrix, config.n_head, config.head_size) if step.by_head else [matrix]
    yield from (Pattern.of(name, shown, None, assumed) for shown in writings)
    if config.n_head > 1:
        by_head = heads.apart(matrix, config.n_head)
        yield from (Pattern.of(name, by_head[:, head], head, assumed) for head in range(config.n_head))


def is_cut_by_head(sizes: Sizes, name: str) -> bool:
    """Has it a slice of columns for each head?"""
    step = sizes.step(name)
    return step is not None and step.columns in (Axis.HEADS_BY_KEYS, Axis.HEADS_BY_DIMENSIONS)
