"""The cells of a tab of an .xlsx as the file has them: numbers whatever their format, errors, formulas without values.

python-calamine makes dates of numbers that are displayed so, rounded to a thousandth of a second, and takes five times
the time and memory that the numbers take. Here rows of plain cells are cut by pattern, those of like cells at once; all
others go through Python's XML parser, which therefore sees a sheet without those rows. The file's parts belong in
`reach` and `names`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import compress
from operator import not_
from typing import IO
from xml.parsers import expat

import numpy as np
from xlsxwriter.utility import xl_cell_to_rowcol

from sheetgpt.files.parse import parse
from sheetgpt.workbook.grid import MAX_COLUMNS, column_letters
from sheetgpt.workbook.reading.serial import serial_in
from sheetgpt.workbook.reading.tab import UNSAVED, Cells

STRETCH = 1 << 20
NUMBER, SHARED_TEXT, INLINE, LOGICAL, DATE = "n", "s", "inlineStr", "b", "d"
PLAIN = {None, b"n", b"s", b"str", b"inlineStr", b"b", b"e"}  # types of cells that need no XML parser
ROW = re.compile(rb'<row(?: r="(\d+)")?[^>]*>')
CELL = re.compile(
    rb'<c(?: r="([A-Z]+)(\d+)")?(?: s="\d+")?(?: t="(?:n|(\w+))")?>'
    rb'(?:<f(?: aca="\w+")?(?: t="array")?(?: ref="[A-Z\d:]+")?(?: aca="\w+")?>([^<]*)</f>)?'
    rb'<(?:v|is><t)(?: xml:space="preserve")?>([^<]*)</(?:v|t></is)></c>'
)
LETTERS, DIGITS, KIND, FORMULA, VALUE, PIECES = 1, 2, 3, 4, 5, 6  # what CELL splits a row into, over and over
NUMBER_CHARACTERS = b"0123456789+-.eE,"
NO_NUMBERS = np.empty(0)
CLOSED, OPENED = b"</v></c>", b"<v>"
OPENING = b'<c r="'
SHORT = 400  # bytes of a row up to which Python takes less time for its cells than whoever takes many at once
ADDRESSED = re.compile(rb'</v></c><c r="([A-Z]{1,3})(\d{1,7})("(?: s="\d+")?><v>)')
DECLARED = re.compile(rb"""<\?xml[^>]*encoding=["'](?!utf-8)""", re.IGNORECASE)

Texts = Sequence[str]
ReadTexts = Callable[[IO[bytes]], Iterable[str]]


def read_cells(part: IO[bytes], room: tuple[int, int], texts: Callable[[], Texts]) -> Cells:
    """The cells of a sheet's XML. room: rows and columns that it is likely to have. texts: the shared ones."""
    sheet = Sheet(Cells.of(*room), texts)
    rest = part.read(STRETCH)
    if b"<sheetData" in rest and not DECLARED.match(rest):  # else the names of elements have a prefix, say
        while b"<!" not in rest:  # comments might hold anything
            whole, mark, rest = rest.rpartition(b"</row>")
            if mark:
                sheet.rows(whole.split(mark))
            chunk = part.read(STRETCH)
            if not chunk:
                break
            rest += chunk
    sheet.xml(rest)
    while chunk := part.read(STRETCH):
        sheet.xml(chunk)
    sheet.end()
    return sheet.cells


class Sheet:
    """A sheet's XML on its way into cells, by pattern and by parser."""

    def __init__(self, cells: Cells, texts: Callable[[], Texts]):
        self.cells, self._texts = cells, texts
        self._row, self._column = -1, -1
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._start, self._end
        self._parser.CharacterDataHandler = self._characters
        self._type, self._text, self._takes = NUMBER, "", False
        self._has_formula = False

    # -------------------------------------------------------------------------------------------- by pattern

    def rows(self, rows: Sequence[bytes]) -> None:
        """Whole rows, each without its closing tag; before the first one, whatever comes before."""
        for text in rows:
            start = text.rfind(b"<row")
            if start:
                self.xml(text[:start])
            opening = ROW.match(text, start)
            if opening is None or not self._plain_row(text[opening.end() :], opening[1]):
                self.xml(text[start:] + b"</row>")

    def _plain_row(self, body: bytes, number: bytes | None) -> bool:
        """Put a row of plain cells in; False where it is none."""
        row = self._row + 1 if number is None else int(number) - 1
        cells, more = without_repeats(body, row) if len(body) > SHORT else (body, [])
        pieces = CELL.split(cells)
        if any(pieces[::PIECES]) or not PLAIN.issuperset(pieces[KIND::PIECES]) or has_escapes(pieces[VALUE::PIECES]):
            return False
        if not {None, b"%d" % (row + 1)}.issuperset(pieces[DIGITS::PIECES]):  # a cell says that it is of another row
            return False
        columns = columns_of(pieces[LETTERS::PIECES])
        plain = list(zip(columns, *(pieces[i::PIECES] for i in (KIND, FORMULA, VALUE)), strict=True))
        is_number = [not kind and bool(value) for _, kind, _, value in plain]
        numbers = numbers_in([*compress(pieces[VALUE::PIECES], is_number), *more])
        if numbers is None:
            return False
        for column, kind, formula, value in compress(plain, map(not_, is_number)):
            self._put(row, column, (kind or b"n").decode(), value.decode(), formula=formula is not None)
        at, next_column = [*compress(columns, is_number)], columns[-1] + 1 if columns else 0
        self.cells.put_row(row, at, numbers[: len(at)])
        self.cells.put_row(row, range(next_column, next_column + len(numbers) - len(at)), numbers[len(at) :])
        self._row = row
        return True

    # -------------------------------------------------------------------------------------------- by parser

    def xml(self, text: bytes) -> None:
        self._parser.Parse(text, False)

    def end(self) -> None:
        self._parser.Parse(b"", True)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        match name.rpartition(" ")[2]:
            case "row":
                self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
                self._column = -1
            case "c":
                where = attributes.get("r")
                self._row, self._column = xl_cell_to_rowcol(where) if where else (self._row, self._column + 1)
                self._type, self._text, self._has_formula = attributes.get("t", NUMBER), "", False
            case "f":
                self._has_formula = True
            case "v" | "t":
                self._takes = True
            case "rPh":  # how a text is pronounced
                self._type = ""

    def _end(self, name: str) -> None:
        match name.rpartition(" ")[2]:
            case "v" | "t":
                self._takes = False
            case "rPh":
                self._type = INLINE
            case "c":
                self._put(self._row, self._column, self._type, self._text, formula=self._has_formula)

    def _characters(self, text: str) -> None:
        if self._takes and self._type:
            self._text += text

    # -------------------------------------------------------------------------------------------- cells

    def _put(self, row: int, column: int, kind: str, text: str, *, formula: bool) -> None:
        if not text:
            if formula and kind == NUMBER:
                self.cells.put(row, column, UNSAVED)
        elif kind == NUMBER:
            self.cells.put(row, column, float(text))
        elif kind == SHARED_TEXT:
            self.cells.put(row, column, self._texts()[int(text)])
        elif kind == LOGICAL:
            self.cells.put(row, column, text.strip() in ("1", "true"))
        elif kind == DATE:
            number = serial_in(text)
            self.cells.put(row, column, text if number is None else number)
        else:  # texts and errors
            self.cells.put(row, column, unescaped(text))


def without_repeats(row: bytes, number: int) -> tuple[bytes, list[bytes]]:
    """(a row's cells, the numbers in those after them, separated by commas): in our own workbooks most are alike.

    Alike are cells of the style of the last one, each in the column after the one before it; number: the row's.

    >>> without_repeats(b'<c r="B5" s="1"><v>1</v></c><c r="C5" s="1"><v>2</v></c><c r="D5" s="1"><v>.5</v></c>', 4)
    (b'<c r="B5" s="1"><v>1</v></c>', [b'2,.5'])
    >>> without_repeats(b'<c r="B5" s="1"><v>1</v></c><c s="2"><v>2</v></c><c s="2"><v>.5</v></c>', 4)
    (b'<c r="B5" s="1"><v>1</v></c>', [b'2,.5'])
    """
    start = row.rfind(CLOSED, 0, max(0, row.rfind(CLOSED)))
    between = row[start : row.rfind(OPENED) + len(OPENED)]
    if start < 0 or not between:
        return row, []
    found = ADDRESSED.fullmatch(between)
    if found is None:
        return unaddressed(row, between)
    return addressed(row, found) if int(found[2]) == number + 1 else (row, [])


def addressed(row: bytes, last: re.Match[bytes]) -> tuple[bytes, list[bytes]]:
    """`without_repeats` of cells that say their addresses. last: how the last one begins, as `ADDRESSED` has it."""
    opened = last[2] + last[3]  # the same in all of them, behind their letters
    start = row.rfind(OPENING, 0, row.find(opened)) + len(OPENING)
    cells = row[start : -len(CLOSED)].replace(CLOSED + OPENING, b":").replace(opened, b":").split(b":")
    end = column_in(last[1]) + 1
    if cells[::2] != all_letters()[max(0, end - len(cells) // 2) : end]:
        return row, []
    return row[:start] + cells[0] + opened + cells[1] + CLOSED, [b",".join(cells[3::2])]


@cache
def all_letters() -> list[bytes]:
    """What each column is called."""
    return [column_letters(column).encode() for column in range(MAX_COLUMNS)]


def unaddressed(row: bytes, between: bytes) -> tuple[bytes, list[bytes]]:
    """`without_repeats` of cells that say no address. between: what stands between two of their numbers."""
    first, found, rest = row.partition(between)
    numbers = rest[: -len(CLOSED)].replace(between, b",")
    if not found or b" r=" in between or b" t=" in between or b"<" in numbers:
        return row, []
    return first + CLOSED, [numbers]


def has_escapes(values: Iterable[bytes]) -> bool:
    """Stands in some value what XML reads as something else?"""
    text = b"".join(values)
    return b"&" in text or b"\r" in text


def numbers_in(values: Sequence[bytes]) -> np.ndarray | None:
    """The numbers in texts, some of them in one with commas between; None where one is none."""
    text = b",".join(values)
    if len(text) < SHORT and not text.translate(None, NUMBER_CHARACTERS):
        try:
            return np.array([*map(float, text.split(b","))]) if text else NO_NUMBERS
        except ValueError:
            return None
    numbers = parse(text, text.count(b",") + 1, np.dtype(np.float64)) if text else NO_NUMBERS
    return None if numbers is None else numbers.ravel()


def columns_of(letters: Iterable[bytes]) -> list[int]:
    """The columns of cells, counted on where a cell doesn't say its own.

    >>> columns_of([b"C", b"", None, b"AA"])
    [2, 3, 4, 26]
    """
    columns, column = [], -1
    for letter in letters:
        column = column_in(letter) if letter else column + 1
        columns.append(column)
    return columns


@cache
def column_in(letters: bytes) -> int:
    """A column's number.

    >>> column_in(b"A"), column_in(b"XFD")
    (0, 16383)
    """
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def unescaped(text: str) -> str:
    r"""A text without the escapes that .xlsx has for characters that XML has not.

    >>> unescaped("a_x000D_b"), unescaped("a_x005F_x000D_b"), unescaped("a_x")
    ('a\rb', 'a_x000D_b', 'a_x')
    """
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


# ------------------------------------------------------------------------------------------------ shared texts


def shared_texts(part: IO[bytes]) -> Iterator[str]:
    """The texts that cells share, by their numbers."""
    from xml.etree import ElementTree as ET

    for _, element in ET.iterparse(part):  # noqa: S314 - expat refuses expanding entities
        if element.tag.endswith("}si"):
            yield unescaped("".join(texts_in(element)))
            element.clear()


def texts_in(element: object) -> Iterator[str]:
    """The pieces of a text, without how it is pronounced."""
    for child in element:  # type: ignore[attr-defined]
        if child.tag.endswith("}t"):
            yield child.text or ""
        elif child.tag.endswith("}r"):
            yield from texts_in(child)
