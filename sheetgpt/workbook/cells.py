"""Rectangles of numbers and formulas, put into the sheets of a workbook that XlsxWriter made.

XlsxWriter writes everything but the numbers of the matrices: where a rectangle's row begins, it leaves one blank cell
that carries the rectangle's style. `fill` copies the package and writes the rectangle's cells in its place. So a cell
costs the formatting of its number and little else, numbers are the shortest decimals that give back the same double,
and no more than some rows are held at a time. The copy has fixed dates: the same content gives the same bytes.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from xlsxwriter.utility import xl_cell_to_rowcol

from sheetgpt.files import decimals
from sheetgpt.workbook.grid import Area, cell, column_letters

COMPRESSION = 1  # of 1 to 9: higher levels take up to four times as long for a file a tenth smaller
NUMBERS_AT_A_TIME = 1 << 19
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows
FAR = 2**31  # bytes of a sheet beyond which a zip file needs its long form
BYTES_A_CELL = 64  # more than any cell without a formula takes
PIECE = 1 << 18
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
        """The XML of each row's cells, `<c s="STYLE">...</c><c s="STYLE">...`, from left to right."""


@dataclass(frozen=True)
class Numbers:
    """A matrix of floats [rows, columns]. NaN and the infinities stand as the texts NaN, inf, -inf."""

    area: Area
    matrix: np.ndarray

    def rows(self, style: bytes) -> Iterator[bytes]:
        between = b'</v></c><c s="%s"><v>' % style
        row = b'<c s="%s"><v>%%s</v></c>' % style
        step = max(1, NUMBERS_AT_A_TIME // max(1, self.matrix.shape[1]))
        for start in range(0, len(self.matrix), step):
            chunk = self.matrix[start : start + step]
            finite = bool(np.isfinite(chunk).all())
            for line in decimals.to_lines(chunk, allow_nonfinite=True):
                cells = row % line.replace(b",", between)
                yield cells if finite else _as_text(cells, style)


def _as_text(cells: bytes, style: bytes) -> bytes:
    for word in (b"NaN", b"inf", b"-inf"):
        number = b'<c s="%s"><v>%s</v>' % (style, word)
        cells = cells.replace(number, b'<c s="%s" t="str"><v>%s</v>' % (style, word))
    return cells


@dataclass(frozen=True)
class Counts:
    """One row of whole numbers from 0: the labels of dimensions."""

    area: Area
    start: int = 0

    def rows(self, style: bytes) -> Iterator[bytes]:
        between = b'</v></c><c s="%s"><v>' % style
        numbers = b",".join([b"%d" % i for i in range(self.start, self.start + self.area.columns)])
        yield b'<c s="%s"><v>%s</v></c>' % (style, numbers.replace(b",", between))


@dataclass(frozen=True)
class Table:
    """A long table of texts, floats and whole numbers, by columns: nothing else may stand in its rows.

    Only its first row is marked, by a blank cell a column: the rows below are written whole.
    """

    area: Area
    columns: Sequence[Sequence[Any] | np.ndarray]

    def lines(self, styles: Sequence[bytes]) -> Iterator[bytes]:
        """The XML of each row's cells."""
        kinds = [_column_cells(column, style) for column, style in zip(self.columns, styles, strict=True)]
        return map(b"".join, zip(*kinds, strict=True))


def _column_cells(column: Sequence[Any] | np.ndarray, style: bytes) -> list[bytes]:
    if isinstance(column, np.ndarray):
        return list(Numbers(Area("", 0, 0, len(column), 1), column[:, None]).rows(style))
    if isinstance(column[0], str):
        text_cell = '<c s="%s" t="inlineStr"><is><t xml:space="preserve">{}</t></is></c>'.replace("%s", style.decode())
        return [text_cell.format(escape(escaped_controls(text), quote=False)).encode() for text in column]
    return [b'<c s="%s"><v>%d</v></c>' % (style, number) for number in column]


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
        for number, values in enumerate(self.values):
            here = anchors.get(number, {})
            yield b"".join([_cell(value, style, here.get(column, b"")) for column, value in enumerate(values)])


def _cell(value: float | str | None, style: bytes, formula: bytes = b"") -> bytes:
    if value is None or isinstance(value, str):
        text = escape(escaped_controls(value or ""), quote=False).encode()
        space = KEEP_SPACES if text != text.strip() else b""
        return b'<c s="%s" t="str">%s<v%s>%s</v></c>' % (style, formula, space, text)
    if not np.isfinite(value):
        return b'<c s="%s" t="e">%s<v>#NUM!</v></c>' % (style, formula)
    return b'<c s="%s">%s<v>%s</v></c>' % (style, formula, repr(float(value)).encode())


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
                for text in joined(filled(content, inside)):
                    file.write(text)


def dateless(name: str) -> ZipInfo:
    """What the package says of a part."""
    info = ZipInfo(name, DATE)
    info.compress_type = ZIP_DEFLATED
    info._compresslevel = COMPRESSION  # type: ignore[attr-defined]  # noqa: SLF001 - no public way before Python 3.13
    return info


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
        yield b'<c r="%s"' % cell(row, column).encode() + next(lines[number])[2:]
    yield sheet[at:]


def _whole_rows(table: Table, styles: Sequence[bytes]) -> Iterator[bytes]:
    """The rows of a table, without the first one's begin and the last one's end."""
    letters = column_letters(table.area.column)
    for number, cells in enumerate(table.lines(styles), start=table.area.row + 1):
        between = f'</row><row r="{number}">' if number > table.area.row + 1 else ""
        yield f'{between}<c r="{letters}{number}"'.encode() + cells[2:]


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
    safe = ESCAPE_LIKE.sub(r"_x005F\1", text)
    return NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", safe)
