"""Maps: a file in which a person says where each stage stands in a workbook that has no names for them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.files.atomic import replacing
from sheetgpt.files.text import separator_of
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, parse_range
from sheetgpt.workbook.reading.open import one_line, some

COLUMNS = ("stage", "sheet", "range", "transposed")
LOCATE = "`sheetgpt locate` writes one"
YES, NO = ("yes", "true", "1", "x", "y"), ("no", "false", "0", "", "n")


@dataclass(frozen=True)
class Mapped:
    """Where a map, or a defined name, says that a stage stands."""

    areas: tuple[Area, ...]
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """As a stage, side by side where there are several areas."""
        rows, columns = self.areas[0].rows, sum(area.columns for area in self.areas)
        return (columns, rows) if self.transposed else (rows, columns)


def read_map(path: Path, tabs: Sequence[str]) -> dict[str, Mapped]:
    """A map file: stage -> where it stands. Raises DumpError naming the row. Columns beyond the four are left alone."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = f"can't be read as a map ({one_line(error)})"
        raise DumpError(what, where=path, remedy=LOCATE) from None
    reader = csv.DictReader(text.splitlines(), delimiter=separator_of(text.partition("\n")[0]))
    try:
        rows, names = list(reader), reader.fieldnames or []
    except csv.Error as error:  # a cell longer than any
        raise DumpError(f"can't be read as a map ({error})", where=path, remedy=LOCATE) from None
    missing = [name for name in COLUMNS[:3] if name not in names]
    if missing:
        raise DumpError(f"has no column {missing[0]!r}", where=path, remedy=f"a map begins with {','.join(COLUMNS)}")
    found: dict[str, Mapped] = {}
    for number, row in enumerate(rows, start=2):
        stage, where = (row["stage"] or "").strip(), f"{path}, row {number}"
        if not stage and not any(row.values()):
            continue
        if stage in found:
            raise DumpError(f"{where}: {stage} stands there twice", remedy="remove one")
        found[stage] = map_row(row, where, tabs)
    return found


def map_row(row: Mapping[str, str | None], where: str, tabs: Sequence[str]) -> Mapped:
    sheet, area = row["sheet"] or "", parse_range((row["range"] or "").strip(), row["sheet"] or "")
    if sheet not in tabs:
        raise DumpError(f"{where}: the workbook has no tab {sheet!r}; its tabs are {some(tabs)}")
    if area is None or area.row + area.rows > MAX_ROWS or area.column + area.columns > MAX_COLUMNS:
        raise DumpError(f"{where}: {row['range']!r} is no range such as C5:BN12")
    answer = (row.get("transposed") or "").strip().lower()
    if answer not in YES + NO:
        raise DumpError(f"{where}: transposed is yes or no, not {row['transposed']!r}")
    return Mapped((area,), answer in YES)


def write_map(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a map file: rows of (stage, sheet, range, transposed, whatever else helps a person)."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
