"""The sides of a comparison: a run on the spot, a folder of CSVs, a file of arrays, a workbook; one module a kind."""

from __future__ import annotations

from pathlib import Path

from sheetgpt.diff.sides.arrays import ArraysSide
from sheetgpt.diff.sides.folder import FolderSide
from sheetgpt.diff.sides.run import RunSide
from sheetgpt.diff.sides.side import Held, Options, Side
from sheetgpt.diff.sides.workbook import WorkbookSide
from sheetgpt.errors import DumpError
from sheetgpt.workbook.reading.open import SUFFIXES

__all__ = ["KINDS", "ArraysSide", "FolderSide", "Held", "RunSide", "Side", "WorkbookSide", "open_side"]

KINDS: tuple[type[Side], ...] = (RunSide, FolderSide, ArraysSide, WorkbookSide)


def open_side(text: str, *, weights: str | None = None, dtype: str = "float64", map_file: Path | None = None) -> Side:
    """A side as it is typed. Raises DumpError where it is none, or can't be opened.

    weights, dtype: of `run:PROMPT`. map_file: where the stages of a workbook stand.
    """
    kind = next((kind for kind in KINDS if kind.recognises(text)), None)
    if kind is not None:
        return kind.open(text, Options(weights, dtype, map_file))
    if not Path(text).exists():
        remedy = "give a CSV dump's folder, a workbook, an .npz, or run:PROMPT"
        raise DumpError("does not exist", where=text, remedy=remedy)
    workbooks = ", ".join(SUFFIXES)
    raise DumpError(
        f"is no CSV dump's folder, no workbook ({workbooks}) and no .npz, .safetensors or .json", where=text
    )
