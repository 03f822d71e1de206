"""Where tensors lie in a .safetensors file, and how bfloat16, which numpy has not, becomes float32: exactly.

What the tensors mean belongs to who reads them (`convert`, `fixtures`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BFLOAT16 = "bfloat16"
DTYPES: Mapping[str, str] = {  # safetensors' names for types -> numpy's
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
    "BF16": BFLOAT16,
}


class UnknownTypeError(ValueError):
    """Numbers of a type that is not read; its text is the type's name."""


@dataclass(frozen=True)
class Placed:
    """A tensor's place in a file: one run of numbers, row by row."""

    file: Path
    offset: int
    kind: str  # as safetensors calls the type, such as BF16
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """The type of its numbers, as numpy calls it; `bfloat16` is the one that numpy has not.

        Raises UnknownTypeError where such numbers can't be read exactly.
        """
        if self.kind not in DTYPES:
            raise UnknownTypeError(self.kind)
        return DTYPES[self.kind]

    def __call__(self) -> np.ndarray:
        """The numbers, bfloat16 as float32."""
        stored = np.dtype("uint16" if self.dtype == BFLOAT16 else self.dtype).newbyteorder("<")
        numbers = np.fromfile(self.file, stored, math.prod(self.shape), offset=self.offset).reshape(self.shape)
        return from_bfloat16(numbers) if self.dtype == BFLOAT16 else numbers


def located(file: Path) -> tuple[dict[str, Placed], dict[str, str]]:
    """(where each tensor lies, the file's metadata). Raises ValueError where it is torn, or no such file.

    The `safetensors` library checks the file, so that nothing lies outside it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except SafetensorError as error:  # it is a plain Exception
        raise ValueError(str(error).partition("\n")[0]) from None
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    about = header.pop("__metadata__", None) or {}
    places = {
        name: Placed(file, 8 + length + one["data_offsets"][0], one["dtype"], tuple(one["shape"]))
        for name, one in header.items()
    }
    return places, about


def from_bfloat16(bits: np.ndarray) -> np.ndarray:  # uint16 -> float32
    """float32's upper half.

    >>> from_bfloat16(np.array([0x3F80, 0xC040], "<u2"))
    array([ 1., -3.], dtype=float32)
    """
    widened: np.ndarray = (bits.astype("<u4") << np.uint32(16)).view("<f4")
    return widened
