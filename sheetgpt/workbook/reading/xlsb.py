"""The records of an .xlsb ([MS-XLSB] 2.1.4): tabs, defined names, how far a sheet reaches, and its cells.

calamine reads cells much quicker, but makes dates of numbers that are displayed so: only then they are read here.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator, Sequence

from sheetgpt.workbook.grid import Area

# records of the workbook part and of sheets, [MS-XLSB] 2.3; tokens of formulas, [MS-XLSB] 2.5.97
BUNDLE_SHEET, NAME, EXTERN_SHEET, SHEET_EXTENT = 156, 39, 362, 148
SUPPORTING_BOOKS, THIS_BOOK = (355, 357, 358, 667), 357
ROW, RK_NUMBER, ERRORS, LOGICALS, NUMBERS, TEXTS, SHARED_TEXT = 0, 2, (3, 11), (4, 10), (5, 9), (6, 8), 7
SHARED_ITEM = 19  # of the part of shared texts
ERROR_TEXTS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A",
               43: "#GETTING_DATA"}  # fmt: skip
UNION, PAREN, MEM_FUNC, REF_3D, AREA_3D = 0x10, 0x15, 0x29, 0x3A, 0x3B
COLUMN_BITS = 0x3FFF  # of a column's number; the others say what is fixed
WHOLE_WORKBOOK = 0xFFFFFFFF  # in place of a tab's number, in names


def records(part: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each record: both type and length are written in groups of seven bits."""
    at = 0
    while at < len(part):
        kind, at = seven_bits(part, at, 2)
        size, at = seven_bits(part, at, 4)
        yield kind, part[at : at + size]
        at += size


def seven_bits(part: bytes, at: int, most: int) -> tuple[int, int]:
    number = 0
    for i in range(most):
        byte = part[at]
        at += 1
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            break
    return number, at


def wide_text(record: bytes, at: int) -> tuple[str, int]:
    (count,) = struct.unpack_from("<I", record, at)
    end = at + 4 + 2 * (0 if count == 0xFFFFFFFF else count)
    return record[at + 4 : end].decode("utf-16-le"), end


def sheet(record: bytes) -> tuple[str, str]:
    """(a tab's name, the id of the relation that leads to its part), from a BUNDLE_SHEET."""
    relation, at = wide_text(record, 8)
    return wide_text(record, at)[0], relation


def sheets(workbook: bytes) -> list[tuple[str, str]]:
    """Each tab as `sheet` tells it."""
    return [sheet(record) for kind, record in records(workbook) if kind == BUNDLE_SHEET]


def reach(head: bytes) -> tuple[int, int]:
    """(rows, columns) up to a sheet's last cell, from the beginning of its part."""
    extents = (record for kind, record in records(head) if kind == SHEET_EXTENT)
    _, last_row, _, last_column = struct.unpack("<4I", next(extents, bytes(16)))
    return last_row + 1, last_column + 1


# ------------------------------------------------------------------------------------------------ cells


def cells(part: bytes, texts: Sequence[str]) -> Iterator[tuple[int, int, object]]:
    """(row, column, what it holds) of each filled cell of a sheet. texts: the shared ones."""
    kinds = {RK_NUMBER, SHARED_TEXT, *ERRORS, *LOGICALS, *NUMBERS, *TEXTS}
    return ((row, column, value(kind, record, texts)) for row, column, kind, record in placed(part, kinds))


def errors(part: bytes) -> Iterator[tuple[tuple[int, int], object]]:
    """((row, column), the error) of each cell of a sheet that holds one."""
    return (((row, column), value(kind, record, ())) for row, column, kind, record in placed(part, {*ERRORS}))


def placed(part: bytes, kinds: Container[int]) -> Iterator[tuple[int, int, int, bytes]]:
    """(row, column, type, record) of each cell of some types."""
    row = 0
    for kind, record in records(part):
        if kind == ROW:
            (row,) = struct.unpack_from("<I", record)
        elif kind in kinds:
            yield row, struct.unpack_from("<I", record)[0], kind, record


def value(kind: int, record: bytes, texts: Sequence[str]) -> object:
    """What a cell's record holds behind its column and its style."""
    if kind == RK_NUMBER:
        return compressed(struct.unpack_from("<I", record, 8)[0])
    if kind in NUMBERS:
        return struct.unpack_from("<d", record, 8)[0]
    if kind == SHARED_TEXT:
        return texts[struct.unpack_from("<I", record, 8)[0]]
    if kind in TEXTS:
        return wide_text(record, 8)[0]
    return bool(record[8]) if kind in LOGICALS else ERROR_TEXTS.get(record[8], "#N/A")


def compressed(number: int) -> float:
    """A number in 30 bits ([MS-XLSB] 2.5.122): the upper ones of a double or an integer, perhaps in hundredths.

    >>> compressed(3 << 2 | 2), compressed(150 << 2 | 3), compressed(0x3FF00000)
    (3.0, 1.5, 1.0)
    """
    bits = number & ~3
    found = float(struct.unpack("<i", struct.pack("<I", bits))[0] >> 2)
    if not number & 2:
        found = struct.unpack("<d", struct.pack("<Q", bits << 32))[0]
    return found / 100 if number & 1 else found


def shared_texts(part: bytes) -> Iterator[str]:
    """The texts that cells share, by their numbers."""
    return (wide_text(record, 1)[0] for kind, record in records(part) if kind == SHARED_ITEM)


# ------------------------------------------------------------------------------------------------ defined names


def names(workbook: bytes) -> Iterator[tuple[str, tuple[Area, ...], bool]]:
    """Each defined name, the areas that it points to, and whether it is of one tab; no areas for another formula."""
    tabs: list[str] = []
    books: list[int] = []
    extern: list[str | None] = []
    for kind, record in records(workbook):
        if kind == BUNDLE_SHEET:
            tabs.append(sheet(record)[0])
        elif kind in SUPPORTING_BOOKS:
            books.append(kind)
        elif kind == EXTERN_SHEET:
            for book, first, last in struct.iter_unpack("<Iii", record[4:]):
                here = book < len(books) and books[book] == THIS_BOOK and 0 <= first == last < len(tabs)
                extern.append(tabs[first] if here else None)
        elif kind == NAME:
            name, at = wide_text(record, 9)
            (size,) = struct.unpack_from("<I", record, at)
            (tab,) = struct.unpack_from("<I", record, 5)
            yield name, areas(record[at + 4 : at + 4 + size], extern), tab != WHOLE_WORKBOOK


def areas(formula: bytes, extern: Sequence[str | None]) -> tuple[Area, ...]:
    """The areas of a formula that is one area or a union of some; nothing where it is another formula."""
    found: list[Area | None] = []
    at = 0
    while at < len(formula):
        token = formula[at]
        if token >= 0x40:  # the same token as a value or an array
            token = token & 0x1F | 0x20
        if token in (UNION, PAREN):
            at += 1
        elif token == MEM_FUNC:
            at += 3
        elif token == REF_3D:
            tab, row, column = struct.unpack_from("<HIH", formula, at + 1)
            found.append(area(extern, tab, (row, row), (column, column)))
            at += 9
        elif token == AREA_3D:
            tab, row, last_row, column, last_column = struct.unpack_from("<HIIHH", formula, at + 1)
            found.append(area(extern, tab, (row, last_row), (column, last_column)))
            at += 15
        else:
            return ()
    known = tuple(one for one in found if one)
    return known if len(known) == len(found) else ()


def area(extern: Sequence[str | None], tab: int, rows: tuple[int, int], columns: tuple[int, int]) -> Area | None:
    """From first to last row and column; None where they stand in another workbook."""
    name = extern[tab] if tab < len(extern) else None
    first, last = (column & COLUMN_BITS for column in columns)
    return None if name is None else Area(name, rows[0], first, rows[1] - rows[0] + 1, last - first + 1)
