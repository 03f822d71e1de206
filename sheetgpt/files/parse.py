"""Lines of decimals become numbers, each the nearest one to what stands there, as if it had been read by itself.

simdjson parses, and orjson where there is no build of it: both take the numbers for JSON. Python reads what JSON
doesn't know. What the lines come from, and the sentence about those that are refused, are left to `decimals`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

INTEGER_MINUS_ZERO = re.compile(rb"-0+(?![.0-9eE])")
BITS_BELOW_FLOAT32 = np.uint64((1 << 29) - 1)  # of a double's mantissa
BETWEEN_FLOATS = np.uint64(1 << 28)
NUMBER_CHARACTERS = b"0123456789+-.eE"
OTHER_JSON = (b"[", b"{", b'"', b"t", b"f", b"n")  # how a value that is no number begins


def parse(text: bytes, columns: int, dtype: np.dtype) -> np.ndarray | None:
    """The rows, [rows, columns]; None where one is too short or long, or does not consist of finite numbers."""
    if not text:
        return np.empty((0, columns), dtype)
    if any(line.count(b",") != columns - 1 for line in text.split(b"\n")):
        return None
    cells = text.replace(b"\n", b",")
    numbers = _parse_json(cells)
    if numbers is None:
        numbers = _parse_any(cells)
    if numbers is not None and dtype == np.float32:
        numbers = _singles(numbers, cells)
    return None if numbers is None else numbers.reshape(-1, columns)


def _parse_json(cells: bytes) -> np.ndarray | None:
    """Numbers separated by `,` as doubles, read as a JSON array; None where JSON refuses them or reads them otherwise.

    simdjson reads nearly a gigabyte a second, orjson a third of that. JSON has no `+1`, `.5`, `1.` and `01`, and `-0`
    is an integer, without its sign.
    """
    if any(mark in cells for mark in OTHER_JSON):
        return None
    try:
        numbers = _json_parser()(b"[%s]" % cells)
    except (ValueError, TypeError, RuntimeError):
        return None
    if not numbers.all() and INTEGER_MINUS_ZERO.search(cells):
        return None
    return numbers


@cache
def _json_parser() -> Callable[[bytes], np.ndarray]:
    return _by_simdjson if find_spec("simdjson") else _by_orjson  # there are no builds for the newest Pythons


def _by_simdjson(text: bytes) -> np.ndarray:
    from simdjson import Parser

    array: Any = Parser().parse(text)
    return np.frombuffer(array.as_buffer(of_type="d"))


def _by_orjson(text: bytes) -> np.ndarray:
    from orjson import loads

    return np.array(loads(text), np.float64)


def _parse_any(cells: bytes) -> np.ndarray | None:
    """As `_parse_json`, for all ways of writing a number, each by itself: at a tenth of the speed."""
    if cells.translate(None, NUMBER_CHARACTERS + b","):  # Python knows more, such as 1_000 and nan
        return None
    try:
        numbers = np.array([float(cell) for cell in cells.split(b",")])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _singles(doubles: np.ndarray, cells: bytes) -> np.ndarray | None:
    """Doubles rounded to float32 as their decimals would be; None where one is too large.

    Only a double that lies exactly between two floats may have been rounded towards it from either side.
    """
    with np.errstate(over="ignore", under="ignore"):
        singles = doubles.astype(np.float32)
    if not np.isfinite(singles).all():
        return None
    bits = doubles.view(np.uint64)
    suspect = (bits & BITS_BELOW_FLOAT32) == BETWEEN_FLOATS
    suspect |= (np.abs(singles) <= np.finfo(np.float32).tiny) & (doubles != 0)  # there, floats lie further apart
    if suspect.any():
        at = np.flatnonzero(suspect)
        texts = cells.split(b",")
        singles[at] = _nearest([texts[i] for i in at], doubles[at], singles[at])
    return singles


def _nearest(texts: list[bytes], doubles: np.ndarray, singles: np.ndarray) -> np.ndarray:
    """The float32 next to each decimal, given the next double and that one's next float32."""
    others = np.nextafter(singles, np.copysign(np.float32(np.inf), doubles - singles, dtype=np.float32))
    between = others - doubles == doubles - singles  # else the double lies nearer to one, and so does the decimal
    sides = [
        Decimal(text.decode()).compare(Decimal(double)) if tie else 0
        for text, double, tie in zip(texts, doubles.tolist(), between, strict=True)
    ]
    above, below = np.maximum(singles, others), np.minimum(singles, others)
    return np.choose(np.array(sides, int) + 1, (below, singles, above))
