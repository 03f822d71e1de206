"""A folder of CSVs as a side: one file a stage or weight, with our labels or numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.diff.sides.side import Held, Options, Side, known_to
from sheetgpt.diff.texts import Table
from sheetgpt.dump import MANIFEST, read_manifest
from sheetgpt.errors import DumpError
from sheetgpt.files.labelled import read_cells, read_numbers, texts_of
from sheetgpt.files.paths import existing
from sheetgpt.fixtures.files import holds_arrays
from sheetgpt.models.config import CONSTANTS_FILE
from sheetgpt.models.sizes import Shape

BESIDE = {CONSTANTS_FILE, MERGES_FILE, TOKENS_FILE}  # what a model's folder holds besides its weights


class FolderSide(Side):
    """A folder of `STAGE.csv`. Raises DumpError where it holds no stage."""

    def __init__(self, folder: Path):
        self.folder, about = folder, read_manifest(folder)
        found = [path.stem for path in sorted(folder.glob("*.csv"))]
        known = known_to(about, found)
        super().__init__(str(folder), known.among(found), known, about, found)
        self._others = [name for name in found if name not in self.names and name not in self.unnumbered]
        self.lost = {*known.among(self._shapes)} - {*self.names}
        if not (self.names or self.unnumbered):
            what = "holds no STAGE.csv, such as block_0_step_7.csv"
            likely = next((f"did you mean {like[0]} by {name}? " for name, like in self.unread.items() if like), "")
            raise DumpError(what, where=folder, remedy=f"{likely}`sheetgpt run --dump-csv` makes them")

    @classmethod
    def recognises(cls, text: str) -> bool:
        path = existing(text)
        return path is not None and path.is_dir() and not holds_arrays(path)

    @classmethod
    def open(cls, text: str, options: Options) -> Self:  # noqa: ARG003 - a folder has none
        return cls(Path(text))

    def has(self, name: str) -> bool:
        return name in self.names or name in self.lost

    def file(self, name: str) -> Path:
        """Raises DumpError where there is none, though the manifest promises it."""
        path = self.folder / f"{self.held_as(name)}.csv"
        if name in self.lost:
            raise DumpError(f"is missing, though {MANIFEST} promises it", where=path, remedy="dump the run again")
        return path

    def read(self, name: str) -> Held:
        found = read_numbers(self.file(name))
        is_single = self.about.get("dtype") == "float32"
        numbers = found.numbers.astype(np.float32).astype(np.float64) if is_single else found.numbers

        def place(row: int, column: int) -> str:
            from sheetgpt.workbook.grid import cell

            return f"{self.held_as(name)}.csv!{cell(row + found.labels, column + found.labels)}"

        return Held(numbers, place, found.others, blanks=found.blanks)

    def shape(self, name: str) -> Shape:
        if name in self._shapes:
            return self._shapes[name]
        rows = read_cells(self.file(name)).rows
        return len(rows), max(map(len, rows), default=0)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        """As the manifest has them."""
        return {stage["name"]: tuple(stage["shape"]) for stage in self.about.get("stages", [])}

    @cached_property
    def unread(self) -> Mapping[str, Sequence[str]]:
        """The CSVs that are called like no stage, but for those that belong to a model's folder."""
        from sheetgpt.diff.sides.arrays import nearest  # only where there are some

        others = [name for name in self._others if f"{name}.csv" not in BESIDE]
        return {**nearest(others, [*self.known.stages, *self.known.weights]), **super().unread}

    def table(self, name: str) -> Table:
        return texts_of(read_cells(self.file(name)))
