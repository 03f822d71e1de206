"""A CSV folder, or the zip of one, as the reference publishes it: checked, constants added, unpacked safely.

Decimals are copied as they stand, only separators and line ends are made regular; every number is read on the way.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sheetgpt.bpe.added import ADDED_FILE
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.convert.checkpoint import Checkpoint, origin_of
from sheetgpt.convert.peek import names_in_zip
from sheetgpt.errors import ConvertError
from sheetgpt.files import decimals
from sheetgpt.files.atomic import write_file
from sheetgpt.files.journal import Journal
from sheetgpt.models.config import CONSTANTS_FILE, Config
from sheetgpt.models.gpt2 import LM_HEAD, WTE
from sheetgpt.models.kinds import Shape, matrix_shapes
from sheetgpt.weights.folder import read_config
from sheetgpt.weights.progress import Counter, Progress
from sheetgpt.weights.shapes import infer_config
from sheetgpt.weights.writing import remove_others, write_constants

TOKEN_FILES = (MERGES_FILE, TOKENS_FILE)
WANTED = re.compile(r"model_\w+\.csv|constants\.csv|" + "|".join(map(re.escape, (*TOKEN_FILES, ADDED_FILE))))
LARGE, SWOLLEN = 1 << 32, 200  # bytes that are many; how much larger than the zip they may be then
LONGEST_SMALL = 1 << 26  # bytes of a token file
ELSEWHERE = "get it from a better source"
Open = Callable[[str], IO[bytes]]


@dataclass(kw_only=True)
class Csvs(Checkpoint):
    """Matrices that are decimals already."""

    where: Path
    names: Collection[str]  # of the files there
    open_file: Open

    @property
    def untied(self) -> bool:
        return f"{LM_HEAD}.csv" in self.names

    def write_matrices(self, folder: Path, journal: Journal, progress: Progress | None) -> None:
        remove_others(folder, self.shapes)
        counter = Counter(sum(rows * columns for rows, columns in self.shapes.values()), progress)
        for name, shape in self.shapes.items():
            path = folder / f"{name}.csv"
            if not journal.has(path):
                write_file(path, self._text(path.name, shape))
                journal.add(path)
            counter.advance(shape[0] * shape[1])
        write_constants(folder, self.config)

    def _text(self, name: str, expected: Shape) -> Iterator[bytes]:
        where = self.where / name
        rows = columns = 0
        with damage(where), self.open_file(name) as file:
            for text, block in decimals.read_text(file, str(where), "float64"):  # type: ignore[arg-type]
                rows, columns = rows + len(block), block.shape[1]
                yield text
        if (rows, columns) != expected:
            what = f"is {rows:,} x {columns:,}, not {expected[0]:,} x {expected[1]:,}"
            raise ConvertError(what, where=where, remedy="get it again")


def recognises(path: Path) -> bool:
    if path.is_dir():
        return (path / f"{WTE}.csv").is_file()
    return f"{WTE}.csv" in (names_in_zip(path) or ())


def open_path(path: Path, _n_head: int | None = None) -> Checkpoint:
    return open_folder(path) if path.is_dir() else open_zip(path)


def open_folder(folder: Path) -> Checkpoint:
    """A folder in the CSV contract, perhaps without constants, perhaps saved by Excel."""
    names = [path.name for path in folder.iterdir() if WANTED.fullmatch(path.name)]
    origin = origin_of(*(folder / name for name in sorted(names)))
    return _csvs(folder, names, lambda name: (folder / name).open("rb"), read_config(folder), origin)


def open_zip(file: Path) -> Checkpoint:
    """A zip of such a folder. Nothing is unpacked but the files of the contract, and to no other place than DEST."""
    with damage(file):
        archive = zipfile.ZipFile(file)  # stays open while the checkpoint is in use
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            what = f"holds {entry.filename!r}, a path outside its folder"
            raise ConvertError(what, where=file, remedy=ELSEWHERE)
        if WANTED.fullmatch(path.name):
            if path.name in entries:
                raise ConvertError(f"holds {path.name} twice", where=file, remedy=ELSEWHERE)
            entries[path.name] = entry
    size = sum(entry.file_size for entry in entries.values())
    if size > LARGE and size > SWOLLEN * file.stat().st_size:
        what = f"says that it unpacks to {size / 1e9:,.0f} GB"
        raise ConvertError(what, where=file, remedy=ELSEWHERE)

    def open_entry(name: str) -> IO[bytes]:
        return archive.open(entries[name])

    with damage(file):
        return _csvs(file, entries, open_entry, _config_in(file, entries, open_entry), origin_of(file))


def _config_in(file: Path, entries: Collection[str], open_entry: Open) -> Config:
    if CONSTANTS_FILE in entries:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CONSTANTS_FILE
            path.write_bytes(read_small(open_entry, CONSTANTS_FILE))
            return Config.read(path)

    def shape(name: str) -> Shape:
        with open_entry(f"{name}.csv") as opened:
            return decimals.count_shape(opened)  # type: ignore[arg-type]

    return infer_config(file, [name.removesuffix(".csv") for name in entries], shape)


def _csvs(where: Path, names: Collection[str], open_file: Open, config: Config, origin: str) -> Csvs:
    shapes = matrix_shapes(config, untied=f"{LM_HEAD}.csv" in names)
    missing = [f"{name}.csv" for name in shapes if f"{name}.csv" not in names]
    tables = [name for name in TOKEN_FILES if name in names]
    if len(tables) == 1:
        missing += [name for name in TOKEN_FILES if name not in names]
    if missing:
        raise ConvertError(f"has no {missing[0]}", where=where, remedy="get it again")

    def write_tables(folder: Path) -> None:
        for name in (*TOKEN_FILES, *([ADDED_FILE] if ADDED_FILE in names else [])):
            with damage(where):
                write_file(folder / name, [read_small(open_file, name)])

    remarks = [] if tables else ["no token files: the model runs by --token-ids"]
    if CONSTANTS_FILE not in names:
        remarks.append(
            f"no {CONSTANTS_FILE}: inferred from the shapes, {config.n_head} heads of 64 as the reference has them"
        )
    return Csvs(
        config=config,
        origin=origin,
        write_tables=write_tables if tables else None,
        remarks=remarks,
        where=where,
        names=names,
        open_file=open_file,
    )


def read_small(open_file: Open, name: str) -> bytes:
    with open_file(name) as file:
        return file.read(LONGEST_SMALL)


@contextmanager
def damage(where: Path) -> Iterator[None]:
    """What is wrong with a zip, as one line."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ConvertError(f"is damaged or locked ({error})", where=where, remedy="get the zip again") from None
