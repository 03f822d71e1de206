"""What every source of a conversion ends in: constants, matrices read one at a time, a token table, and remarks.

Here too: how numbers of half and brain precision become float32, which is exact. How a source stores its tensors
belongs in the module named after it, what it calls them in `names`.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sheetgpt.convert.strangers import refuse_pages
from sheetgpt.errors import ConvertError
from sheetgpt.files.journal import Journal
from sheetgpt.files.tensors import from_bfloat16
from sheetgpt.models.config import Config
from sheetgpt.models.gpt2 import LM_HEAD, WTE
from sheetgpt.models.kinds import Shape, matrix_shapes, weights_of
from sheetgpt.models.step import Use, Weight
from sheetgpt.weights.folder import write_weights
from sheetgpt.weights.progress import Progress

__all__ = ["Checkpoint"]

STORED_AS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class Tensor(Protocol):
    """A tensor in a file: its shape is known, its numbers are read when asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Stored:
    """A tensor that lies in a file as one run of numbers, row by row."""

    file: Path
    offset: int
    dtype: str  # F64, F32, F16 or BF16
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        return read_numbers(self.file, self.offset, self.dtype, math.prod(self.shape)).reshape(self.shape)


@dataclass(frozen=True)
class Zeros:
    """A bias that the model does not have."""

    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        return np.zeros(self.shape, np.float32)


def read_numbers(file: Path, offset: int, dtype: str, count: int) -> np.ndarray:
    """[count] numbers from a place in a file, exactly, as float32 (float64 where they are doubles).

    subtle: read, not mapped: pages of a mapped file count as the process's memory as long as nobody else wants it.
    """
    if dtype not in STORED_AS:
        what = f"holds numbers of type {dtype}; only {', '.join(STORED_AS)} can be converted exactly"
        raise ConvertError(what, where=file)
    kind = np.dtype(STORED_AS[dtype]).newbyteorder("<")
    if count < 0 or offset < 0 or offset + count * kind.itemsize > file.stat().st_size:
        raise ConvertError("is torn", where=file, remedy="it ends before its tensors do; get it again")
    numbers = np.fromfile(file, kind, count, offset=offset)
    if dtype == "BF16":
        return from_bfloat16(numbers)
    return numbers.astype(np.float64 if dtype == "F64" else np.float32, copy=False)


class StoredMatrices(Mapping[str, np.ndarray]):
    """Our name -> the matrix, [rows, columns], read from the source each time it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], weights: Mapping[str, Weight], *, linear: bool):
        self._tensors, self._weights, self._linear = tensors, weights, linear

    def __getitem__(self, name: str) -> np.ndarray:
        numbers, weight = self._tensors[name].read(), self._weights[name]
        if self._linear and weight.use is Use.LINEAR:
            return np.ascontiguousarray(numbers.T)
        return numbers.reshape(weight.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


@dataclass(kw_only=True)
class Checkpoint(ABC):
    """A GPT-2 that can be written as a CSV folder."""

    config: Config  #: the model's constants
    origin: str  #: names this source alone, so that no other goes on where it was interrupted
    write_tables: Callable[[Path], object] | None = None  #: writes the token files into a folder
    remarks: list[str] = field(default_factory=list)  #: what a person should know of the conversion

    @property
    def tokenizer(self) -> bool:
        """Has it a token table?"""
        return self.write_tables is not None

    @property
    @abstractmethod
    def untied(self) -> bool:
        """Has the language head a matrix of its own?"""

    @property
    def shapes(self) -> dict[str, Shape]:
        """(rows, columns) of every matrix, by name."""
        return matrix_shapes(self.config, untied=self.untied)

    @abstractmethod
    def write_matrices(self, folder: Path, journal: Journal, progress: Progress | None) -> None:
        """Write every matrix as a CSV; those in the journal are there already. `progress` counts numbers."""


@dataclass(kw_only=True)
class TensorCheckpoint(Checkpoint):
    """A GPT-2 of numbers, each matrix read when it is written."""

    matrices: Mapping[str, np.ndarray]

    @property
    def untied(self) -> bool:
        return LM_HEAD in self.matrices

    def write_matrices(self, folder: Path, journal: Journal, progress: Progress | None) -> None:
        write_weights(folder, self.config, self.matrices, progress=progress, journal=journal)


def gather(
    source: Path | str,
    config: Config,
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str],
    *,
    linear: bool = False,
    biases: bool = True,
) -> StoredMatrices:
    """Our matrices out of a source's tensors. Raises ConvertError for one that is missing, misshapen or not GPT-2's.

    names: ours -> the source's. linear: matrices are stored as [out, in]. biases: a missing bias is an error (else it
    is zeros). A language head of its own is kept only where it differs from the token embeddings.
    """
    weights = weights_of(config, untied=names[LM_HEAD] in tensors)
    strange = sorted(set(tensors) - {names[name] for name in weights})
    if strange:
        what = f"holds {strange[0]!r}, which GPT-2 does not have"
        raise ConvertError(what, where=source, remedy=why_strange(strange[0], config))
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if names[name] not in tensors and weight.use is Use.BIAS and not biases:
            found[name] = Zeros(weight.shape)
        else:
            found[name] = stored(source, tensors, names[name], weight, linear=linear)
    head = found.get(LM_HEAD)
    if head is not None and (head == found[WTE] or np.array_equal(head.read(), found[WTE].read())):
        weights = weights_of(config)
    return StoredMatrices(found, weights, linear=linear)


def why_strange(name: str, config: Config) -> str:
    """What a tensor that GPT-2 does not have may mean."""
    block = re.match(r"(?:h|blk|model/h)[./]?(\d+)\D", name)
    if block and int(block[1]) >= config.n_layer:
        return f"its configuration says that it has {config.n_layer} blocks, so that it belongs to another model"
    return "this model would run differently, if it uses it; else save it without"


def stored(source: Path | str, tensors: Mapping[str, Tensor], theirs: str, weight: Weight, *, linear: bool) -> Tensor:
    """The tensor of a weight, of the shape that it must have."""
    if theirs not in tensors:
        remedy = "it is torn, or its configuration belongs to another model"
        raise ConvertError(f"has no {theirs}", where=source, remedy=remedy)
    shape = tuple(tensors[theirs].shape)
    expected = weight.shape[::-1] if linear and weight.use is Use.LINEAR else weight.shape
    if without_ones(shape) != without_ones(expected):
        what = f"{theirs} is {' x '.join(map(str, shape))}, not {' x '.join(map(str, expected))}"
        raise ConvertError(what, where=f"{source}:", remedy="its configuration belongs to another model")
    return tensors[theirs]


def without_ones(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def origin_of(*files: Path) -> str:
    """These files as they are now: it differs when one of them changes."""
    stamps = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return json.dumps(stamps)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ConvertError naming the file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        refuse_pages(file)
        raise ConvertError(f"is no JSON ({error})", where=file, remedy="get it again") from None
    except OSError as error:
        raise ConvertError(f"cannot be read: {error.strerror}", where=file) from None
    if not isinstance(data, dict):
        raise ConvertError("holds no JSON object", where=file, remedy="get it again")
    return data


def whole(settings: Mapping[str, Any], name: str, default: int | None, file: Path) -> int:
    """A whole number among settings."""
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        what = f"{name} is {value!r}, not a whole number above 0"
        raise ConvertError(what, where=f"{file}:", remedy="get the file again")
    return value
