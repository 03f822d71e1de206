"""Maps: a file in which a person says where each stage stands in a workbook that has no names for them.

A stage has one row, or one a piece: `head` says which head's slice of columns a range holds, `rows` and `columns` which
of the stage's (such as 0-15, counted from 0). Putting pieces together belongs in `pieces`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sheetgpt.errors import DumpError
from sheetgpt.files.atomic import replacing
from sheetgpt.files.text import separator_of
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, parse_range
from sheetgpt.workbook.reading.open import one_line, some

__all__ = ["write_map"]

COLUMNS = ("stage", "sheet", "range", "transposed")
CUTS = ("head", "rows", "columns")  # a map need not have these
LOCATE = "`sheetgpt locate` writes one"
YES, NO = ("yes", "true", "1", "x", "y"), ("no", "false", "0", "", "n")
SPAN = re.compile(r"(\d{1,7})(?:\s*[-:]\s*(\d{1,7}))?")


@dataclass(frozen=True)
class Mapped:
    """Where a map, or a defined name, says that a stage stands, or a piece of it."""

    areas: tuple[Area, ...]
    transposed: bool = False
    head: int | None = None  # whose slice of the stage's columns it is
    rows: range | None = None  # of the stage, where it holds not all of them
    columns: range | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """As a stage, side by side where there are several areas."""
        rows, columns = self.areas[0].rows, sum(area.columns for area in self.areas)
        return (columns, rows) if self.transposed else (rows, columns)

    @property
    def is_piece(self) -> bool:
        return (self.head, self.rows, self.columns) != (None, None, None)

    @property
    def place(self) -> tuple[range, range]:
        """The rows and columns of the stage that it holds."""
        rows, columns = self.shape
        first = (self.head or 0) * columns
        return self.rows or range(rows), self.columns or range(first, first + columns)


def read_map(path: Path, tabs: Sequence[str]) -> dict[str, tuple[Mapped, ...]]:
    """A map file: stage -> where it stands, piece by piece. Raises DumpError naming the row.

    Columns beyond those of a map are left alone.
    """
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
    found: dict[str, tuple[Mapped, ...]] = {}
    for number, row in enumerate(rows, start=2):
        stage, where = (row["stage"] or "").strip(), f"{path}, row {number}"
        if not stage and not any(row.values()):
            continue
        piece = map_row(row, where, tabs)
        require_room(stage, piece, found.get(stage, ()), where)
        found[stage] = (*found.get(stage, ()), piece)
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
    head, rows, columns = (span(row.get(cut), cut, where) for cut in CUTS)
    if head is not None and (columns is not None or len(head) > 1):
        raise DumpError(f"{where}: a piece is one head, or a span of columns", remedy="give head or columns")
    piece = Mapped((area,), answer in YES, None if head is None else head[0], rows, columns)
    for cut, some_of, size in zip(CUTS[1:], (rows, columns), piece.shape, strict=True):
        if some_of is not None and len(some_of) != size:
            what = f"{where}: {cut} {row[cut]} are {len(some_of)} and the range has {size}"
            raise DumpError(what, remedy="correct one of them")
    return piece


def span(text: str | None, cut: str, where: str) -> range | None:
    """Rows, columns or heads as a map has them: a number, or the first and the last; None where all are meant."""
    if text is None or not text.strip():
        return None
    found = SPAN.fullmatch(text.strip())
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        example = "a number such as 0" if cut == "head" else "counted from 0, such as 0-15"
        raise DumpError(f"{where}: {cut} is {example}, not {text!r}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def require_room(stage: str, piece: Mapped, others: Sequence[Mapped], where: str) -> None:
    """Raises DumpError where a piece says again what another row has said."""
    for other in others:
        apart = not piece.is_piece or not other.is_piece
        if apart or all(overlap(mine, its) for mine, its in zip(piece.place, other.place, strict=True)):
            raise DumpError(f"{where}: {stage} stands there twice", remedy="remove one")


def overlap(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def write_map(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a map file: rows of (stage, sheet, range, transposed, whatever else helps a person)."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
