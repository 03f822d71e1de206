"""A matrix as lines of decimals and back: the shortest decimals that give back the same number, bit for bit.

Polars formats: a matrix goes through it as one long column, so many small, wide matrices cost no more than their
numbers. simdjson parses; polars where simdjson is unsure. Here too: how spreadsheet programs change such a file on
saving it.
What the numbers mean, which files there are and which shapes they should have is left to others.
"""

from __future__ import annotations

import os
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from sheetgpt.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BLOCK_NUMBERS = 1 << 19  # numbers formatted at a time: about 6 MB of text
BLOCK_BYTES = 1 << 19  # bytes of text parsed at a time: fits the processor's cache with its numbers
LONGEST_ROW = 1 << 26  # bytes
MAX_WORKERS = 4
AHEAD = 2  # blocks that wait for each worker
KEPT_BYTES = (1 << 25) - (1 << 16)  # a little less than the most that glibc's thresholds rise to
TAIL_BYTES = 1 << 18  # where blank lines at a file's end are looked for
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEWLINE = ord("\n")
INTEGER_MINUS_ZERO = re.compile(rb"-0+(?![.0-9eE])")
BITS_BELOW_FLOAT32 = np.uint64((1 << 29) - 1)  # of a double's mantissa
BETWEEN_FLOATS = np.uint64(1 << 28)
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_FINITE = re.compile(rb"[+-]?(nan|inf|infinity)", re.IGNORECASE)


def to_lines(matrix: np.ndarray, separator: bytes = b",", *, allow_nonfinite: bool = False) -> list[bytes]:
    """[rows, columns] -> one line a row, without line ends. `allow_nonfinite` writes NaN, inf and -inf as such.

    >>> to_lines(np.float32([[0.1, -2], [1e-7, 1e10]]))
    [b'0.1,-2.0', b'1e-7,10000000000.0']
    """
    return [line for block in _formatted(matrix, separator, allow_nonfinite) for line in block]


def to_text(matrix: np.ndarray, separator: bytes = b",", *, allow_nonfinite: bool = False) -> Iterator[bytes]:
    """[rows, columns] -> blocks of whole lines with their line ends: a file's content in bounded memory."""
    for block in _formatted(matrix, separator, allow_nonfinite):
        yield b"\n".join(block) + b"\n"


def _formatted(matrix, separator: bytes, allow_nonfinite: bool) -> Iterator[list[bytes]]:
    import polars as pl

    numbers = np.asarray(matrix)
    if numbers.ndim != 2 or numbers.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected a float32 or float64 matrix, not {numbers.dtype} with {numbers.ndim} axes")
    step = max(1, BLOCK_NUMBERS // max(1, numbers.shape[1]))

    def lines(start: int) -> list[bytes]:
        block = np.ascontiguousarray(numbers[start : start + step])
        if not allow_nonfinite and not np.isfinite(block).all():
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise ValueError(f"row {start + row + 1}, column {column + 1} is {block[row, column]}, which is no number")
        if not block.shape[1]:
            return [b""] * len(block)
        texts = pl.Series(block.reshape(-1)).cast(pl.String).reshape(block.shape).arr.join(separator.decode())
        return [line.encode() for line in texts.to_list()]

    yield from _ahead(lines, range(0, len(numbers), step))


def read_matrix(path: Path, dtype) -> np.ndarray:
    """The numbers in a file of decimals, [rows, columns] in C order. Raises WeightsError naming row and column.

    float32 is parsed as float32: parsing a double first and rounding it would move one number in some hundred million.
    """
    with path.open("rb") as file:
        return np.concatenate(list(read_blocks(file, str(path), dtype)))


def read_blocks(
    file: BinaryIO, name: str, dtype, seen: Callable[[bytes], object] | None = None
) -> Iterator[np.ndarray]:
    """Blocks of whole rows, [some rows, columns] each. `seen` is given every byte as it is read."""
    return (block for _, block in read_text(file, name, dtype, seen))


def read_text(
    file: BinaryIO, name: str, dtype, seen: Callable[[bytes], object] | None = None
) -> Iterator[tuple[bytes, np.ndarray]]:
    """Blocks of whole rows: (their decimals as they stand, plainly separated; their numbers, [some rows, columns])."""
    kind = np.dtype(dtype)
    layout = columns = None
    rows, ended = 0, False
    keep_freed_memory()
    for chunk in _whole_lines(file):
        if seen:
            seen(chunk)
        if layout is None:
            layout = Layout.of(chunk)
            columns = layout.columns(chunk)
        text = layout.plain(chunk)
        filled = _filled(text)
        block = _parse(text, filled, columns, kind)
        if block is None or (ended and len(block)):
            raise WeightsError(f"{name}, {_fault(text, rows, columns, kind, ended)}")
        rows += len(block)
        ended = ended or len(text) > filled + 1  # blank lines may only stand at the end
        if len(block):
            yield text if len(text) == filled + 1 else text[:filled] + b"\n", block
    if not rows:
        raise WeightsError(f"{name} holds no numbers: the file is empty or torn; get or convert it again")


def _filled(text) -> int:
    """How many bytes of a text stand before the separators and line ends at its end."""
    filled = len(text)
    while filled and text[filled - 1] in b"\n,":
        filled -= 1
    return filled


def count_shape(file: BinaryIO) -> tuple[int, int]:
    """(rows, columns) of a file of decimals, by counting line ends: quick, and no number is looked at."""
    ends, columns, last = 0, 0, b""
    for chunk in _whole_lines(file):
        columns = columns or Layout.of(chunk).columns(chunk)
        ends += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == NEWLINE))
        last = (last + chunk)[-TAIL_BYTES:]
    filled = last.rstrip(b"\r\n,;\t")  # lines at the end that hold separators only are no rows
    return (ends - last.count(b"\n", len(filled)) + 1 if filled else 0), columns


def _ahead(function, items: Iterable) -> Iterator:
    """function(item) for each item, in order; a few items at a time are worked on in threads."""
    keep_freed_memory()
    rest = iter(items)
    first = list(islice(rest, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    workers = min(os.cpu_count() or 1, MAX_WORKERS)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in chain(first, rest):
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next block or matrix, else mapped anew, page by page.

    That took a quarter of the time of parsing, and longer than computing a small matrix. glibc's thresholds rise to the
    largest block that was ever given back.
    """
    np.empty(KEPT_BYTES, np.uint8)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(BLOCK_BYTES):
        # a row longer than LONGEST_ROW comes in parts, which are refused because their lengths differ
        yield chunk if chunk.endswith(b"\n") else chunk + file.readline(LONGEST_ROW)


@dataclass(frozen=True)
class Layout:
    """How a file separates its numbers, seen in its first line. Spreadsheet programs save in other ways than they read.

    >>> Layout.of(b"0,5;1,25;;" + bytes([13, 10]))
    Layout(separator=b';', surplus=2)
    """

    separator: bytes
    surplus: int  # separators after a row's last number

    @classmethod
    def of(cls, chunk: bytes) -> Layout:
        line = chunk[: chunk.find(b"\n") + 1 or None].rstrip(b"\r\n")
        separator = next((mark for mark in (b";", b"\t") if mark in line), b",")
        return cls(separator, len(line) - len(line.rstrip(separator)))

    def columns(self, chunk: bytes) -> int:
        """How many numbers the first line holds."""
        return chunk.partition(b"\n")[0].count(self.separator) - self.surplus + 1

    def plain(self, chunk: bytes) -> bytes:
        """The same rows with `,` between numbers, `.` in numbers and a bare newline at the end of a row."""
        text = chunk.removeprefix(BYTE_ORDER_MARK)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if b'"' in text:
            text = text.replace(b'"', b"")
        if self.separator == b";":  # where Excel separates with `;`, it writes 0,5 for a half
            text = text.replace(b",", b".")
        if self.separator != b",":
            text = text.replace(self.separator, b",")
        if self.surplus:
            text = re.sub(b",{%d}(?=\n|$)" % self.surplus, b"", text)
        if b" " in text:
            text = re.sub(rb" *([,\n]) *", rb"\1", text).strip(b" ")
        return text


def _parse(text: bytes, length: int, columns: int, dtype: np.dtype) -> np.ndarray | None:
    """The rows in text[:length], [rows, columns]; None where a row is too short or long, or not all finite numbers."""
    if not length:
        return np.empty((0, columns), dtype)
    numbers = _parse_json(text[:length], columns)
    if numbers is not None and dtype == np.float32:
        numbers = _singles(numbers)
    return _parse_any(text[:length], columns, dtype) if numbers is None else numbers


def _parse_json(text: bytes, columns: int) -> np.ndarray | None:
    """The rows as doubles, read as a JSON array of arrays; None where JSON refuses them or reads them otherwise.

    simdjson reads a gigabyte a second. JSON has no `+1`, `.5`, `1.` and `01`, and `-0` is an integer, without its sign.
    """
    simdjson = _simdjson()
    if simdjson is None or b"[" in text:
        return None
    try:
        rows = simdjson.Parser().parse(b"".join((b"[[", text.replace(b"\n", b"],["), b"]]")))
        if any(len(row) != columns for row in rows):
            return None
        numbers = np.frombuffer(rows.as_buffer(of_type="d"))
    except (ValueError, TypeError, RuntimeError):
        return None
    if not numbers.all() and INTEGER_MINUS_ZERO.search(text):
        return None
    return numbers.reshape(-1, columns)


@cache
def _simdjson():
    try:
        import simdjson
    except ImportError:  # there are no builds for the newest Pythons
        return None
    return simdjson


def _singles(doubles: np.ndarray) -> np.ndarray | None:
    """Doubles rounded to float32; None where that might differ from rounding their decimals.

    Only a double that lies exactly between two floats may have been rounded towards it from either side.
    """
    bits = doubles.view(np.uint64)
    if ((bits & BITS_BELOW_FLOAT32) == BETWEEN_FLOATS).any():
        return None
    with np.errstate(over="ignore", under="ignore"):
        singles = doubles.astype(np.float32)
    subnormal = np.abs(singles) <= np.finfo(np.float32).tiny  # or zero; there, floats lie further apart
    return None if doubles[subnormal].any() or not np.isfinite(singles).all() else singles


def _parse_any(text: bytes, columns: int, dtype: np.dtype) -> np.ndarray | None:
    """As `_parse`, for all ways of writing a number: by polars, as one long column, at less than half the speed."""
    import polars as pl

    if any(line.count(b",") != columns - 1 for line in text.split(b"\n")):
        return None
    kind = pl.Float32 if dtype == np.float32 else pl.Float64
    cells = text.replace(b",", b"\n")
    try:
        frame = pl.read_csv(cells, has_header=False, schema={"number": kind}, quote_char=None)
    except pl.exceptions.PolarsError:
        return None
    numbers = frame["number"].to_numpy()
    if len(numbers) % columns or numbers.dtype != dtype or not np.isfinite(numbers).all():
        return None
    return numbers.reshape(-1, columns)


def _fault(text: bytes, rows: int, columns: int, dtype: np.dtype, ended: bool) -> str:
    """What is wrong with these rows, which follow `rows` good ones, and where."""
    lines = text.split(b"\n")
    torn = lines.pop() != b""  # no line end at the end
    if torn:
        lines = text.split(b"\n")
    for number, line in enumerate(lines, start=rows + 1):
        if ended or not line.strip(b", "):
            return f"row {number} follows or is a blank row: blank rows may only stand at the end; delete them"
        cells = line.split(b",")
        wrong = next((i for i, cell in enumerate(cells) if not _is_number(cell, dtype)), None)
        if wrong is not None:
            return f"row {number}, column {wrong + 1}{_complaint(cells, wrong, first=number == 1)}"
        if len(cells) != columns:
            why = "the file is torn" if torn and number == rows + len(lines) else "a row was damaged"
            return f"row {number} has {len(cells):,} numbers, row 1 has {columns:,}: {why}; get or convert it again"
    return f"rows {rows + 1} to {rows + len(lines)} cannot be read as numbers: get or convert the file again"


def _is_number(cell: bytes, dtype: np.dtype) -> bool:
    return bool(NUMBER.fullmatch(cell)) and abs(float(cell)) <= float(np.finfo(dtype).max)


def _complaint(cells: list[bytes], wrong: int, *, first: bool) -> str:
    cell = cells[wrong].strip()
    shown = repr(cell[:40].decode("utf-8", "replace"))
    if NUMBER.fullmatch(cell):
        return f" holds {shown}, which is too large: get or convert the file again"
    if NOT_FINITE.fullmatch(cell):
        return f" holds {shown}, which is no finite number: get or convert the file again"
    if not cell:
        return " is blank: type the number, or get or convert the file again"
    if first and sum(not NUMBER.fullmatch(other.strip()) for other in cells) > len(cells) // 2:
        return f" holds {shown}: weight files have no header; delete row 1"
    return f" holds {shown}, which is no number: correct it, or get or convert the file again"
