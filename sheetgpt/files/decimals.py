"""A matrix as lines of decimals and back: the shortest decimals that give back the same number, bit for bit.

orjson formats, taking a row of numbers for JSON; `parse` parses. Here too: how spreadsheet programs change such a file
on saving it, and what is wrong with one that does not hold a matrix.
What the numbers mean, which files there are and which shapes they should have is left to others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from sheetgpt.errors import CellError, WeightsError
from sheetgpt.files.parse import parse
from sheetgpt.files.text import separator_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike

# numbers formatted and bytes parsed at a time: both fit the processor's cache, with what is made of them
BLOCK_NUMBERS = 1 << 16
BLOCK_BYTES = 1 << 19
LONGEST_ROW = 1 << 26  # bytes
LONG_ROW = 64  # numbers; shorter rows are cut out of one text
KEPT_BYTES = (1 << 25) - (1 << 16)  # a little less than the most that glibc's thresholds rise to
TAIL_BYTES = 1 << 18  # where blank lines at a file's end are looked for
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEWLINE = ord("\n")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
GET_AGAIN = "get or convert the file again"
SHOWN = 40  # characters of a cell that an error shows
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


def _formatted(matrix: np.ndarray, separator: bytes, allow_nonfinite: bool) -> Iterator[list[bytes]]:
    numbers = np.asarray(matrix)
    if numbers.ndim != 2 or numbers.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected a float32 or float64 matrix, not {numbers.dtype} with {numbers.ndim} axes")
    step = max(1, BLOCK_NUMBERS // max(1, numbers.shape[1]))
    keep_freed_memory()
    for start in range(0, len(numbers), step):
        block = np.require(numbers[start : start + step], requirements=("C_CONTIGUOUS", "ALIGNED"))
        lines = _json_lines(block)
        if not np.isfinite(block).all():
            if not allow_nonfinite:
                row, column = np.argwhere(~np.isfinite(block))[0]
                found = block[row, column]
                raise ValueError(f"row {start + row + 1}, column {column + 1} is {found}, which is no number")
            lines = [_without_nulls(*pair) for pair in zip(lines, block, strict=True)]
        yield lines if separator == b"," else [line.replace(b",", separator) for line in lines]


def _json_lines(block: np.ndarray) -> list[bytes]:
    """The rows as JSON has them, `null` for what is not finite: all at once where they are short, else one by one."""
    from orjson import OPT_SERIALIZE_NUMPY, dumps

    if block.shape[1] < LONG_ROW:
        return dumps(block, option=OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
    return [dumps(row, option=OPT_SERIALIZE_NUMPY)[1:-1] for row in block]


def _without_nulls(line: bytes, row: np.ndarray) -> bytes:
    names = [b"NaN" if np.isnan(number) else b"%f" % number for number in row[~np.isfinite(row)]]
    return b"".join(chain(*zip_longest(line.split(b"null"), names, fillvalue=b"")))


def read_matrix(path: Path, dtype: DTypeLike) -> np.ndarray:
    """The numbers in a file of decimals, [rows, columns] in C order. Raises WeightsError naming row and column.

    float32 is parsed as float32: parsing a double first and rounding it would move one number in some hundred million.
    """
    with path.open("rb") as file:
        return np.concatenate(list(read_blocks(file, str(path), dtype)))


def read_blocks(
    file: BinaryIO, name: str, dtype: DTypeLike, seen: Callable[[bytes], object] | None = None
) -> Iterator[np.ndarray]:
    """Blocks of whole rows, [some rows, columns] each. `seen` is given every byte as it is read."""
    return (block for _, block in read_text(file, name, dtype, seen))


def read_text(
    file: BinaryIO, name: str, dtype: DTypeLike, seen: Callable[[bytes], object] | None = None
) -> Iterator[tuple[bytes, np.ndarray]]:
    """Blocks of whole rows: (their decimals as they stand, plainly separated; their numbers, [some rows, columns])."""
    kind = np.dtype(dtype)
    layout: Layout | None = None
    columns, rows, ended = 0, 0, False
    keep_freed_memory()
    for chunk in _whole_lines(file):
        if seen:
            seen(chunk)
        layout = layout or Layout.of(chunk)
        columns = columns or layout.columns(chunk)
        text = layout.plain(chunk)
        filled = _filled(text)
        block = parse(text[:filled], columns, kind)
        if block is None or (ended and len(block)):
            raise _fault(name, text, rows, columns, kind, ended)
        rows += len(block)
        ended = ended or len(text) > filled + 1  # blank lines may only stand at the end
        if len(block):
            yield text if len(text) == filled + 1 else text[:filled] + b"\n", block
    if not rows:
        raise WeightsError("holds no numbers", where=name, remedy="the file is empty or torn; get or convert it again")


def _filled(text: bytes) -> int:
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
        separator = separator_of(line.decode("latin-1")).encode()
        return cls(separator, len(line) - len(line.rstrip(separator)))

    def columns(self, chunk: bytes) -> int:
        """How many numbers the first line holds."""
        return chunk.partition(b"\n")[0].count(self.separator) - self.surplus + 1

    def plain(self, chunk: bytes) -> bytes:
        """The same rows with `,` between numbers, `.` in numbers and a bare newline at the end of a row."""
        text = chunk.removeprefix(BYTE_ORDER_MARK)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
        if b'"' in text:  # around a whole cell; elsewhere it stays, and is refused as no number
            text = re.sub(rb'(?<![^%b\n])"([^"%b\n]*)"(?![^%b\n])' % ((self.separator,) * 3), rb"\1", text)
        if self.separator != b",":  # where Excel separates with `;`, it writes 0,5 for a half
            text = text.replace(b",", b".")
        if self.separator != b",":
            text = text.replace(self.separator, b",")
        if self.surplus:
            text = re.sub(b",{%d}(?=\n|$)" % self.surplus, b"", text)
        if b" " in text:
            text = re.sub(rb" *([,\n]) *", rb"\1", text).strip(b" ")
        return text


def _fault(name: str, text: bytes, rows: int, columns: int, dtype: np.dtype, ended: bool) -> WeightsError:
    """What is wrong with these rows, which follow `rows` good ones, and where."""
    lines = text.split(b"\n")
    torn = lines.pop() != b""  # no line end at the end
    if torn:
        lines = text.split(b"\n")
    for number, line in enumerate(lines, start=rows + 1):
        where = f"{name}, row {number}"
        if ended or not line.strip(b", "):
            remedy = "blank rows may only stand at the end; delete them"
            return WeightsError("follows or is a blank row", where=where, remedy=remedy)
        cells = line.split(b",")
        wrong = next((i for i, cell in enumerate(cells) if not _is_number(cell, dtype)), None)
        if wrong is not None:
            what, remedy = _complaint(cells, wrong, first=number == 1)
            cell = cells[wrong].strip()[:SHOWN].decode("utf-8", "replace")
            return CellError(what, cell=cell, where=f"{where}, column {wrong + 1}", remedy=remedy)
        if len(cells) != columns:
            why = "the file is torn" if torn and number == rows + len(lines) else "a row was damaged"
            what = f"has {len(cells):,} numbers, row 1 has {columns:,}"
            return WeightsError(what, where=where, remedy=f"{why}; get or convert it again")
    where = f"{name}, rows {rows + 1} to {rows + len(lines)}"
    return WeightsError("cannot be read as numbers", where=where, remedy=GET_AGAIN)


def _is_number(cell: bytes, dtype: np.dtype) -> bool:
    return bool(NUMBER.fullmatch(cell)) and abs(float(cell)) <= float(np.finfo(dtype).max)


def _complaint(cells: list[bytes], wrong: int, *, first: bool) -> tuple[str, str]:
    """(what is wrong with a cell, the way out)."""
    cell = cells[wrong].strip()
    shown = repr(cell[:SHOWN].decode("utf-8", "replace"))
    if NUMBER.fullmatch(cell):
        return f"holds {shown}, which is too large", GET_AGAIN
    if NOT_FINITE.fullmatch(cell):
        return f"holds {shown}, which is no finite number", GET_AGAIN
    if not cell:
        return "is blank", "type the number, or get or convert the file again"
    if first and sum(not NUMBER.fullmatch(other.strip()) for other in cells) > len(cells) // 2:
        return f"holds {shown}", "weight files have no header; delete row 1"
    return f"holds {shown}, which is no number", "correct it, or get or convert the file again"
