"""PyTorch's pickled files (the zip format and the one before), read without PyTorch and without running anything.

A pickle is a program that may call any function by name. Here names that build tensors and plain data stand for code of
this module, names of classes that are no part of a model's weights for an object that does nothing; any other name is
refused before anything happens. What the tensors mean belongs in `state`.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from sheetgpt.convert import state
from sheetgpt.convert.checkpoint import STORED_AS, Tensor
from sheetgpt.convert.peek import beginning, listed, names_in_zip
from sheetgpt.convert.standins import (
    KNOWN,
    OLD_NAMES,
    OTHER_STORAGES,
    RECORDS,
    STORAGES,
    Attributes,
    Storage,
    is_harmless,
)
from sheetgpt.convert.strangers import refuse_foreign
from sheetgpt.errors import ConvertError
from sheetgpt.files import foreign

ITEM_BYTES = {kind: np.dtype(dtype).itemsize for kind, dtype in STORED_AS.items()}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LONGEST_START = 32  # bytes until the magic number is there: newer protocols put a frame before it
LEGACY_START = pickle.PROTO + b"\x02" + pickle.LONG1 + b"\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
MAIN = "data.pkl"  # in the zip format
LEGACY_PICKLES = 5  # magic number, version, system, the object, the storages' keys
LONGEST_PICKLE = 1 << 28
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a file in a zip: signature, lengths of name and extra field


class Reader(pickle._Unpickler):  # noqa: SLF001 - the C reader reserves as much memory as a file tells it to
    """Builds plain data and tensors, and calls nothing else."""

    def __init__(self, data: BinaryIO, file: Path):
        super().__init__(data)
        self.file = file
        self.storages: dict[str, Storage] = {}
        self.passed: dict[str, None] = {}  # names that were read past, in order

    def load_build(self) -> None:
        """Attributes are set on plain data only: a tensor stays as it was checked."""
        changed = self.stack[-2]  # type: ignore[attr-defined]
        if isinstance(changed, Attributes):
            given = self.stack.pop()  # type: ignore[attr-defined]
            for part in given if isinstance(given, tuple) and len(given) == 2 else [given]:  # attributes and slots
                changed.__dict__.update(part if isinstance(part, dict) else {})
            return
        if not isinstance(changed, OrderedDict):
            raise ConvertError("it changes an object that is no plain data")
        super().load_build()  # type: ignore[misc]

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: SLF001

    def find_class(self, module: str, name: str) -> Any:
        module = OLD_NAMES.get(module, module)
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and (name in STORAGES or name in OTHER_STORAGES):
            return name
        if name in RECORDS:
            return Attributes
        if is_harmless(module, name):
            self.passed.setdefault(f"{module}.{name}")
            return Attributes
        what = f"asks to run {module}.{name}, no part of a model's weights"
        remedy = "nothing was run; get the model as safetensors, from a source you trust"
        raise ConvertError(what, where=self.file, remedy=remedy)

    def persistent_load(self, key: object) -> Storage:
        """A storage: ("storage", type, key, place, count)."""
        if not (isinstance(key, tuple) and len(key) in (5, 6) and key[0] == "storage" and key[5:] in ((), (None,))):
            what = "is damaged or too old a PyTorch file"
            raise ConvertError(what, where=self.file, remedy="save it again with a newer PyTorch")
        _, kind, name, _, count = key[:5]
        item_bytes = ITEM_BYTES[STORAGES[kind]] if kind in STORAGES else OTHER_STORAGES[kind]
        return self.storages.setdefault(name, Storage(STORAGES.get(kind, ""), count, item_bytes))


def recognises(file: Path) -> bool:
    return is_legacy(beginning(file, LONGEST_START)) or MAIN in (names_in_zip(file) or ())


def is_legacy(start: bytes) -> bool:
    return start.startswith(pickle.PROTO) and LEGACY_START[2:] in start


def load(file: Path, remarks: list[str] | None = None) -> Any:
    """The object in a PyTorch file, its tensors unread; what was read past is remarked. Raises ConvertError."""
    passed: dict[str, None] = {}
    loaded = _load(file, passed)
    if passed and remarks is not None:
        remarks.append(f"no part of the weights, read past without running anything: {listed(list(passed))}")
    return loaded


def _load(file: Path, passed: dict[str, None]) -> Any:
    with file.open("rb") as opened:
        try:
            if zipfile.is_zipfile(opened):
                return _load_zip(file, opened, passed)
            opened.seek(0)
            if is_legacy(opened.read(LONGEST_START)):
                return _load_legacy(file, opened, passed)
        except ConvertError as error:
            if error.where:
                raise
            raise ConvertError(error.what, where=f"{file}:", remedy="get it again") from None
        except RECOVERABLE as error:
            what = f"is torn or damaged ({type(error).__name__})"
            raise ConvertError(what, where=file, remedy="get it again") from None
    refuse_foreign(file)
    raise ConvertError("is no PyTorch file", where=file, remedy="get it again")


# whatever a damaged pickle makes the reader stumble over
RECOVERABLE = (
    pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
    OverflowError, MemoryError, RecursionError, NotImplementedError, RuntimeError, OSError, struct.error, zlib.error,
)  # fmt: skip


def read_tensors(file: Path, remarks: list[str] | None = None) -> dict[str, Tensor]:
    """The tensors of a file that holds a state dict."""
    found = state.state_in(load(file, remarks), [] if remarks is None else remarks)
    if found is None:
        raise ConvertError("holds other things than tensors by name", where=file, remedy="get the model again")
    return found


def _load_zip(file: Path, opened: BinaryIO, passed: dict[str, None]) -> Any:
    with zipfile.ZipFile(opened) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        main = entries.get(MAIN)
        if foreign.is_torchscript(archive.namelist()):
            raise ConvertError(foreign.TORCHSCRIPT.what, where=file, remedy=foreign.TORCHSCRIPT.remedy)
        if main is None:
            raise ConvertError("it holds no data.pkl, so it is no PyTorch file")
        # torch stores without compressing; a compressed file could grow without end
        if (
            any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values())
            or main.file_size > LONGEST_PICKLE
        ):
            raise ConvertError("it is compressed or absurdly large, as PyTorch never writes it")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise ConvertError("its numbers are big-endian; save it on another machine")
        reader = Reader(io.BytesIO(archive.read(main)), file)
        reader.passed = passed
        loaded = reader.load()
        for key, storage in reader.storages.items():
            entry = entries[f"data/{key}"]
            opened.seek(entry.header_offset)
            signature, name_length, extra_length = LOCAL_HEADER.unpack(opened.read(LOCAL_HEADER.size))
            if signature != b"PK\3\4" or storage.count * storage.item_bytes > entry.file_size:
                raise ConvertError("a tensor is longer than its place in the file")
            storage.file = file
            storage.offset = entry.header_offset + LOCAL_HEADER.size + name_length + extra_length
            storage.size, storage.checksum = entry.file_size, entry.CRC
    return loaded


def _load_legacy(file: Path, opened: BinaryIO, passed: dict[str, None]) -> Any:
    opened.seek(0)
    storages: dict[str, Storage] = {}
    parts: list[Any] = []
    for _ in range(LEGACY_PICKLES):
        reader = Reader(opened, file)
        reader.storages, reader.passed = storages, passed
        parts.append(reader.load())
    if not parts[2]["little_endian"]:
        raise ConvertError("its numbers are big-endian; save it on another machine")
    size = file.stat().st_size
    for key in parts[4]:
        (count,) = struct.unpack("<q", opened.read(8))
        storage = storages[key]
        storage.file, storage.offset = file, opened.tell()
        if count != storage.count or not 0 <= storage.offset + count * storage.item_bytes <= size:
            raise ConvertError("it ends before its tensors do")
        opened.seek(count * storage.item_bytes, io.SEEK_CUR)
    return parts[3]
