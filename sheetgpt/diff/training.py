"""Two dumps of training steps side by side: the first matrix that diverges, in the order of the data.

A side is a folder or workbook that `train-step` wrote, or an .npz whose arrays are called as the matrices are
(`d_logits`, `step_2_new_model_wte`): a port's gradients are checked so. Comparing runs belongs in `compare`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sheetgpt.dump import read_manifest
from sheetgpt.errors import DumpError
from sheetgpt.training.matrices import are_of_training, in_step
from sheetgpt.training.workbook.layout import matrix_names
from sheetgpt.workbook.reading.names import defined_names

ATOL = RTOL = 1e-9


@dataclass(frozen=True)
class Difference:
    """One matrix on both sides."""

    name: str
    shapes: tuple[tuple[int, int], tuple[int, int]]
    largest: float  # difference; NaN where the shapes don't fit
    cells_out: int  # beyond the tolerance

    @property
    def equal(self) -> bool:
        return self.cells_out == 0


@dataclass(frozen=True)
class TrainingReport:
    """Every matrix that both sides have, in the order of the data, and the names that only one has."""

    matrices: list[Difference]
    missing: list[str]

    @property
    def first(self) -> Difference | None:
        return next((one for one in self.matrices if not one.equal), None)


def is_training(side: str) -> bool:
    """Is it a dump of training steps?"""
    path = Path(side)
    if path.is_dir():
        return "losses" in read_manifest(path)
    return path.suffix == ".xlsx" and are_of_training(set(defined_names(path)))


def compare(left: str, right: str, atol: float | None = None, rtol: float | None = None) -> TrainingReport:
    """The comparison of two sides. Raises DumpError where one can't be read, or nothing is on both."""
    a, b = read(Path(left)), read(Path(right))
    order = [name for name in (a if is_training(left) else b) if name in a and name in b]
    if not order:
        raise DumpError(
            f"{left} and {right} have no matrix of one name", remedy="call them d_logits, new_model_wte and so on"
        )
    limits = ATOL if atol is None else atol, RTOL if rtol is None else rtol
    return TrainingReport([_difference(name, a[name], b[name], *limits) for name in order], sorted(set(a) ^ set(b)))


def _difference(name: str, left: np.ndarray, right: np.ndarray, atol: float, rtol: float) -> Difference:
    if left.shape != right.shape:
        return Difference(name, (left.shape, right.shape), float("nan"), max(left.size, right.size))
    with np.errstate(invalid="ignore"):
        distance = np.where(left == right, 0.0, np.abs(left - right))  # a mask's -inf is equal to itself
    out = int(np.count_nonzero(~(distance <= atol + rtol * np.abs(right))))
    return Difference(name, (left.shape, right.shape), float(distance.max(initial=0)), out)


def read(path: Path) -> dict[str, np.ndarray]:
    """Every matrix of a side, by name; the steps after the first with `step_N_` before it."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: np.atleast_2d(arrays[name]).astype(float) for name in arrays.files}
        return _read_folder(path) if path.is_dir() else _read_workbook(path)
    except (OSError, ValueError, TypeError, BadZipFile, KeyError) as error:
        raise DumpError(f"{path} can't be read as training steps ({error})", remedy="dump it again") from None


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    about, found = read_manifest(folder), {}
    for number in range(1, len(about["losses"]) + 1):
        for name in about["matrices"]:
            text = folder / f"step_{number}" / f"{name}.csv"
            found[in_step(number, name)] = np.loadtxt(text, delimiter=",", ndmin=2)
    return found


def _read_workbook(path: Path) -> dict[str, np.ndarray]:
    from sheetgpt.workbook.reading.open import Workbook

    book, found = Workbook(path), {}
    for name in matrix_names(book.names):
        matrix, others = book.part(book.names[name])
        if not others and not np.isnan(matrix).any():
            found[name] = matrix
    return found
