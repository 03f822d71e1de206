"""A workbook that holds a model's weights, as a source: a map says where each stands, whole or piece by piece.

Reading workbooks and maps belongs in `workbook.reading`; numbers stay the doubles that the cells hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sheetgpt.convert import tokens
from sheetgpt.convert.checkpoint import Checkpoint, TensorCheckpoint, gather, origin_of
from sheetgpt.convert.names import our_names
from sheetgpt.convert.npz import config_of
from sheetgpt.errors import ConvertError, DumpError
from sheetgpt.models.kinds import known_names
from sheetgpt.workbook.grid import with_r1c1
from sheetgpt.workbook.reading.maps import COLUMNS, CUTS, read_map
from sheetgpt.workbook.reading.open import SUFFIXES, Workbook
from sheetgpt.workbook.reading.pieces import Pieces

WAY_OUT = (
    f"say where its weights stand with --map WEIGHTS.csv, a CSV with the columns {','.join(COLUMNS)} and, for pieces, "
    f"{','.join(CUTS)}, a row a matrix by its name (model_wte, model_h0_attn_c_attn_w, ...)"
)


@dataclass(frozen=True)
class MappedWeight:
    """A weight in its cells, read when it is asked for."""

    book: Workbook
    name: str
    pieces: Pieces

    @property
    def shape(self) -> tuple[int, int]:
        return self.pieces.shape

    def read(self) -> np.ndarray:
        """[rows, columns] float64. Raises ConvertError naming the first cell that holds no number."""
        try:
            numbers, others = self.pieces.read(self.book)
        except DumpError as error:
            raise ConvertError(error.what, where=error.where, remedy=error.remedy) from None
        holes = np.argwhere(~np.isfinite(numbers))
        if len(holes):
            row, column = (int(place) for place in holes[0])
            where = f"{self.book.path}, {with_r1c1(self.pieces.place(row, column))}"
            held = others.get((row, column))
            what = "is blank" if held is None else f"holds {held!r}, no number"
            raise ConvertError(what, where=where, remedy=f"{self.name} needs a number there")
        return numbers


def recognises(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES


def open_path(path: Path, n_head: int | None) -> Checkpoint:  # noqa: ARG001 - as every source is opened
    """Raises ConvertError: without a map nobody knows where its weights stand."""
    raise ConvertError("is a workbook", where=path, remedy=WAY_OUT)


def open_mapped(path: Path, n_head: int | None, map_file: Path) -> Checkpoint:
    """The weights that a map says. Raises ConvertError naming the matrix that is missing, misshapen or unknown."""
    if not recognises(path):
        remedy = f"--map says where weights stand in a workbook ({', '.join(SUFFIXES)})"
        raise ConvertError("is no workbook", where=path, remedy=remedy)
    try:
        book = Workbook(path)
        mapped = read_map(map_file, book.tabs)
    except DumpError as error:
        raise ConvertError(error.what, where=error.where, remedy=error.remedy) from None
    known = known_names(mapped).weights
    strange = next((name for name in mapped if name not in known), None)
    if strange is not None:
        remedy = "weights are called as in a CSV folder, such as model_wte or model_h0_attn_c_attn_w"
        raise ConvertError(f"no weight is called {strange!r}", where=f"{map_file}:", remedy=remedy)
    matrices = {name: MappedWeight(book, name, whole(name, Pieces(parts), map_file)) for name, parts in mapped.items()}
    config = config_of(map_file, {}, matrices, n_head, "a map of weights")
    remarks: list[str] = []
    return TensorCheckpoint(
        config=config,
        matrices=gather(map_file, config, matrices, our_names(config)),
        origin=origin_of(path, map_file, *tokens.files_in(path.parent)),
        write_tables=tokens.read_folder(path.parent, config.n_vocab, remarks),
        remarks=remarks,
    )


def whole(name: str, pieces: Pieces, map_file: Path) -> Pieces:
    """The pieces of a weight. Raises ConvertError where some are missing between the others."""
    if pieces.absent is not None:
        row, column = (int(place) for place in np.argwhere(pieces.absent)[0])
        what = f"no row says where {name} has its row {row}, column {column}"
        raise ConvertError(what, where=f"{map_file}:", remedy="add the missing piece")
    return pieces
