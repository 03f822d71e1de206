"""What stands for the names in a pickle: code of this module for tensors and plain data, else an idle object.

Nothing here runs what a name names, whatever it is. Reading the pickles belongs in `pickled`.
"""

from __future__ import annotations

import math
import re
import sys
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.convert.checkpoint import read_numbers
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
CHUNK_BYTES = 1 << 20
RECORDS = ("GPTConfig", "CfgNode", "Namespace")  # classes of settings; only their attributes are taken
CLASS = re.compile(r"_*[A-Z]\w*(\._*[A-Z]\w*)*")  # how programs spell classes' names; a function's begins small
# what a training keeps beside the weights, from modules that may also run things
HARMLESS = {
    ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "slice"), ("builtins", "range"),
    ("builtins", "complex"), ("builtins", "bytearray"), ("builtins", "object"), ("builtins", "list"),
    ("builtins", "dict"), ("builtins", "int"), ("builtins", "float"), ("builtins", "bool"), ("builtins", "str"),
    ("builtins", "bytes"), ("builtins", "tuple"),
    ("collections", "deque"), ("collections", "Counter"), ("copyreg", "_reconstructor"),
    ("datetime", "datetime"), ("datetime", "timedelta"), ("datetime", "date"), ("datetime", "time"),
    ("datetime", "timezone"), ("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"),
    ("uuid", "SafeUUID"), ("types", "SimpleNamespace"), ("random", "Random"), ("re", "_compile"),
    ("functools", "partial"),
    ("numpy", "ndarray"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("torch.serialization", "_get_layout"), ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_sparse_tensor"), ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"),
}  # fmt: skip
RANDOM = re.compile(r"numpy\.random\.\w+\.__(\w+_ctor|pyx_unpickle_\w+)")  # what makes NumPy's generators of numbers
PATHS = re.compile(r"Pure(Posix|Windows)?Path|(Posix|Windows)?Path")
DTYPE = re.compile(
    r"(u?int|float|bfloat|complex)\d+(_\w+)?|bool|half|double|float|long|int|short|cfloat|cdouble|q?u?int\d+"
)
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # of modules, in the pickles of before 2008


class Attributes:
    """An idle object of which only the attributes are known, or the values where it is a mapping."""

    def __init__(self, *_args: object, **attributes: object):
        self.__dict__.update(attributes)

    def __setitem__(self, key: object, value: object) -> None:
        if isinstance(key, str):
            self.__dict__[key] = value

    def append(self, _value: object) -> None:
        """It may stand for a list."""

    extend = append

    def add(self, _value: object) -> None:
        """It may stand for a set."""

    update = add


class Defaults(dict[Any, Any]):
    """Stands for collections.defaultdict, whose first argument makes what is missing."""

    def __init__(self, *_args: object):
        super().__init__()


class NumberType(Attributes):
    """Stands for numpy.dtype: its code, such as f8."""

    def __init__(self, code: object = "", *_args: object):
        super().__init__()
        self.code = code


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


def rebuild_subclass(make: object, _kind: object, arguments: tuple[Any, ...], *_state: object) -> object:
    """Stands for torch._tensor._rebuild_from_type_v2: a tensor that carries attributes."""
    return make(*arguments) if make in (rebuild_tensor, rebuild_parameter) else Attributes()


def encoded(text: object, _encoding: object = None) -> bytes:
    """Stands for _codecs.encode, by which old pickles write bytes."""
    return text.encode("latin1") if isinstance(text, str) else b""


def scalar(kind: object, data: object = None) -> object:
    """Stands for NumPy's scalar: the number where it is one, else nothing."""
    code = kind.code if isinstance(kind, NumberType) else ""
    if isinstance(code, str) and re.fullmatch(r"[biuf][1248]", code) and isinstance(data, bytes):
        dtype = np.dtype(code).newbyteorder("<")
        if len(data) == dtype.itemsize:
            return np.frombuffer(data, dtype)[0].item()
    return None


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild_subclass,
    ("collections", "defaultdict"): Defaults,
    ("_codecs", "encode"): encoded,
    ("numpy", "dtype"): NumberType,
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy._core.multiarray", "scalar"): scalar,
    ("torch", "Size"): tuple,
    ("torch", "device"): Attributes,
}


def is_harmless(module: str, name: str) -> bool:
    """Is it a kind of number, a path, or a class? Nothing is run either way: what could run things shows malice."""
    top = module.partition(".")[0]
    if top == "torch" and "Storage" in name:
        return False
    if module in ("__main__", "typing") or (module, name) in HARMLESS or (top == "pathlib" and PATHS.fullmatch(name)):
        return True
    if RANDOM.fullmatch(f"{module}.{name}"):
        return True
    if module in ("torch", "numpy", "numpy.core.multiarray") and DTYPE.fullmatch(name):
        return True
    return CLASS.fullmatch(name) is not None and top not in sys.stdlib_module_names
