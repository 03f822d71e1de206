"""A folder that is written file by file, and says that it is unfinished until the last file is whole.

What the files hold is left to others: to `weights`, which also refuses to read an unfinished folder, and to `convert`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sheetgpt.errors import WeightsError
from sheetgpt.files.atomic import sweep

__all__ = ["Journal", "unfinished"]

UNFINISHED = "unfinished.jsonl"  # where the files come from, and which of them are whole


class Journal:
    """What a folder that is being written says of itself: where the matrices come from, and which files are whole.
    `unfinished` gives one.
    """

    def __init__(self, folder: Path, source: str):
        self.path = folder / UNFINISHED
        first, *rest = read_journal(folder)
        if not source or first != source:
            self.path.write_text(json.dumps(source) + "\n", encoding="utf-8")
            rest = []
        self.whole = dict(rest)

    def has(self, path: Path) -> bool:
        """Was this file finished, and is it still as it was then?"""
        return path.exists() and self.whole.get(path.name) == _stamp(path)

    def add(self, path: Path) -> None:
        """Note that a file is whole."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([path.name, _stamp(path)]) + "\n")


def read_journal(folder: Path) -> list[Any]:
    """[source, (file, stamp), ...] of what was begun in a folder; [None] where nothing was."""
    entries = []
    with suppress(OSError, ValueError):  # none, or its last line was cut off
        for line in (folder / UNFINISHED).read_text(encoding="utf-8").splitlines():
            entries.append(json.loads(line))  # noqa: PERF401 - what stands before a line that was cut off counts
    return entries or [None]


@contextmanager
def unfinished(folder: Path, source: str = "") -> Iterator[Journal]:
    """While inside, and after an interruption, the folder says that it is unfinished, and no one reads it as a model.

    source: where the matrices come from; only the same one may go on where an earlier call was interrupted. Raises
    WeightsError where the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder, source)
        sweep(folder)
        yield journal
        journal.path.unlink()
    except OSError as error:
        raise WeightsError(
            "cannot be written", where=error.filename or folder, remedy=error.strerror or str(error)
        ) from None


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
