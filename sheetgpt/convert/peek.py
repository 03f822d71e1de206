"""What a file shows of itself before it is read: its first bytes, and the names in it where it is a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

SHOWN = 3  # names in a remark


def listed(names: list[str]) -> str:
    """Some names, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def beginning(file: Path, count: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(count)


def begins_with(file: Path, start: bytes) -> bool:
    return beginning(file, len(start)) == start


def names_in_zip(file: Path) -> set[str] | None:
    """The names of the files in a zip, without their folders; None where it is no zip."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {PurePosixPath(name).name for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
