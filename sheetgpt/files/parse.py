"""Lines of decimals become numbers, each the nearest one to what stands there, as if it had been read by itself.

simdjson parses, and orjson where there is no build of it: both take the numbers for JSON. Python reads what JSON
doesn't know. What the lines come from, and the sentence about those that are refused, are left to `decimals`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sized
from functools import cache
from importlib.util import find_spec
from itertools import chain
from typing import Any

import numpy as np

INTEGER_MINUS_ZERO = re.compile(rb"-0+(?![.0-9eE])")
BITS_BELOW_FLOAT32 = np.uint64((1 << 29) - 1)  # of a double's mantissa
BETWEEN_FLOATS = np.uint64(1 << 28)
NUMBER_CHARACTERS = b"0123456789+-.eE"
SEPARATORS = b",\n"
OTHER_JSON = (b"[", b'"', b"t", b"f", b"n")  # how values begin that might be taken for numbers


def parse(text: bytes, columns: int, dtype: np.dtype) -> np.ndarray | None:
    """The rows, [rows, columns]; None where one is too short or long, or does not consist of finite numbers."""
    if not text:
        return np.empty((0, columns), dtype)
    numbers = _parse_json(text, columns)
    if numbers is None:
        numbers = _parse_any(text, columns)
    if numbers is not None and dtype == np.float32:
        numbers = _singles(numbers, text)
    return None if numbers is None else numbers.reshape(-1, columns)


def _parse_json(text: bytes, columns: int) -> np.ndarray | None:
    """The rows as doubles, one after another, read as a JSON array of arrays; None where that might be wrong.

    simdjson reads nearly a gigabyte a second, orjson a third of that. JSON has no `+1`, `.5`, `1.` and `01`, and `-0`
    is an integer, without its sign.
    """
    if any(mark in text for mark in OTHER_JSON):
        return None
    try:
        numbers = _json_parser()(b"".join((b"[[", text.replace(b"\n", b"],["), b"]]")), columns)
    except (ValueError, TypeError, RuntimeError):
        return None
    if not numbers.all() and INTEGER_MINUS_ZERO.search(text):
        return None
    return numbers


@cache
def _json_parser() -> Callable[[bytes, int], np.ndarray]:
    return _by_simdjson if find_spec("simdjson") else _by_orjson  # there are no builds for the newest Pythons


def _by_simdjson(text: bytes, columns: int) -> np.ndarray:
    from simdjson import Parser

    rows: Any = Parser().parse(text)
    _require_length(rows, columns)
    return np.frombuffer(rows.as_buffer(of_type="d"))


def _by_orjson(text: bytes, columns: int) -> np.ndarray:
    from orjson import loads

    rows = loads(text)
    _require_length(rows, columns)
    return np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * columns)


def _require_length(rows: Iterable[Sized], columns: int) -> None:
    if any(len(row) != columns for row in rows):
        raise ValueError("the rows differ in length")


def _parse_any(text: bytes, columns: int) -> np.ndarray | None:
    """As `_parse_json`, for all ways of writing a number, each by itself: at a tenth of the speed."""
    if text.translate(None, NUMBER_CHARACTERS + SEPARATORS):  # Python knows more, such as 1_000 and nan
        return None
    rows = [line.split(b",") for line in text.split(b"\n")]
    try:
        _require_length(rows, columns)
        numbers = np.array([float(cell) for row in rows for cell in row])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _singles(doubles: np.ndarray, text: bytes) -> np.ndarray | None:
    """Doubles rounded to float32 as their decimals would be; None where one is too large.

    Only a double that lies exactly between two floats may have been rounded towards it from either side.
    """
    with np.errstate(over="ignore", under="ignore"):
        singles = doubles.astype(np.float32)
    if not np.isfinite(singles).all():
        return None
    suspect = (doubles.view(np.uint64) & BITS_BELOW_FLOAT32) == BETWEEN_FLOATS
    suspect |= (np.abs(singles) <= np.finfo(np.float32).tiny) & (doubles != 0)  # there, floats lie further apart
    if suspect.any():
        at = np.flatnonzero(suspect)
        cells = text.replace(b"\n", b",").split(b",")
        singles[at] = _nearest([cells[i] for i in at], doubles[at], singles[at])
    return singles


def _nearest(texts: list[bytes], doubles: np.ndarray, singles: np.ndarray) -> np.ndarray:
    """The float32 next to each decimal, given the next double and that one's next float32."""
    from decimal import Decimal  # only here: ties are rare

    others = np.nextafter(singles, np.copysign(np.float32(np.inf), doubles - singles, dtype=np.float32))
    between = others - doubles == doubles - singles  # else the double lies nearer to one, and so does the decimal
    sides = [
        Decimal(text.decode()).compare(Decimal(double)) if tie else 0
        for text, double, tie in zip(texts, doubles.tolist(), between, strict=True)
    ]
    above, below = np.maximum(singles, others), np.minimum(singles, others)
    return np.choose(np.array(sides, int) + 1, (below, singles, above))
