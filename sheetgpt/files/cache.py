"""A binary copy of each CSV matrix, one memory-mapped file a matrix and type, that is never stale.

The copy is a `.npy` file with a seal behind its numbers: the CSV's size, times, inode and device as they were when it
was read. A copy is used only while the CSV still carries exactly these, and while the copy itself is as it was written:
small ones by the checksum of their numbers, large ones by their time, as reading all of them would take long. Copies
lie in `.sheetgpt_cache` beside the CSVs or, where that folder cannot be written, in the user's cache folder. Which
matrices there are, `weights` knows.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.atomic import sweep, temporary_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

FOLDER = ".sheetgpt_cache"
HEADER_BYTES = 128  # of the .npy header, padded so that it can be written when the number of rows is known
SEAL_BYTES = 512
SEAL_START = struct.Struct("<8sII")  # magic, length of the JSON, its checksum
MAGIC = b"sheetGPT"
# Bytes. Smaller matrices are read: a memory map holds a file open, and systems limit how many a process may hold.
MAP_FROM = 1 << 16
SUMMED_UP_TO = 1 << 22  # bytes of numbers whose checksum is compared at each start: a millisecond
# subtle: a clock ticks every few milliseconds (every two seconds on FAT). A file that is edited twice within a tick
# carries the same times twice, so times prove nothing until they are this old; until then the content's hash does.
TICK_NS = 2_000_000_000
MARK_NS = 2_000_000_000  # times that every file system can hold: FAT has even seconds only
CHANGE_TIME_IS_KEPT = os.name != "nt"  # on Windows st_ctime is the time of creation: there the hash is always asked
ATTEMPTS = 3
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Seal:
    """What a copy was made from."""

    stamp: list[int]  # of the CSV: size, modification time, change time, inode, device
    digest: str | None  # of the CSV's content, where the stamp alone proves nothing
    dtype: str
    shape: list[int]
    checksum: int  # CRC-32 of the numbers

    def packed(self) -> bytes:
        text = json.dumps(asdict(self)).encode()
        return (SEAL_START.pack(MAGIC, len(text), zlib.crc32(text)) + text).ljust(SEAL_BYTES, b"\0")

    @classmethod
    def unpack(cls, packed: bytes) -> Seal | None:
        """The seal, or None where it is damaged."""
        if len(packed) != SEAL_BYTES:
            return None
        magic, length, checksum = SEAL_START.unpack_from(packed)
        text = packed[SEAL_START.size : SEAL_START.size + length]
        if magic != MAGIC or zlib.crc32(text) != checksum:
            return None
        return cls(**json.loads(text))

    @property
    def payload_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def is_summed(self) -> bool:
        return self.payload_bytes <= SUMMED_UP_TO

    @property
    def mark(self) -> int:
        """The modification time that the copy is given (ns): any later write moves it."""
        return self.stamp[1] // MARK_NS * MARK_NS


def stamp_of(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def user_folder(folder: Path) -> Path:
    """Where copies lie when `folder` cannot be written: one folder for each path."""
    from platformdirs import user_cache_path  # only here: most folders can be written

    base = user_cache_path("sheetgpt", appauthor=False, opinion=False)
    if not base.is_absolute():
        raise RuntimeError("no home folder")
    return base / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]


class Cache:
    """The copies of one weight folder's matrices in one type."""

    def __init__(self, folder: Path, dtype: DTypeLike):
        self.dtype = np.dtype(dtype)
        self.folder = folder
        self._left_is_removed = False

    def places(self) -> Iterator[Path]:
        """Where copies may lie, the folder's own place first: few look further."""
        yield self.folder / FOLDER
        with suppress(RuntimeError):  # no home folder
            yield user_folder(self.folder)

    def get(self, csv: Path) -> np.ndarray | None:
        """The copy of a CSV, read-only, [rows, columns]; None where there is none that is certainly the same."""
        return self._look(csv, _array)

    def shape(self, csv: Path) -> tuple[int, int] | None:
        """The shape of a CSV, where a valid copy tells it."""
        return self._look(csv, lambda _file, seal: (seal.shape[0], seal.shape[1]))

    def read(self, csv: Path, progress: Callable[[int], object] | None = None) -> np.ndarray:
        """The numbers of a CSV, read-only, [rows, columns], through a new copy if one can be written.

        `progress` is given the number of bytes read, block by block.
        """
        for _ in range(ATTEMPTS):
            with csv.open("rb") as file, self._copy(csv) as copy:
                stamp = stamp_of(os.fstat(file.fileno()))
                digest = None if _is_proof(stamp, time.time_ns()) else hashlib.blake2b(digest_size=16)

                def seen(chunk: bytes, digest: hashlib.blake2b | None = digest) -> None:
                    if digest:
                        digest.update(chunk)
                    if progress:
                        progress(len(chunk))

                fault = None
                try:
                    for block in decimals.read_blocks(file, str(csv), self.dtype, seen):
                        copy.append(block)
                except WeightsError as error:
                    fault = error
                if stamp_of(os.fstat(file.fileno())) != stamp or stamp_of(csv.stat()) != stamp:
                    continue  # what was read may be torn
                if fault:
                    raise fault
                return copy.finished(stamp, digest.hexdigest() if digest else None)
        raise WeightsError(
            "changes while it is being read", where=csv, remedy="run again when the other program has finished"
        )

    def _look(self, csv: Path, answer: Callable[[FileIO, Seal], Answer]) -> Answer | None:
        for place in self.places():
            with suppress(OSError, ValueError, TypeError), (place / self._name(csv)).open("rb", buffering=0) as file:
                seal = _read_seal(file, self.dtype)
                if seal and self._holds(seal, csv, file):
                    return answer(file, seal)
        return None

    def _name(self, csv: Path) -> str:
        return f"{csv.stem}.{self.dtype.name}.npy"

    def _holds(self, seal: Seal, csv: Path, file: FileIO) -> bool:
        """Is the CSV still what the copy was made from?"""
        if stamp_of(csv.stat()) != seal.stamp:
            return False
        if seal.digest is None:
            return True
        started = time.time_ns()
        if _digest(csv) != seal.digest or stamp_of(csv.stat()) != seal.stamp:
            return False
        if _is_proof(seal.stamp, started):
            with suppress(OSError), Path(str(file.name)).open("r+b", buffering=0) as again:
                # subtle: another process may have put a new copy here, so only the file that was checked is sealed anew
                if os.path.sameopenfile(file.fileno(), again.fileno()):
                    again.seek(HEADER_BYTES + seal.payload_bytes)
                    again.write(replace(seal, digest=None).packed())
                    os.utime(str(file.name), ns=(seal.mark, seal.mark))
        return True

    def _copy(self, csv: Path) -> _Copy:
        if not self._left_is_removed:
            self._left_is_removed = True
            for place in self.places():
                sweep(place)
        for place in self.places():
            with suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
                return _Copy(place / self._name(csv), self.dtype)
        return _Copy(None, self.dtype)


class _Copy:
    """A copy in the making: rows are written as they come, or kept in memory where the disk takes no more."""

    def __init__(self, path: Path | None, dtype: np.dtype):
        self.dtype, self.shape, self.checksum = dtype, [0, 0], 0
        self.kept: list[np.ndarray] = []
        self.file: FileIO | None = None
        if path is not None:
            self.path, self.temporary = path, temporary_path(path)
            self.file = self.temporary.open("x+b", buffering=0)
            self.file.seek(HEADER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
            with suppress(OSError):
                self.temporary.unlink()

    def append(self, block: np.ndarray) -> None:
        if self.file is not None:
            try:
                _write(self.file, block)
            except OSError:
                self._keep(self.file)
        if self.file is None:
            self.kept.append(block)
        self.checksum = zlib.crc32(block.data, self.checksum)
        self.shape = [self.shape[0] + len(block), block.shape[1]]

    def finished(self, stamp: list[int], digest: str | None) -> np.ndarray:
        """Seal the copy and put it in place -> its numbers, read-only."""
        if self.file is not None:
            seal = Seal(stamp, digest, self.dtype.name, self.shape, self.checksum)
            try:
                _write(self.file, seal.packed())
                self.file.seek(0)
                _write(self.file, _npy_header(self.dtype, self.shape))
                numbers = _array(self.file, seal)
                if not seal.is_summed:
                    os.fsync(self.file.fileno())  # else a power cut might leave a copy without its numbers
                self.temporary.replace(self.path)
                with suppress(OSError):
                    os.utime(self.path, ns=(seal.mark, seal.mark))
            except OSError:
                self._keep(self.file)
            else:
                return numbers
        numbers = self.kept[0] if len(self.kept) == 1 else np.concatenate(self.kept)
        numbers.flags.writeable = False
        return numbers

    def _keep(self, file: FileIO) -> None:
        """Take back what was written so far: the disk is full."""
        file.seek(HEADER_BYTES)
        if self.shape[0]:
            self.kept = [np.fromfile(file, self.dtype, self.shape[0] * self.shape[1]).reshape(self.shape)]
        self.__exit__()
        self.file = None


def _write(file: FileIO, data: Any) -> None:
    rest = memoryview(data).cast("B")
    while rest:  # subtle: a nearly full disk takes a part and says so, without an error
        rest = rest[file.write(rest) :]


def _npy_header(dtype: np.dtype, shape: list[int]) -> bytes:
    text = repr({"descr": dtype.str, "fortran_order": False, "shape": tuple(shape)})
    length = HEADER_BYTES - np.lib.format.MAGIC_LEN - 2
    return np.lib.format.magic(1, 0) + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"


def _read_seal(file: FileIO, dtype: np.dtype) -> Seal | None:
    status = os.fstat(file.fileno())
    file.seek(max(0, status.st_size - SEAL_BYTES))
    seal = Seal.unpack(file.read(SEAL_BYTES))
    if seal is None or seal.dtype != dtype.name or status.st_size != HEADER_BYTES + seal.payload_bytes + SEAL_BYTES:
        return None
    return seal if seal.is_summed or status.st_mtime_ns == seal.mark else None


def _array(file: FileIO, seal: Seal) -> np.ndarray:
    """The numbers behind the header: read where they are few, mapped where they are many. ValueError: damaged ones."""
    if seal.payload_bytes < MAP_FROM:
        file.seek(HEADER_BYTES)
        content, offset = file.read(seal.payload_bytes), 0
    else:
        content = mmap.mmap(file.fileno(), HEADER_BYTES + seal.payload_bytes, access=mmap.ACCESS_READ)
        offset = HEADER_BYTES
    count = seal.shape[0] * seal.shape[1]
    numbers = np.frombuffer(content, seal.dtype, count, offset)
    if seal.is_summed and zlib.crc32(numbers.data) != seal.checksum:
        raise ValueError("the numbers are not those that were written")
    return numbers.reshape(seal.shape)


def release(matrix: np.ndarray) -> None:
    """Give back the memory of a mapped copy; what is looked at later is read from its file again. Others stay."""
    base: Any = matrix
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):  # Windows has none
        base.madvise(mmap.MADV_DONTNEED)


def _is_proof(stamp: list[int], now: int) -> bool:
    """Would any edit from now on change this stamp?"""
    return CHANGE_TIME_IS_KEPT and stamp[2] < now - TICK_NS


def _digest(csv: Path) -> str:
    with csv.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
