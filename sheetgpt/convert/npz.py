"""An `.npz` with our matrices by our names; a bias or gain may be a vector. Constants may be in it as single numbers.

Without them the head size is the reference's, as for a CSV folder without constants. Nothing in it is unpickled.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from sheetgpt.convert import tokens
from sheetgpt.convert.checkpoint import Checkpoint, Tensor, TensorCheckpoint, gather, origin_of
from sheetgpt.convert.names import our_names
from sheetgpt.convert.peek import names_in_zip
from sheetgpt.convert.strangers import refuse_foreign
from sheetgpt.errors import ConvertError
from sheetgpt.models.config import REFERENCE_HEAD_SIZE, Config
from sheetgpt.models.gpt2 import WPE, WTE
from sheetgpt.models.kinds import known_names

ENDING = ".npy"
DAMAGED = (  # numpy's headers are Python's literals
    *(zipfile.BadZipFile, zlib.error, struct.error, ValueError, KeyError, TypeError, NotImplementedError, EOFError),
    *(RuntimeError, OSError, OverflowError, MemoryError, SyntaxError, TokenError),
)
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Member:
    """An array in the archive."""

    file: Path
    name: str
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        try:
            with zipfile.ZipFile(self.file) as archive, archive.open(self.name) as opened:
                numbers = np.lib.format.read_array(opened, allow_pickle=False)
        except DAMAGED as error:
            what = f"is damaged at {self.name} ({error})"
            raise ConvertError(what, where=self.file, remedy="get it again") from None
        return numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers


def recognises(path: Path) -> bool:
    return path.is_file() and names_in_zip(path) is not None


def open_path(file: Path, n_head: int | None) -> Checkpoint:
    """Raises ConvertError naming the array that is missing, misshapen or no numbers."""
    refuse_foreign(file)
    try:
        with zipfile.ZipFile(file) as archive:
            members = {
                entry.filename.removesuffix(ENDING): member(archive, entry, file) for entry in archive.infolist()
            }
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ConvertError(f"is torn ({error})", where=file, remedy="get it again") from None
    constants = {name: array for name, array in members.items() if name in Config.__dataclass_fields__}
    matrices = {name: array for name, array in members.items() if name not in constants}
    config = config_of(file, {name: array.read().tolist() for name, array in constants.items()}, matrices, n_head)
    remarks: list[str] = []
    return TensorCheckpoint(
        config=config,
        matrices=gather(file, config, matrices, our_names(config)),
        origin=origin_of(file, *tokens.files_in(file.parent)),
        write_tables=tokens.read_folder(file.parent, config.n_vocab, remarks),
        remarks=remarks,
    )


def member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path) -> Member:
    """What an entry's header says, believed only where it fits the entry's size."""
    try:
        with archive.open(entry) as opened:
            version = np.lib.format.read_magic(opened)
            shape, _, dtype = READERS[version](opened)
            header = opened.tell()
    except DAMAGED as error:
        what = f"{entry.filename} is no array of numbers ({error})"
        raise ConvertError(what, where=f"{file}:", remedy="write it again") from None
    if math.prod(shape) * dtype.itemsize + header != entry.file_size:
        what = f"{entry.filename} is torn, or its header says an absurd shape"
        raise ConvertError(what, where=f"{file}:", remedy="get it again")
    if dtype.name not in FLOATS and not (dtype.kind in "iuU" and shape == ()):
        what = f"{entry.filename} holds {dtype.name}, not {', '.join(FLOATS)}"
        raise ConvertError(what, where=f"{file}:", remedy="write it again")
    return Member(file, entry.filename, shape)


def config_of(
    file: Path, constants: dict[str, Any], matrices: Mapping[str, Tensor], n_head: int | None, what: str = "an npz"
) -> Config:
    for name in (WTE, WPE):
        shape = matrices[name].shape if name in matrices else ()
        if constants.get("position", "learned") == "learned" and len(shape) != 2:
            remedy = f"{what} holds a model's matrices by our names"
            raise ConvertError(f"has no matrix {name}", where=file, remedy=remedy)
    n_vocab, n_embd = matrices[WTE].shape
    heads = n_head or constants.get("n_head") or n_embd // REFERENCE_HEAD_SIZE
    if not heads or n_embd % heads or (heads * REFERENCE_HEAD_SIZE != n_embd and not (n_head or "n_head" in constants)):
        what = f"does not tell how many heads its n_embd of {n_embd} is split into"
        raise ConvertError(what, where=file, remedy="give --n-head N")
    known = known_names(matrices).weights
    blocks = {known[name].block for name in matrices if name in known} - {None}
    inferred = {"n_layer": len(blocks), "n_embd": n_embd, "n_vocab": n_vocab}
    inferred["n_ctx"] = matrices[WPE].shape[0] if WPE in matrices else constants.get("n_ctx", 0)
    return Config(**(inferred | constants | {"n_head": heads}))
