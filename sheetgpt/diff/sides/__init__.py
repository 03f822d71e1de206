"""The sides of a comparison: a run on the spot, a folder of CSVs, arrays in files, a workbook; one module a kind."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sheetgpt.diff.sides.side import Held, Options, Side
from sheetgpt.diff.sides.side import Weights as Weights
from sheetgpt.errors import DumpError
from sheetgpt.files.paths import existing

if TYPE_CHECKING:
    from sheetgpt.diff.sides.arrays import ArraysSide as ArraysSide
    from sheetgpt.diff.sides.folder import FolderSide as FolderSide
    from sheetgpt.diff.sides.run import RunSide as RunSide
    from sheetgpt.diff.sides.workbook import WorkbookSide as WorkbookSide

KINDS = (("run", "RunSide"), ("folder", "FolderSide"), ("arrays", "ArraysSide"), ("workbook", "WorkbookSide"))

__all__ = ["ArraysSide", "FolderSide", "Held", "Options", "RunSide", "Side", "WorkbookSide", "open_side"]


def kinds() -> Iterator[type[Side]]:
    """Each kind of side, imported only when it is reached: most runs need one, and starting takes time."""
    for module, name in KINDS:
        kind: type[Side] = getattr(import_module(f"{__name__}.{module}"), name)
        yield kind


def __getattr__(name: str) -> Any:
    found = next((kind for kind in kinds() if kind.__name__ == name), None)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def open_side(text: str, *, weights: str | None = None, dtype: str = "float64", map_file: Path | None = None) -> Side:
    """A side as it is typed. Raises DumpError where it is none, or can't be opened.

    weights, dtype: of `run:PROMPT`. map_file: where the stages of a workbook stand.
    """
    kind = next((kind for kind in kinds() if kind.recognises(text)), None)
    if kind is not None:
        return kind.open(text, Options(weights, dtype, map_file))
    if existing(text) is None:
        remedy = "give a CSV dump's folder, a workbook, an .npz, or run:PROMPT"
        raise DumpError("does not exist", where=text, remedy=remedy)
    from sheetgpt.fixtures.files import READERS
    from sheetgpt.workbook.reading.open import SUFFIXES

    books, arrays = ", ".join(SUFFIXES), ", ".join(READERS)
    raise DumpError(f"is no CSV dump's folder, no workbook ({books}) and no file of arrays ({arrays})", where=text)
