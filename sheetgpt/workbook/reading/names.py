"""A workbook's defined names: what each stands for. python-calamine doesn't tell, so they are read here, from the file.

Only names for one range, or several separated by commas, are of use; names for other formulas and constants stand for
no areas. The cells themselves belong in `open`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET
from zipfile import ZipFile

from sheetgpt.workbook.grid import CELL, Area, parse_range
from sheetgpt.workbook.reading import xlsb

TAB = r"(?:'(?P<quoted>(?:[^'\[\]]|'')+)'|(?P<tab>[^'!,:$\[\]]+))"  # brackets hold another workbook's number
LIVE = rf"{CELL}:INDEX\((?P<whole>[^,()]+),(?P<rows>\w+),(?P<columns>\w+)\)"  # see `references.in_use`
PIECE = re.compile(rf"{TAB}!(?:{LIVE}|(?P<cells>{CELL}(?::{CELL})?))(?:,|$)")
ODS_PIECE = re.compile(r"\[\$?('(?:[^']|'')+'|[^'.\]]+)\.([^\]]*)\]|[;~]")
ODS_NAME = re.compile(rb"<table:named-(?:range|expression) ([^>]*?)/?>|<(/?)table:table[ >]")
ODS_CONTENT = "content.xml"
ODS_ATTRIBUTE = re.compile(r'table:([\w-]+)="([^"]*)"')
STRETCH = 1 << 20
PROGRAMS_OWN = "_xlnm."  # begins names of print areas and the like, which stand for no matrix
NO_COUNTS: Mapping[str, int] = {}

Texts = Sequence[tuple[str, str]]  # defined names, and what each stands for


def name_texts(path: Path) -> Texts:
    """Each name and what it stands for, as Excel writes it. A file that is damaged, or no such workbook, has none."""
    try:
        with ZipFile(path) as archive:
            return texts_in(archive)
    except Exception:  # noqa: BLE001 - whatever the damage: calamine says what is wrong
        return []


def defined_names(path: Path) -> dict[str, tuple[Area, ...]]:
    """Each name (in small letters) -> the areas it points to, names for anything else left out."""
    return with_areas(name_texts(path))


def with_areas(texts: Texts, counts: Mapping[str, int] = NO_COUNTS) -> dict[str, tuple[Area, ...]]:
    """Those of the names, in small letters, that stand for areas. counts: as in `areas_of`."""
    return {name.lower(): areas for name, text in texts if (areas := areas_of(text.removeprefix("="), counts))}


def areas_of(text: str, counts: Mapping[str, int] = NO_COUNTS) -> tuple[Area, ...]:
    """The areas that a name stands for; nothing where it stands for something else, or for no cell.

    counts: of the names that count what is in use in a live workbook, whose areas end there.

    >>> [area.address() for area in areas_of("'my tab'!$C$4:$D$6,b!$A$1")], areas_of("SUM(a!$A$1)")
    (["'my tab'!$C$4:$D$6", 'b!$A$1'], ())
    >>> live = "b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3),b!$G$5:INDEX(b!$G$5:$I$12,n_tokens,n_tokens)"
    >>> [area.address() for area in areas_of(live, {"n_tokens": 2})], areas_of(live)
    (['b!$C$5:$E$6', 'b!$G$5:$H$6'], ())
    """
    areas, at = [], 0
    while at < len(text):
        found = PIECE.match(text, at)
        area = area_of(found.groupdict(), counts) if found else None
        if not found or not area:
            return ()
        areas.append(area)
        at = found.end()
    return tuple(areas)


def area_of(piece: Mapping[str, str | None], counts: Mapping[str, int]) -> Area | None:
    """The area of one piece between commas, as PIECE takes it apart."""
    if piece["cells"]:
        return parse_range(piece["cells"], piece["tab"] or (piece["quoted"] or "").replace("''", "'"))
    rows, columns = (in_use(piece[axis] or "", counts) for axis in ("rows", "columns"))
    whole = areas_of(piece["whole"] or "")
    return whole[0].part(rows=rows, columns=columns) if len(whole) == 1 and rows and columns else None


def in_use(size: str, counts: Mapping[str, int]) -> int:
    """A number, or the count that a name stands for."""
    return int(size) if size.isdigit() else counts.get(size, 0)


# ------------------------------------------------------------------------------------------------ files


def texts_in(archive: ZipFile) -> Texts:
    if ODS_CONTENT in archive.namelist():
        return by_scope((name, excel_text(text), of_tab) for name, text, of_tab in ods_texts(archive))
    part = workbook_part(archive)
    if part.endswith(".bin"):
        found = xlsb.names(archive.read(part))
        return by_scope((name, ",".join(one.address() for one in areas), of_tab) for name, areas, of_tab in found)
    elements = ET.fromstring(archive.read(part)).iter()  # noqa: S314 - expat refuses expanding entities
    named = (one for one in elements if one.tag.endswith("}definedName"))
    return by_scope((one.get("name", ""), one.text or "", "localSheetId" in one.attrib) for one in named)


def by_scope(named: Iterable[tuple[str, str, bool]]) -> Texts:
    """Names of one tab before those of the whole workbook, which count where both are: later ones take their place.

    A copied tab has names of its own. Of several tabs' the first one's counts.
    """
    all_named = [one for one in named if not one[0].lower().startswith(PROGRAMS_OWN)]
    of_tabs = [(name, text) for name, text, of_tab in all_named if of_tab]
    return [*reversed(of_tabs), *((name, text) for name, text, of_tab in all_named if not of_tab)]


def workbook_part(archive: ZipFile) -> str:
    """The part that lists tabs and names, as the package's relations name it."""
    relations = ET.fromstring(archive.read("_rels/.rels"))  # noqa: S314 - as above
    for relation in relations:
        if relation.get("Type", "").endswith("/officeDocument"):
            return relation.get("Target", "").removeprefix("/")
    return "xl/workbook.xml"


def ods_texts(archive: ZipFile) -> Iterator[tuple[str, str, bool]]:
    """Each name, what it stands for, is it of one tab? They stand behind the cells, so the whole part streams by."""
    from html import unescape

    rest, of_tab = b"", False
    with archive.open(ODS_CONTENT) as file:
        while chunk := file.read(STRETCH):
            text, end = rest + chunk, 0
            for found in ODS_NAME.finditer(text):
                end = found.end()
                if found[1] is None:
                    of_tab = not found[2]
                    continue
                attributes = {k: unescape(v) for k, v in ODS_ATTRIBUTE.findall(found[1].decode("utf-8", "replace"))}
                where = attributes.get("cell-range-address") or attributes.get("expression", "")
                yield attributes.get("name", ""), where, of_tab
            rest = text[max(end, len(text) - STRETCH // 16) :]


def excel_text(text: str) -> str:
    """What a name in an .ods stands for, as an .xlsx has it.

    >>> excel_text("of:=[$b.$C$5]:INDEX([$b.$C$5:.$E$12];n_tokens;3)~[$b.$G$5]"), excel_text("$'my tab'.$C$4:.$D$6")
    ('b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3),b!$G$5', "'my tab'!$C$4:$D$6")
    """
    formula = text.removeprefix("of:=")
    if "[" not in formula:  # a single range
        formula = f"[{formula}]"
    return ODS_PIECE.sub(lambda found: f"{found[1]}!{found[2].replace(':.', ':')}" if found[1] else ",", formula)
