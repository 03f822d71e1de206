"""A file of arrays as a side: under our stages' names in any layout, or as another program names and shapes them.

Files belong in `fixtures.files`, the other programs' names in `fixtures.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from sheetgpt.diff.sides.side import NOTHING_SAID, Held, Options, Side, known_to
from sheetgpt.diff.texts import Table
from sheetgpt.errors import DumpError
from sheetgpt.fixtures.files import DAMAGED, FORMATS, load, open_npz
from sheetgpt.models import heads
from sheetgpt.models.kinds import known_names

NPZ = ".npz"
OURS = "reference"  # the convention that has our names

NamedArrays = Mapping[str, np.ndarray]


class ArraysSide(Side):
    """A file of arrays by name, each read when it is asked for."""

    def __init__(self, path: Path):
        self._arrays, about = opened(path)
        known = known_to(about, list(self._arrays))
        super().__init__(str(path), known.among(self._arrays), known, about)
        self._matrices: dict[str, np.ndarray] = {}
        if not self.names:
            raise DumpError("holds no array that is called like a stage, such as block_0_step_7", where=path)

    @classmethod
    def recognises(cls, text: str) -> bool:
        return Path(text).suffix.lower() in FORMATS and Path(text).exists()

    @classmethod
    def open(cls, text: str, options: Options) -> Self:  # noqa: ARG003 - arrays have none
        return cls(Path(text))

    def read(self, name: str) -> Held:
        return Held(self._array(name).astype(np.float64), lambda row, column: f"{name}[{row},{column}]")

    def table(self, name: str) -> Table:
        rows: Table = self._array(name).tolist()
        return rows

    def _array(self, name: str) -> np.ndarray:  # [rows, columns]
        if name not in self._matrices:
            self._matrices[name] = self._matrix(name)
        return self._matrices[name]

    def _matrix(self, name: str) -> np.ndarray:  # [..., rows, columns] or [H, T, K] -> [rows, columns]
        """Axes of length 1 in front are dropped, heads are put side by side."""
        array, where = self._numbers(name), f"{self.label}, {name}"
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        step = self.known.stages.get(name)
        if array.ndim == 3 and step is not None and step.by_head:
            array = heads.side_by_side(array)
        if array.ndim > 2:
            raise DumpError(f"has {array.ndim} axes {array.shape}", where=where, remedy="write rows and columns")
        return np.atleast_2d(array)

    def _numbers(self, name: str) -> np.ndarray:
        where = f"{self.label}, {name}"
        try:
            array = self._arrays[name]
        except DAMAGED as error:
            raise DumpError(f"is damaged ({error})", where=where, remedy="write it again") from None
        if array.dtype.kind not in "fiub":
            raise DumpError(f"holds {array.dtype}, not numbers", where=where, remedy="write float32 or float64")
        return array


# ------------------------------------------------------------------------------------------------ opening


def opened(path: Path) -> tuple[NamedArrays, Mapping[str, Any]]:
    """(a file's arrays by our names, its manifest)."""
    from sheetgpt.fixtures.arrays import Matrices

    if is_npz(path) and is_ours_or_damaged(path):
        return plain_npz(path), NOTHING_SAID
    arrays = load(path)
    if not arrays.manifest and known_names(list(arrays)).among(arrays) and is_ours(arrays):
        return arrays, NOTHING_SAID
    return Matrices(arrays), arrays.manifest


def is_npz(path: Path) -> bool:
    return path.suffix.lower() == NPZ


def is_ours_or_damaged(path: Path) -> bool:
    try:
        arrays = load(path)
    except DumpError:
        return True  # opening it plainly says better what is wrong
    return not arrays.manifest and is_ours(arrays)


def is_ours(names: Mapping[str, object]) -> bool:
    """Is no other program known to name arrays so?"""
    from sheetgpt.fixtures.entries import recognise

    known = recognise(names)
    return known is None or known.convention == OURS


def plain_npz(path: Path) -> NamedArrays:
    try:
        arrays: NamedArrays = open_npz(path)
    except DAMAGED as error:
        raise DumpError(f"can't be read as an npz ({error})", where=path, remedy="write it with numpy.savez") from None
    return arrays
