"""What a damaged workbook is looked at for before calamine reads it: that could end the process, or fill the memory.

calamine makes room for every cell between the first and the last one, so a single wrong byte in a cell's record may ask
for terabytes, and then it ends the process. Cells whose place no sheet has are found here, record by record. Old .xls
files are read in a process of their own first. What else is wrong calamine says; how far a sheet reaches by its own
word belongs in `reach`.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, is_zipfile

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.workbook.reading.reach import sheet_part
from sheetgpt.workbook.reading.tab import FarOutError, require_near
from sheetgpt.workbook.reading.xlsb import ROW, seven_bits

SAVE_AGAIN = "save it again as .xlsx, .xlsb or .ods"
LARGE, SWOLLEN = 1 << 32, 200  # bytes that are many; how much larger than the file its parts may be then
ENCRYPTED = 1  # a bit of a part's flags

# records of a sheet, [MS-XLSB] 2.3: those of cells begin with the column (4 bytes) and the style (4 bytes)
CELLS, RICH_TEXT, END_OF_CELLS = range(1, 12), 62, 146
REALS = re.compile(rb"(?:\x05\x10.{16})+", re.DOTALL)  # rows of plain numbers, told at once
COMPRESSED = re.compile(rb"(?:\x02\x0c.{12})+", re.DOTALL)
RUNS = ((REALS, 18), (COMPRESSED, 14))
TRIAL_SECONDS, TRIAL_BYTES = 120, 4 << 30
TRIAL = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
except (ImportError, ValueError, OSError):
    pass
from python_calamine import CalamineWorkbook
book = CalamineWorkbook.from_path(sys.argv[1])
for name in book.sheet_names:
    book.get_sheet_by_name(name)
"""


def require_safe(path: Path) -> None:
    """Raises DumpError where a workbook's parts are encrypted, of an unknown kind, or grow without measure."""
    if not is_zipfile(path):
        if path.suffix.lower() == ".xls":
            require_survived(path)
        return
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # noqa: BLE001 - whatever a damaged zip makes Python stumble over
        raise unreadable(path, " ".join(str(error).split()) or type(error).__name__) from None
    if any(entry.flag_bits & ENCRYPTED for entry in entries):
        raise unreadable(path, "its parts are encrypted")
    if any(entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for entry in entries):
        raise unreadable(path, "its parts are packed in an unknown way")
    size = sum(entry.file_size for entry in entries)
    if size > LARGE and size > SWOLLEN * path.stat().st_size:
        raise unreadable(path, f"it says that it unpacks to {size / 1e9:,.0f} GB")


def unreadable(path: Path, why: str) -> DumpError:
    return DumpError(f"can't be read as a workbook ({why})", where=path, remedy=SAVE_AGAIN)


def require_survived(path: Path) -> None:
    """Raises DumpError where reading a file would end the process: seen in another one."""
    command = [sys.executable, "-P", "-c", TRIAL, str(path), str(TRIAL_BYTES)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        code = subprocess.run(command, timeout=TRIAL_SECONDS, check=False, **quiet).returncode  # type: ignore[call-overload]
    except (subprocess.TimeoutExpired, OSError):
        code = -1
    if code not in (0, 1):  # 1: an exception, which comes again here
        raise unreadable(path, "it is damaged")


def require_sound_cells(path: Path, tab: str) -> None:
    """Raises DumpError where a cell of an .xlsb stands where none can, or so far out that room for it fills the memory.

    Of other kinds whoever reads the cells sees to it.
    """
    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            name = sheet_part(archive, tab)
            rows, columns = reach_of_records(archive.read(name)) if name.endswith(".bin") else (0, 0)
    except Exception:  # noqa: BLE001 - it is no .xlsx or .xlsb, or damaged in another way: calamine says how
        return
    try:
        require_near(rows, columns)
    except FarOutError as error:
        raise error.refusal(f"{path}, tab {tab!r}") from None


def reach_of_records(part: bytes) -> tuple[int, int]:
    """(rows, columns) up to the last cell of an .xlsb's sheet, by its cells."""
    row, rows, columns = 0, 0, 0
    with suppress(IndexError, struct.error):  # where the part ends early, what stands before counts
        for kind, value in places(part):
            if kind == ROW:
                row = value + 1
            else:
                rows, columns = max(rows, row), max(columns, value + 1)
    return rows, columns


def places(part: bytes) -> Iterator[tuple[int, int]]:
    """(ROW, its number) of each row, (another type, the last column) of each cell or run of cells."""
    at, end = 0, len(part)
    while at + 2 <= end:
        for pattern, size in RUNS:
            if found := pattern.match(part, at):
                run = np.frombuffer(part, np.uint8, found.end() - at, at).reshape(-1, size)
                yield run[0, 0], int(np.ascontiguousarray(run[:, 2:6]).view("<u4").max())
                at = found.end()
        kind, size, at = header(part, at)
        if kind in (ROW, RICH_TEXT) or kind in CELLS:
            yield kind, struct.unpack_from("<I", part, at)[0]
        elif kind == END_OF_CELLS:
            return
        at += size


def header(part: bytes, at: int) -> tuple[int, int, int]:
    """(type, size, where the content begins) of the record at a place."""
    kind, at = seven_bits(part, at, 2)
    size, at = seven_bits(part, at, 4)
    return kind, size, at
