"""Rectangles of numbers and formulas, put into the sheets of a workbook that XlsxWriter made.

XlsxWriter writes everything but the numbers of the matrices: where a rectangle's row begins, it leaves one blank cell
that carries the rectangle's style. `fill` copies the package and writes the rectangle's cells in its place. So a cell
costs the formatting of its number and little else, numbers are the shortest decimals that give back the same double,
and no more than some rows are held at a time. The copy has fixed dates: the same content gives the same bytes.

Every cell says its address, as some readers don't count cells on, but where `Numbers` is asked not to. A rectangle
writes its columns' letters, which are the same in each row, and leaves the row's number to be put in at once for all of
them.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from xlsxwriter.utility import xl_cell_to_rowcol

try:
    from isal import isal_zlib
except ImportError:  # there are no builds for some machines
    isal_zlib = None  # type: ignore[assignment]

from sheetgpt.files import decimals
from sheetgpt.workbook.grid import Area, cell, column_letters

COMPRESSION = 1  # of 1 to 9: higher levels take up to four times as long for a file a tenth smaller
NUMBERS_AT_A_TIME = 1 << 19
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows
RAW = -15  # a deflated stream without a head, as zip files hold it
FAR = 2**31  # bytes of a sheet beyond which a zip file needs its long form
BYTES_A_CELL = 64  # more than any cell without a formula takes
PIECE = 1 << 18
ROW = b"\0"  # stands in a rectangle's XML for the number of its row, as no text can: `escaped_controls`
CLOSING = b"</v></c>"
ESCAPE_LIKE = re.compile(r"(_x[0-9A-Fa-f]{4}_)")
NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
EMPTY_TEXT = re.compile(rb'<c (r="[A-Z]+[0-9]+" s="[0-9]+")>(<f[^>]*>[^<]*</f>)<v></v>')
SPACED_TEXT = re.compile(rb"<v>(\s[^<]*|[^<]*\s)</v>")
DIMENSION = re.compile(rb'<dimension ref="(?:[A-Z]+[0-9]+:)?([A-Z]+[0-9]+)"/>')
SPANS = re.compile(rb' spans="[0-9]+:[0-9]+"')
KEEP_SPACES = b' xml:space="preserve"'
NO_CHARACTERS = {"\ufffe": "_xFFFE_", "\uffff": "_xFFFF_"}  # XML can't hold these two; Excel escapes them so


class Rectangle(Protocol):
    """Cells that belong together, row by row."""

    @property
    def area(self) -> Area: ...

    def rows(self, style: bytes) -> Iterator[bytes]:
        """The XML of each row's cells, `<c r="A{ROW}" s="STYLE">...</c><c r="B{ROW}" ...`, from left to right."""


@lru_cache(maxsize=256)
def openings(column: int, columns: int, style: bytes) -> tuple[bytes, ...]:
    r"""How the cells of a row begin, up to their types, from a column on.

    >>> openings(25, 2, b"7")
    (b'<c r="Z\x00" s="7"', b'<c r="AA\x00" s="7"')
    """
    letters = [column_letters(i).encode() for i in range(column, column + columns)]
    return tuple([b'<c r="%s%s" s="%s"' % (letter, ROW, style) for letter in letters])


@lru_cache(maxsize=256)
def around_numbers(column: int, columns: int, style: bytes) -> tuple[bytes, ...]:
    r"""What stands before, between and behind the numbers of a row of plain cells, with a gap for each number.

    >>> around_numbers(0, 2, b"7")
    (b'<c r="A\x00" s="7"><v>', b'', b'</v></c><c r="B\x00" s="7"><v>', b'', b'</v></c>')
    """
    parts = [b""] * (2 * columns + 1)
    parts[::2] = [*(CLOSING + opening + b"><v>" for opening in openings(column, columns, style)), CLOSING]
    return (parts[0].removeprefix(CLOSING), *parts[1:])


def counted_on(parts: Sequence[bytes], style: bytes) -> list[bytes]:
    r"""The same, with an address in the first cell only: readers count the others on.

    >>> counted_on(around_numbers(0, 2, b"7"), b"7")
    [b'<c r="A\x00" s="7"><v>', b'', b'</v></c><c s="7"><v>', b'', b'</v></c>']
    """
    between = CLOSING + b'<c s="%s"><v>' % style
    return [between if 0 < i < len(parts) - 1 and part else part for i, part in enumerate(parts)]


def number_rows(area: Area, style: bytes, lines: Iterable[bytes], *, addressed: bool = True) -> Iterator[bytes]:
    """Rows of plain cells. lines: the numbers of each, with commas between; addressed: does each say its address?"""
    parts = list(around_numbers(area.column, area.columns, style))
    parts = parts if addressed else counted_on(parts, style)
    if area.columns == 1:
        yield from [parts[0] + line + parts[2] for line in lines]
        return
    for line in lines:
        parts[1::2] = line.split(b",")
        yield b"".join(parts)


@dataclass(frozen=True)
class Numbers:
    """A matrix of floats [rows, columns]. NaN and the infinities stand as the texts NaN, inf, -inf."""

    area: Area
    matrix: np.ndarray
    addressed: bool = True  # does each cell say its address, and not a row's first one only?

    def rows(self, style: bytes) -> Iterator[bytes]:
        step = max(1, NUMBERS_AT_A_TIME // max(1, self.matrix.shape[1]))
        for start in range(0, len(self.matrix), step):
            chunk = self.matrix[start : start + step]
            lines = decimals.to_lines(chunk, allow_nonfinite=True)
            rows = number_rows(self.area, style, lines, addressed=self.addressed)
            yield from rows if np.isfinite(chunk).all() else map(_as_text, rows)


def _as_text(cells: bytes) -> bytes:
    for word in (b"NaN", b"inf", b"-inf"):
        cells = cells.replace(b"><v>%s</v>" % word, b' t="str"><v>%s</v>' % word)
    return cells


@dataclass(frozen=True)
class Counts:
    """One row of whole numbers from 0: the labels of dimensions."""

    area: Area
    start: int = 0

    def rows(self, style: bytes) -> Iterator[bytes]:
        numbers = b",".join([b"%d" % i for i in range(self.start, self.start + self.area.columns)])
        yield from number_rows(self.area, style, [numbers])


@dataclass(frozen=True)
class Table:
    """A long table of texts, floats and whole numbers, by columns: nothing else may stand in its rows.

    Only its first row is marked, by a blank cell a column: the rows below are written whole.
    """

    area: Area
    columns: Sequence[Sequence[Any] | np.ndarray]

    def lines(self, styles: Sequence[bytes]) -> Iterator[bytes]:
        """The XML of each row's cells."""
        areas = [self.area.part(column=i, columns=1) for i in range(len(self.columns))]
        kinds = [_column_cells(*one) for one in zip(areas, self.columns, styles, strict=True)]
        return map(b"".join, zip(*kinds, strict=True))


def _column_cells(area: Area, column: Sequence[Any] | np.ndarray, style: bytes) -> list[bytes]:
    if isinstance(column, np.ndarray):
        return list(Numbers(area, column[:, None]).rows(style))
    [opening] = openings(area.column, 1, style)
    if isinstance(column[0], str):
        before, after = b'%s t="inlineStr"><is><t xml:space="preserve">' % opening, b"</t></is></c>"
        texts = escape("\0".join(map(escaped_controls, column)), quote=False).encode().split(b"\0")  # all in one go
        return [before + text + after for text in texts]
    return [b"%s><v>%d</v></c>" % (opening, number) for number in column]


@dataclass(frozen=True)
class Formulas:
    """Formulas with their cached values.

    formulas: (row, column, rows, columns) of each piece, counted from the area's first cell, and its formula without
    `=`; each becomes an array formula. values: what they give, row by row; None is an empty cell.
    """

    area: Area
    values: Sequence[Sequence[float | str | None]]
    formulas: Mapping[tuple[int, int, int, int], str]

    def rows(self, style: bytes) -> Iterator[bytes]:
        anchors: dict[int, dict[int, bytes]] = {}
        for (row, column, rows, columns), formula in self.formulas.items():
            ref = self.area.part(row, column, rows, columns).range()
            text = f'<f t="array" ref="{ref}">{escape(formula, quote=False)}</f>'.encode()
            anchors.setdefault(row, {})[column] = text
        begins = openings(self.area.column, self.area.columns, style)
        for number, values in enumerate(self.values):
            here = anchors.get(number, {})
            cells = enumerate(zip(begins, values, strict=True))
            yield b"".join([_cell(opening, value, here.get(column, b"")) for column, (opening, value) in cells])


def _cell(opening: bytes, value: float | str | None, formula: bytes = b"") -> bytes:
    if value is None or isinstance(value, str):
        text = escape(escaped_controls(value or ""), quote=False).encode()
        space = KEEP_SPACES if text != text.strip() else b""
        return b'%s t="str">%s<v%s>%s</v></c>' % (opening, formula, space, text)
    if not np.isfinite(value):
        return b'%s t="e">%s<v>#NUM!</v></c>' % (opening, formula)
    return b"%s>%s<v>%s</v></c>" % (opening, formula, repr(float(value)).encode())


Filling = Rectangle | Table


def fill(skeleton: BinaryIO, path: Path, fillings: Sequence[Filling], tab_files: Mapping[str, str]) -> None:
    """Copy the package `skeleton` to `path` with every rectangle's cells in place.

    tab_files: the file inside the package of each tab that holds rectangles.
    """
    by_file: dict[str, list[Filling]] = {}
    for filling in fillings:
        by_file.setdefault(tab_files[filling.area.tab], []).append(filling)
    with ZipFile(skeleton) as source, ZipFile(path, "w", ZIP_DEFLATED, compresslevel=COMPRESSION) as target:
        for name in source.namelist():
            inside = by_file.get(name, [])
            content = corrected(name, source.read(name), [one.area for one in inside])
            size = len(content) + BYTES_A_CELL * sum(one.area.rows * one.area.columns for one in inside)
            with target.open(dateless(name), "w", force_zip64=size > FAR) as file:
                compress_quickly(file)
                for text in joined(filled(content, inside)):
                    file.write(text)


def dateless(name: str) -> ZipInfo:
    """What the package says of a part."""
    info = ZipInfo(name, DATE)
    info.compress_type = ZIP_DEFLATED
    info._compresslevel = COMPRESSION  # type: ignore[attr-defined]  # noqa: SLF001 - no public way before Python 3.13
    return info


def compress_quickly(file: Any) -> None:
    """Let a part of a package in the making be deflated by ISA-L, where it is there: in a third of zlib's time."""
    if isal_zlib is not None:
        file._compressor = isal_zlib.compressobj(COMPRESSION, isal_zlib.DEFLATED, RAW)  # noqa: SLF001 - no public way


def corrected(name: str, content: bytes, areas: Sequence[Area]) -> bytes:
    """A part of the package with what XlsxWriter can't know or gets wrong."""
    if name == "xl/sharedStrings.xml":
        for character, text in NO_CHARACTERS.items():
            content = content.replace(character.encode(), text.encode())
    elif name.startswith("xl/worksheets/sheet"):
        content = with_extent(with_cached_texts(content), areas)
    return content


def with_cached_texts(sheet: bytes) -> bytes:
    """The sheet with what XlsxWriter leaves out of cached texts: that an empty one is a text, and to keep outer spaces.

    Without it LibreOffice computes the former anew and trims the latter.
    """
    marked = EMPTY_TEXT.sub(rb'<c \1 t="str">\2<v></v>', sheet)
    return SPACED_TEXT.sub(rb"<v%s>\1</v>" % KEEP_SPACES, marked)


def with_extent(sheet: bytes, areas: Sequence[Area]) -> bytes:
    """The sheet with what it says of its extent made true: XlsxWriter hasn't seen the cells of these areas."""
    corner = DIMENSION.search(sheet)
    if not corner or not areas:
        return sheet
    row, column = xl_cell_to_rowcol(corner[1].decode())
    last_row = max([row, *(area.row + area.rows - 1 for area in areas)])
    last_column = max([column, *(area.column + area.columns - 1 for area in areas)])
    extent = f'<dimension ref="A1:{cell(last_row, last_column)}"/>'.encode()
    return SPANS.sub(b"", sheet.replace(corner[0], extent, 1))


def filled(sheet: bytes, rectangles: Sequence[Filling]) -> Iterator[bytes]:
    """A sheet's XML, piece by piece, with the rectangles' cells where their blank cells stood."""
    at = 0
    lines: dict[int, Iterator[bytes]] = {}
    for row, column, number in heapq.merge(*(_starts(i, r) for i, r in enumerate(rectangles))):
        rectangle = rectangles[number]
        start = sheet.index(b'<c r="%s" s="' % cell(row, column).encode(), at)
        yield sheet[at:start]
        if isinstance(rectangle, Table):
            at = sheet.index(b"</row>", start)
            yield from _whole_rows(rectangle, re.findall(rb's="(\d+)"/>', sheet[start:at]))
            continue
        at = sheet.index(b'"/>', start) + 3
        if number not in lines:
            style = sheet[start : at - 3].rpartition(b'"')[2]
            lines[number] = rectangle.rows(style)
        yield next(lines[number]).replace(ROW, b"%d" % (row + 1))
    yield sheet[at:]


def _whole_rows(table: Table, styles: Sequence[bytes]) -> Iterator[bytes]:
    """The rows of a table, without the first one's begin and the last one's end."""
    between = b""
    for number, cells in enumerate(table.lines(styles), start=table.area.row + 1):
        yield (between + cells).replace(ROW, b"%d" % number)
        between = b'</row><row r="%s">' % ROW


def _starts(number: int, rectangle: Filling) -> Iterator[tuple[int, int, int]]:
    area = rectangle.area
    rows = 1 if isinstance(rectangle, Table) else area.rows
    return ((area.row + i, area.column, number) for i in range(rows if area.columns else 0))


def joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of a size that costs little to compress and write one by one."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size > PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def escaped_controls(text: str) -> str:
    r"""A text with the characters that XML can't hold as Excel writes them.

    >>> escaped_controls("a\x01b"), escaped_controls("_x0041_")
    ('a_x0001_b', '_x005F_x0041_')
    """
    if text.isprintable() and "_x" not in text:  # as nearly all are
        return text
    safe = ESCAPE_LIKE.sub(r"_x005F\1", text)
    return NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", safe)
