"""A file or folder that appears when it is whole: written under a temporary name beside its place, then renamed.

The next write to the same place takes away what a killed process left there. What is written is left to the callers,
and so is the sentence where the system refuses: an OSError passes through.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY, OLD = "tmp", "old"  # what is being written or deleted; a folder that makes way for its successor
NAME = re.compile(rf"\.(?P<of>.+)\.(?P<pid>\d+)-(?P<host>[0-9a-f]{{8}})-[0-9a-f]{{8}}\.(?P<kind>{TEMPORARY}|{OLD})")
LEFTOVER_SECONDS = 3600  # what was not touched for so long belongs to no process any more


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name for a file that takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    temporary = temporary_path(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_file(path: Path, blocks: Iterable[bytes]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.writelines(blocks)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder`, with all that is in it, when the block ends well."""
    place = folder.resolve()  # a link stays, and leads to the new one
    place.parent.mkdir(parents=True, exist_ok=True)
    put_back(place)
    sweep(place.parent, place.name)
    temporary = temporary_path(place)
    temporary.mkdir()
    try:
        yield temporary
        _swap(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Heal a folder that was moved away by a process that was killed before its successor stood there."""
    moved = [path for path, found in _named(folder.parent, folder.name) if found["kind"] == OLD]
    if moved and not folder.exists():
        with suppress(OSError):  # another process was quicker
            max(moved, key=_touched).replace(folder)


def _swap(new: Path, folder: Path) -> None:
    while True:
        old = temporary_path(folder, OLD)
        with suppress(FileNotFoundError):
            folder.replace(old)
        try:
            new.replace(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with suppress(OSError):
                    old.replace(folder)
                raise
            _delete(old)  # another process put its folder there in between: that one makes way, too
        else:
            _delete(old)
            return


def _delete(old: Path) -> None:
    doomed = old.with_suffix(f".{TEMPORARY}")  # subtle: so that what is half deleted is never put back
    with suppress(OSError):
        old.replace(doomed)
        _remove(doomed)


def temporary_path(path: Path, kind: str = TEMPORARY) -> Path:
    """A name beside `path` that says whose it is, and that nobody else takes."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_host()}-{os.urandom(4).hex()}.{kind}")


def _host() -> str:
    """A machine's mark, for folders that several machines share."""
    return f"{zlib.crc32(b'' if sys.platform == 'win32' else os.uname().nodename.encode()):08x}"


def sweep(folder: Path, name: str | None = None) -> None:
    """Take away what killed processes left in `folder`: of all that they wrote there, or of one name."""
    for path, found in _named(folder, name):
        stays = found["kind"] == OLD and not (folder / found["of"]).exists()  # it is to be put back
        with suppress(OSError):
            if not stays and (_touched(path) < time.time() - LEFTOVER_SECONDS or not _may_run(found)):
                _remove(path)


def _named(folder: Path, name: str | None) -> list[tuple[Path, re.Match[str]]]:
    """The temporary files and folders of one name, or of all."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        found = [(folder / entry.name, NAME.fullmatch(entry.name)) for entry in entries if entry.name.startswith(".")]
    return [(path, parts) for path, parts in found if parts and name in (None, parts["of"])]


def _may_run(found: re.Match[str]) -> bool:
    """May the process that chose this name still be at work?"""
    if sys.platform == "win32" or found["host"] != _host():
        return True
    try:
        os.kill(int(found["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it runs, and is somebody else's
        return True
    return True


def _touched(path: Path) -> float:
    return path.lstat().st_mtime


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
