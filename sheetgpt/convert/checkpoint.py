"""What every source of a conversion ends in: constants, matrices read one at a time, a token table, and remarks.

Here too: how the sources name the matrices, and how numbers of half and brain precision become float32, which is exact.
How a source stores its tensors is the business of the module named after it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from sheetgpt.config import Config
from sheetgpt.errors import ConvertError
from sheetgpt.files.journal import Journal
from sheetgpt.weights import LM_HEAD, WTE, Progress, matrix_shapes, write_weights

STORED_AS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
ROWS_AT_ONCE = 4096

# our name in a block or outside -> (Hugging Face's and nanoGPT's, GGUF's); OpenAI's own is ours with slashes
THEIR_NAMES = {
    "wte": ("wte.weight", "token_embd.weight"),
    "wpe": ("wpe.weight", "position_embd.weight"),
    "ln_1_g": ("ln_1.weight", "attn_norm.weight"),
    "ln_1_b": ("ln_1.bias", "attn_norm.bias"),
    "attn_c_attn_w": ("attn.c_attn.weight", "attn_qkv.weight"),
    "attn_c_attn_b": ("attn.c_attn.bias", "attn_qkv.bias"),
    "attn_c_proj_w": ("attn.c_proj.weight", "attn_output.weight"),
    "attn_c_proj_b": ("attn.c_proj.bias", "attn_output.bias"),
    "ln_2_g": ("ln_2.weight", "ffn_norm.weight"),
    "ln_2_b": ("ln_2.bias", "ffn_norm.bias"),
    "mlp_c_fc_w": ("mlp.c_fc.weight", "ffn_up.weight"),
    "mlp_c_fc_b": ("mlp.c_fc.bias", "ffn_up.bias"),
    "mlp_c_proj_w": ("mlp.c_proj.weight", "ffn_down.weight"),
    "mlp_c_proj_b": ("mlp.c_proj.bias", "ffn_down.bias"),
    "ln_f_g": ("ln_f.weight", "output_norm.weight"),
    "ln_f_b": ("ln_f.bias", "output_norm.bias"),
    "lm_head": ("lm_head.weight", "output.weight"),
}
OUR_NAME = re.compile(r"model_(?:h(\d+)_)?(\w+)")
LINEAR = ("_attn_w", "_proj_w", "_fc_w")  # the ends of names whose matrices PyTorch's Linear stores as [out, in]


class Tensor(Protocol):
    """A tensor in a file: its shape is known, its numbers are read when asked for."""

    shape: tuple[int, ...]

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
        raise ConvertError(
            f"{file} holds numbers of type {dtype}; only {', '.join(STORED_AS)} can be converted exactly"
        )
    kind = np.dtype(STORED_AS[dtype]).newbyteorder("<")
    if count < 0 or offset < 0 or offset + count * kind.itemsize > file.stat().st_size:
        raise ConvertError(f"{file} is torn: it ends before its tensors do; get it again")
    numbers = np.fromfile(file, kind, count, offset=offset)
    if dtype == "BF16":
        return (numbers.astype("<u4") << 16).view(np.float32)
    return numbers.astype(np.float64 if dtype == "F64" else np.float32, copy=False)


class Matrices(Mapping[str, np.ndarray]):
    """Our name -> the matrix, [rows, columns], read from the source each time it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]], linear: bool):
        self._tensors, self._shapes, self._linear = tensors, shapes, linear

    def __getitem__(self, name: str) -> np.ndarray:
        numbers = self._tensors[name].read()
        if self._linear and name.endswith(LINEAR):
            return np.ascontiguousarray(numbers.T)
        return numbers.reshape(self._shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


@dataclass
class Checkpoint:
    """A GPT-2 that can be written as a CSV folder."""

    config: Config
    matrices: Mapping[str, np.ndarray]
    origin: str  # tells this source from every other, so that only it goes on where it was interrupted
    write_tables: Callable[[Path], object] | None = None  # writes the token files into a folder
    remarks: list[str] = field(default_factory=list)

    @property
    def tokenizer(self) -> bool:
        return self.write_tables is not None

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        return matrix_shapes(self.config, untied=LM_HEAD in self.matrices)

    def write_matrices(self, folder: Path, journal: Journal, progress: Progress | None) -> None:
        write_weights(folder, self.config, self.matrices, progress=progress, journal=journal)


def their_name(name: str, column: int, block: str) -> str:
    """Our name in another convention.

    >>> their_name("model_h3_attn_c_attn_w", 0, "h.{}."), their_name("model_ln_f_b", 1, "blk.{}.")
    ('h.3.attn.c_attn.weight', 'output_norm.bias')
    """
    number, part = OUR_NAME.fullmatch(name).groups()
    return (block.format(number) if number is not None else "") + THEIR_NAMES[part][column]


def gather(
    source: Path | str,
    config: Config,
    tensors: Mapping[str, Tensor],
    name_of: Callable[[str], str],
    *,
    linear: bool = False,
    biases: bool = True,
) -> Mapping[str, np.ndarray]:
    """Our matrices out of a source's tensors. Raises ConvertError for one that lacks, is misshapen or isn't GPT-2's.

    linear: matrices are stored as [out, in]. biases: a missing bias is an error (else it is zeros).
    A language head of its own is kept only where it differs from the token embeddings.
    """
    untied = name_of(LM_HEAD) in tensors
    shapes = matrix_shapes(config, untied)
    strange = sorted(set(tensors) - {name_of(name) for name in shapes})
    if strange:
        raise ConvertError(
            f"{source} holds {strange[0]!r}, which GPT-2 does not have: this model would run differently"
        )
    found = {}
    for name, shape in shapes.items():
        theirs = name_of(name)
        if theirs not in tensors and not biases and name.endswith("_b"):
            found[name] = Zeros(shape)
            continue
        if theirs not in tensors:
            raise ConvertError(f"{source} lacks {theirs}: it is torn, or its configuration belongs to another model")
        found[name] = tensors[theirs]
        stored = tuple(tensors[theirs].shape)
        expected = shape[::-1] if linear and name.endswith(LINEAR) else shape
        if without_ones(stored) != without_ones(expected):
            raise ConvertError(
                f"{source}: {theirs} is {' x '.join(map(str, stored))}, not {' x '.join(map(str, expected))}: "
                "its configuration belongs to another model"
            )
    if untied and (found[LM_HEAD] == found[WTE] or np.array_equal(found[LM_HEAD].read(), found[WTE].read())):
        del found[LM_HEAD]
        shapes = matrix_shapes(config)
    return Matrices(found, shapes, linear)


def without_ones(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def origin_of(*files: Path) -> str:
    """What tells these files from every other state of them."""
    stamps = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return json.dumps(stamps)


def read_json(file: Path) -> dict:
    """A JSON object. Raises ConvertError naming the file."""
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConvertError(f"{file} is no JSON ({error}): get it again") from None
    except OSError as error:
        raise ConvertError(f"{file} cannot be read: {error.strerror}") from None
    if not isinstance(data, dict):
        raise ConvertError(f"{file} holds no JSON object: get it again")
    return data


def whole(settings: Mapping, name: str, default: int | None, file: Path) -> int:
    """A whole number among settings."""
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConvertError(f"{file}: {name} is {value!r}, not a whole number above 0: get the file again")
    return value
