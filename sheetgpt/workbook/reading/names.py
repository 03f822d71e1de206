"""A workbook's defined names: where each points to. python-calamine doesn't tell, so they are read here, from the file.

Only names for one range, or several separated by commas, are of use; names for formulas and constants are passed over.
The cells themselves are `read`'s business.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET
from zipfile import BadZipFile, ZipFile

from sheetgpt.workbook.places import Area, column_number

TAB = r"(?:'((?:[^']|'')+)'|([^'!,:$]+))"
CELLS = r"\$?([A-Za-z]{1,3})\$?(\d{1,7})(?::\$?([A-Za-z]{1,3})\$?(\d{1,7}))?"
RANGE = re.compile(CELLS)
LIVE_RANGE = re.compile(rf"{TAB}![$A-Z0-9]+:INDEX\(([^,()]+),(\w+),(\w+)\)(?:,|$)")  # see `references.in_use`
EXCEL_RANGE = re.compile(TAB + "!" + CELLS + "(?:,|$)")
ODS_RANGE = re.compile(r"\$?" + TAB.replace("!,:$", "!,:$.~[") + r"\." + CELLS.replace("(?::", r"(?::\.?"))
ODS_NAME = re.compile(rb"<table:named-(range|expression) ([^>]*?)/?>")
ODS_ATTRIBUTE = re.compile(r'table:([\w-]+)="([^"]*)"')
STRETCH = 1 << 20

# records of an .xlsb's workbook part, [MS-XLSB] 2.3; tokens of its formulas, [MS-XLSB] 2.5.97
BUNDLE_SHEET, NAME, EXTERN_SHEET = 156, 39, 362
SUPPORTING_BOOKS, THIS_BOOK = (355, 357, 358, 667), 357
UNION, PAREN, MEM_FUNC, REF_3D, AREA_3D = 0x10, 0x15, 0x29, 0x3A, 0x3B


def defined_names(path: Path) -> dict[str, tuple[Area, ...]]:
    """Each name (in small letters) -> the areas it points to. A file that has none, or none that are read, gives {}."""
    try:
        with ZipFile(path) as archive:
            parts = archive.namelist()
            if "content.xml" in parts:
                found = ods_names(archive)
            elif (part := workbook_part(archive)).endswith(".bin"):
                found = xlsb_names(archive.read(part))
            else:
                found = xlsx_names(archive.read(part))
            return {name.lower(): areas for name, areas in found if areas}
    except (BadZipFile, KeyError, ET.ParseError, struct.error, OSError):
        return {}


def workbook_part(archive: ZipFile) -> str:
    """The part that lists tabs and names, as the package's relations name it."""
    relations = ET.fromstring(archive.read("_rels/.rels"))  # noqa: S314 - expat refuses expanding entities
    for relation in relations:
        if relation.get("Type", "").endswith("/officeDocument"):
            return relation.get("Target", "").removeprefix("/")
    return "xl/workbook.xml"


def to_area(tab: str, first_column: str, first_row: str, last_column: str | None, last_row: str | None) -> Area:
    row, column = int(first_row) - 1, column_number(first_column)
    last = (int(last_row) - 1, column_number(last_column)) if last_column else (row, column)
    return Area(tab, row, column, last[0] - row + 1, last[1] - column + 1)


def parse_range(text: str, tab: str) -> Area | None:
    """A range without its tab, such as `C5:BN12` or `$C$5`; None where it is none.

    >>> parse_range("C5:BN12", "block_0")
    Area(tab='block_0', row=4, column=2, rows=8, columns=64)
    """
    found = RANGE.fullmatch(text)
    area = to_area(tab, *found.groups()) if found else None
    return area if area and min(area.rows, area.columns) > 0 and area.row >= 0 else None


def excel_areas(text: str) -> tuple[Area, ...]:
    """`'My tab'!$C$4:$D$6,other!$A$1` as areas; nothing where it is something else.

    >>> [area.address() for area in excel_areas("block_0!$C$4:$D$6,b!$A$1")], excel_areas("SUM(a!$A$1)")
    (['block_0!$C$4:$D$6', 'b!$A$1'], ())
    """
    areas, at = [], 0
    while at < len(text):
        found = EXCEL_RANGE.match(text, at)
        if not found:
            return ()
        quoted, plain, *cells = found.groups()
        areas.append(to_area(plain or quoted.replace("''", "'"), *cells))
        at = found.end()
    return tuple(areas)


def live_areas(text: str, constants: Mapping[str, int]) -> tuple[Area, ...]:
    """The cells in use that a name of a live workbook stands for; nothing where it is something else.

    >>> text = "b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3),b!$G$5:INDEX(b!$G$5:$I$12,n_tokens,n_tokens)"
    >>> [area.address() for area in live_areas(text, {"n_tokens": 2})], live_areas("SUM(b!$A$1)", {})
    (['b!$C$5:$E$6', 'b!$G$5:$H$6'], ())
    """
    areas, at = [], 0
    while at < len(text):
        found = LIVE_RANGE.match(text, at)
        whole = excel_areas(found[3]) if found else ()
        sizes = (
            [int(size) if size.isdigit() else constants.get(size, 0) for size in found.groups()[3:]] if found else []
        )
        if len(whole) != 1 or not all(sizes):
            return ()
        areas.append(whole[0].part(rows=sizes[0], columns=sizes[1]))
        at = found.end()
    return tuple(areas)


def live_names(path: Path) -> dict[str, str]:
    """The names of a live workbook that stand for the cells in use, as they are written; {} for any other file."""
    try:
        with ZipFile(path) as archive:
            if "content.xml" in archive.namelist():
                texts = {name.lower(): excel_text(text) for name, text in ods_texts(archive)}
                return {name: text for name, text in texts.items() if LIVE_RANGE.match(text)}
            part = workbook_part(archive)
            names = ET.fromstring(archive.read(part)).iter() if part.endswith(".xml") else ()  # noqa: S314 - as above
            texts = {one.get("name", "").lower(): one.text or "" for one in names if one.tag.endswith("}definedName")}
            return {name: text for name, text in texts.items() if LIVE_RANGE.match(text)}
    except (BadZipFile, KeyError, ET.ParseError, OSError):
        return {}


def xlsx_names(workbook: bytes) -> Iterator[tuple[str, tuple[Area, ...]]]:
    for element in ET.fromstring(workbook).iter():  # noqa: S314 - as above
        if element.tag.endswith("}definedName"):
            yield element.get("name", ""), excel_areas((element.text or "").lstrip("="))


def ods_names(archive: ZipFile) -> Iterator[tuple[str, tuple[Area, ...]]]:
    return ((name, ods_areas(text)) for name, text in ods_texts(archive))


def excel_text(text: str) -> str:
    """What a name in an .ods stands for, as an .xlsx has it.

    >>> excel_text("of:=[$b.$C$5]:INDEX([$b.$C$5:.$E$12];n_tokens;3)~[$b.$G$5]")
    'b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3),b!$G$5'
    """
    plain = re.sub(r"\[\$?((?:'(?:[^']|'')+')|[^'.\]]+)\.([^\]]*)\]", r"\1!\2", text.removeprefix("of:="))
    return plain.replace(":.", ":").replace(";", ",").replace("~", ",")


def ods_texts(archive: ZipFile) -> Iterator[tuple[str, str]]:
    """Each name and what it stands for. LibreOffice writes them behind the cells, so the whole part streams by."""
    from html import unescape

    rest = b""
    with archive.open("content.xml") as file:
        while chunk := file.read(STRETCH):
            text, end = rest + chunk, 0
            for found in ODS_NAME.finditer(text):
                end = found.end()
                attributes = {k: unescape(v) for k, v in ODS_ATTRIBUTE.findall(found[2].decode("utf-8", "replace"))}
                where = attributes.get("cell-range-address") or attributes.get("expression", "")
                yield attributes.get("name", ""), where
            rest = text[max(end, len(text) - STRETCH // 16) :]


def ods_areas(text: str) -> tuple[Area, ...]:
    """`$block_0.$C$4:.$D$6`, or several in brackets with ~ between, as areas.

    >>> [area.address() for area in ods_areas("$'my tab'.$C$4:.$D$6")], ods_areas("of:=SUM([.A1])")
    (['my tab!$C$4:$D$6'], ())
    """
    pieces = [piece.strip("[]") for piece in text.removeprefix("of:=").split("~")]
    found = [ODS_RANGE.fullmatch(piece) for piece in pieces]
    if not all(found):
        return ()
    return tuple(
        to_area(plain or quoted.replace("''", "'"), *cells) for quoted, plain, *cells in map(re.Match.groups, found)
    )


# ------------------------------------------------------------------------------------------------ xlsb


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


def xlsb_names(part: bytes) -> Iterator[tuple[str, tuple[Area, ...]]]:
    tabs: list[str] = []
    books: list[int] = []
    extern: list[str | None] = []
    for kind, record in records(part):
        if kind == BUNDLE_SHEET:
            _, at = wide_text(record, 8)
            tabs.append(wide_text(record, at)[0])
        elif kind in SUPPORTING_BOOKS:
            books.append(kind)
        elif kind == EXTERN_SHEET:
            for book, first, last in struct.iter_unpack("<Iii", record[4:]):
                here = book < len(books) and books[book] == THIS_BOOK and 0 <= first == last < len(tabs)
                extern.append(tabs[first] if here else None)
        elif kind == NAME:
            name, at = wide_text(record, 9)
            (size,) = struct.unpack_from("<I", record, at)
            yield name, xlsb_areas(record[at + 4 : at + 4 + size], extern)


def xlsb_areas(formula: bytes, extern: list[str | None]) -> tuple[Area, ...]:
    """The areas of a formula that is one area or a union of some; nothing where it is another formula."""
    areas, at = [], 0
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
            areas.append((tab, row, row, column & 0x3FFF, column & 0x3FFF))
            at += 9
        elif token == AREA_3D:
            tab, row, last_row, column, last_column = struct.unpack_from("<HIIHH", formula, at + 1)
            areas.append((tab, row, last_row, column & 0x3FFF, last_column & 0x3FFF))
            at += 15
        else:
            return ()
    if any(tab >= len(extern) or extern[tab] is None for tab, *_ in areas):
        return ()
    return tuple(Area(extern[tab], r, c, last_r - r + 1, last_c - c + 1) for tab, r, last_r, c, last_c in areas)
