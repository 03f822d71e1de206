"""Two sides' matrices of a stage cell by cell, as they are judged. Judging belongs in `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.diff.grain import Grain
from sheetgpt.diff.matrices import Tolerance, finite
from sheetgpt.diff.sides import Held

__all__ = ["Cells"]


@dataclass(frozen=True)
class Cells:
    """A stage cell by cell. All matrices are in our layout, [rows, columns]."""

    held: Sequence[Held]  #: by LEFT, by RIGHT
    left: np.ndarray  #: [rows, columns] LEFT's numbers
    right: np.ndarray  #: [rows, columns] RIGHT's numbers
    difference: np.ndarray  #: [rows, columns] absolute; inf where only one side holds a number, or where it is masked
    out: np.ndarray  #: [rows, columns] which cells differ by more than is allowed
    absent: np.ndarray  #: [rows, columns] which cells one of the sides does not hold at all
    printed: Grain | None  #: how RIGHT's is rounded, where that is coarser than the rest of RIGHT

    @property
    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """LEFT's and RIGHT's numbers, [rows, columns] each."""
        return self.left, self.right

    def beyond(self, tolerance: Tolerance) -> np.ndarray:  # [rows, columns]
        """How many times what is allowed each cell differs by, [rows, columns]; -1 where it is within."""
        with np.errstate(over="ignore"):
            times = self.difference / np.maximum(tolerance.allowed(finite(self.right)), 1e-300)
        return np.where(self.out, times, -1)

    def worst(self, tolerance: Tolerance) -> tuple[int, int]:
        """The cell that is furthest beyond what is allowed."""
        row, column = divmod(int(np.argmax(self.beyond(tolerance))), self.out.shape[1])
        return row, column

    def worst_first(self, tolerance: Tolerance, most: int) -> list[tuple[int, int]]:
        """The cells beyond what is allowed, the worst one first."""
        out = np.flatnonzero(self.out)
        order = np.argsort(-self.beyond(tolerance).ravel()[out], kind="stable")[:most]
        return [divmod(at, self.out.shape[1]) for at in out[order].tolist()]
