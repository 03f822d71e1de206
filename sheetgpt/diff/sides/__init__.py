"""The sides of a comparison: a run on the spot, a folder of CSVs, a file of arrays, a workbook; one module a kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sheetgpt.diff.sides.side import Held, Options, Side
from sheetgpt.errors import DumpError

__all__ = ["Held", "Side", "kinds", "open_side"]


def kinds() -> Iterator[type[Side]]:
    """Each kind of side. What a kind needs is imported only where those before it don't recognise what was typed."""
    from sheetgpt.diff.sides.run import RunSide

    yield RunSide
    from sheetgpt.diff.sides.folder import FolderSide

    yield FolderSide
    from sheetgpt.diff.sides.arrays import ArraysSide

    yield ArraysSide
    from sheetgpt.diff.sides.workbook import WorkbookSide

    yield WorkbookSide


def open_side(text: str, *, weights: str | None = None, dtype: str = "float64", map_file: Path | None = None) -> Side:
    """A side as it is typed. Raises DumpError where it is none, or can't be opened.

    weights, dtype: of `run:PROMPT`. map_file: where the stages of a workbook stand.
    """
    kind = next((kind for kind in kinds() if kind.recognises(text)), None)
    if kind is not None:
        return kind.open(text, Options(weights, dtype, map_file))
    if not Path(text).exists():
        remedy = "give a CSV dump's folder, a workbook, an .npz, or run:PROMPT"
        raise DumpError("does not exist", where=text, remedy=remedy)
    from sheetgpt.workbook.reading.open import SUFFIXES

    raise DumpError(
        f"is no CSV dump's folder, no workbook ({', '.join(SUFFIXES)}) and no .npz, .safetensors or .json", where=text
    )
