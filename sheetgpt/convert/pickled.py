"""PyTorch's pickled files (the zip format and the one before), read without PyTorch and without running anything.

A pickle is a program that may call any function by name. Here only names that build tensors and plain data are known,
and each stands for code of this module; any other name is refused before anything happens. What the tensors mean
belongs in `torch_checkpoint` and `huggingface`.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from sheetgpt.convert.checkpoint import STORED_AS, Tensor, read_numbers
from sheetgpt.convert.peek import begins_with, names_in_zip
from sheetgpt.errors import ConvertError

STORAGES = {"DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16"}
OTHER_STORAGES = {
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
ITEM_BYTES = {kind: np.dtype(dtype).itemsize for kind, dtype in STORED_AS.items()}
RECORDS = ("GPTConfig", "CfgNode", "Namespace")  # classes of settings; only their attributes are taken
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = pickle.PROTO + b"\x02" + pickle.LONG1 + b"\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
MAIN = "data.pkl"  # in the zip format
LEGACY_PICKLES = 5  # magic number, version, system, the object, the storages' keys
LONGEST_PICKLE = 1 << 28
CHUNK_BYTES = 1 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a file in a zip: signature, lengths of name and extra field


class Attributes:
    """A settings object: its attributes and nothing of its class."""

    def __init__(self, *_args: object, **attributes: object):
        self.__dict__.update(attributes)


@dataclass
class Storage:
    """Numbers that tensors share; where they lie is known when the file's index has been read."""

    kind: str  # F32, ...; empty where they are no floats
    count: int
    item_bytes: int
    file: Path | None = None
    offset: int = 0
    size: int = 0  # in bytes, of its place in a zip
    checksum: int = 0  # of that place; 0 where there is none, as PyTorch can leave it out

    def require_whole(self) -> None:
        """Raises ConvertError where the numbers are not those that were written."""
        if not self.checksum or self.file is None:
            return
        found, left = 0, self.size
        with self.file.open("rb") as opened:
            opened.seek(self.offset)
            while left and (chunk := opened.read(min(left, CHUNK_BYTES))):
                found, left = zlib.crc32(chunk, found), left - len(chunk)
        if found != self.checksum or left:
            what = "is damaged: a tensor's numbers don't fit their checksum"
            raise ConvertError(what, where=self.file, remedy="get it again")
        self.checksum = 0  # tensors may share a storage


@dataclass(frozen=True)
class Strided:
    """A tensor: some numbers of a storage, in steps."""

    storage: Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self) -> np.ndarray:
        storage = self.storage
        last = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if not storage.kind:
            what = "holds whole numbers where weights should be"
            raise ConvertError(what, where=storage.file, remedy="get the model again")
        if storage.file is None or self.start + last >= storage.count:
            where = storage.file or "the checkpoint"
            raise ConvertError("is damaged", where=where, remedy="a tensor lies outside its storage")
        if math.prod(self.shape) > storage.count:  # each may stand for any number of them
            what = "holds a tensor with more numbers than are stored"
            raise ConvertError(what, where=storage.file, remedy="save it again with contiguous tensors")
        storage.require_whole()
        numbers = read_numbers(storage.file, storage.offset + self.start * storage.item_bytes, storage.kind, last + 1)
        steps = [step * numbers.itemsize for step in self.strides]
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(numbers, self.shape, steps))


def rebuild_tensor(
    storage: Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: object
) -> Strided:
    """Stands for torch._utils._rebuild_tensor_v2. Only what can be a part of the storage is accepted."""
    numbers = [start, *shape, *strides]
    fine = isinstance(storage, Storage) and len(shape) == len(strides)
    if not fine or any(type(number) is not int or number < 0 for number in numbers):
        raise ConvertError("a tensor is damaged")
    return Strided(storage, start, tuple(shape), tuple(strides))


def rebuild_parameter(tensor: Strided, *_rest: object) -> Strided:
    """Stands for torch._utils._rebuild_parameter."""
    return tensor


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): Attributes,
}


class Reader(pickle._Unpickler):  # noqa: SLF001 - the C reader reserves as much memory as a file tells it to
    """Builds plain data and tensors, and calls nothing else."""

    def __init__(self, data: BinaryIO, file: Path):
        super().__init__(data)
        self.file = file
        self.storages: dict[str, Storage] = {}

    def load_build(self) -> None:
        """Attributes are set on plain data only: a tensor stays as it was checked."""
        if not isinstance(self.stack[-2], Attributes | OrderedDict):  # type: ignore[attr-defined]
            raise ConvertError("it changes an object that is no plain data")
        super().load_build()  # type: ignore[misc]

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: SLF001

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and (name in STORAGES or name in OTHER_STORAGES):
            return name
        if name in RECORDS:
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
    return begins_with(file, LEGACY_START) or MAIN in (names_in_zip(file) or ())


def load(file: Path) -> Any:
    """The object in a PyTorch file, its tensors unread. Raises ConvertError."""
    with file.open("rb") as opened:
        try:
            if zipfile.is_zipfile(opened):
                return _load_zip(file, opened)
            opened.seek(0)
            if opened.read(len(LEGACY_START)) == LEGACY_START:
                return _load_legacy(file, opened)
        except ConvertError as error:
            if error.where:
                raise
            raise ConvertError(error.what, where=f"{file}:", remedy="get it again") from None
        except RECOVERABLE as error:
            what = f"is torn or damaged ({type(error).__name__})"
            raise ConvertError(what, where=file, remedy="get it again") from None
    raise ConvertError("is no PyTorch file", where=file, remedy="get it again")


# whatever a damaged pickle makes the reader stumble over
RECOVERABLE = (
    pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
    OverflowError, MemoryError, RecursionError, NotImplementedError, RuntimeError, OSError, struct.error, zlib.error,
)  # fmt: skip


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file that holds a state dict."""
    state = load(file)
    if not isinstance(state, Mapping) or not all(isinstance(value, Strided) for value in state.values()):
        raise ConvertError("holds other things than tensors by name", where=file, remedy="get the model again")
    return dict(state)


def _load_zip(file: Path, opened: BinaryIO) -> Any:
    with zipfile.ZipFile(opened) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        main = entries.get(MAIN)
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


def _load_legacy(file: Path, opened: BinaryIO) -> Any:
    opened.seek(0)
    storages: dict[str, Storage] = {}
    parts: list[Any] = []
    for _ in range(LEGACY_PICKLES):
        reader = Reader(opened, file)
        reader.storages = storages
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
