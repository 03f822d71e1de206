"""One shard: the kept stages of some prompts in one .safetensors file, written row by row and read by mapping it.

A stage's rows of all prompts stand under each other; `STAGE.offsets` says where each prompt's begin. Where a stage's
width grows with the prompt, as attention's does, its cells stand behind each other and the offsets count cells.
`records` holds a line of JSON a prompt. A file is there only when it is whole, and holds nothing that two runs of the
same prompts would not share. Which shards there are belongs in `store`, what is in them in `computing`.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from io import FileIO
from itertools import accumulate
from pathlib import Path
from threading import Lock

import numpy as np

from sheetgpt.batch.shapes import StageShapes
from sheetgpt.errors import DamagedError
from sheetgpt.files import atomic, tensors

OFFSETS = ".offsets"  # behind a stage's name: where each prompt's rows, or cells, begin
RECORDS = "records"
ANSWERS = ("predicted", "probability", "mean_loss")  # a number a prompt; NaN where there is none
KINDS = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8"}


@dataclass(frozen=True)
class Entry:
    """A prompt as its shard keeps it; without token ids where something is wrong with it."""

    number: int  #: of the prompt, from 0
    prompt: str | None  #: the text; None where token ids were given
    token_ids: Sequence[int] = ()  #: its tokens' ids
    tokens: Sequence[str] = ()  #: its tokens, as the token table spells them
    error: str | None = None  #: what is wrong with the prompt; None where nothing is

    @cached_property
    def line(self) -> bytes:
        """The entry as a line of JSON."""
        return json.dumps({name: getattr(self, name) for name in ENTRY}).encode() + b"\n"

    def __reduce__(self) -> tuple[type[Entry], tuple[object, ...]]:
        """Without the line, which a worker makes again."""
        return Entry, tuple(getattr(self, name) for name in ENTRY)


ENTRY = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Answer:
    """What a model makes of a prompt."""

    predicted: int  #: the predicted token's id
    probability: float  #: its probability, 0 to 1
    #: the mean of -ln(probability) of the prompt's own tokens but the first, in nats; NaN for a single token
    mean_loss: float


@dataclass(frozen=True)
class Tensor:
    """A tensor's place in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int  # counted from where the numbers begin

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize

    @property
    def header(self) -> dict[str, object]:
        offsets = [self.begin, self.begin + self.nbytes]
        return {"dtype": KINDS[self.dtype], "shape": list(self.shape), "data_offsets": offsets}


def records_of(entries: Sequence[Entry]) -> bytes:
    return b"".join(entry.line for entry in entries)


def offsets_of(shapes: StageShapes, stage: str, entries: Sequence[Entry]) -> list[int]:
    """Where each prompt's rows (of a stage of one width) or cells begin, and where the last one's end."""
    counts = (shapes.count(stage, len(entry.token_ids)) for entry in entries)
    return [0, *accumulate(counts)]


def layout_of(shapes: StageShapes, entries: Sequence[Entry], dtype: str) -> dict[str, Tensor]:
    """Every tensor of a shard. Wider numbers come first, so that each begins where its kind may."""
    n = len(entries)
    wanted: list[tuple[str, str, tuple[int, ...]]] = [(name, "float64", (n,)) for name in ANSWERS]
    wanted += [(stage + OFFSETS, "int64", (n + 1,)) for stage in shapes.stages]
    for stage in shapes.stages:
        total = offsets_of(shapes, stage, entries)[-1]
        width = shapes.width(stage)
        wanted.append((stage, dtype, (total,) if width is None else (total, width)))
    wanted.append((RECORDS, "uint8", (len(records_of(entries)),)))
    made, begin = {}, 0
    for name, kind, shape in wanted:
        made[name] = Tensor(kind, shape, begin)
        begin += made[name].nbytes
    return made


class Writer:
    """A shard in the making. Threads may put different prompts at the same time."""

    def __init__(self, file: FileIO, shapes: StageShapes, entries: Sequence[Entry], dtype: str):
        self.file, self.shapes, self.dtype = file, shapes, dtype
        self._lock = Lock()
        self._layout = layout_of(shapes, entries, dtype)
        header = json.dumps({name: tensor.header for name, tensor in self._layout.items()}).encode()
        header = header.ljust(-(-len(header) // 8) * 8)
        self._start = 8 + len(header)
        self._offsets = {stage: offsets_of(shapes, stage, entries) for stage in shapes.stages}
        self._answers = np.full((len(ANSWERS), len(entries)), np.nan)
        self._write(0, len(header).to_bytes(8, "little") + header)
        for stage, offsets in self._offsets.items():
            self._put(stage + OFFSETS, 0, np.array(offsets, np.int64))
        self._put(RECORDS, 0, np.frombuffer(records_of(entries), np.uint8))

    def stage(self, name: str, row: int, matrix: np.ndarray) -> None:  # [rows, columns]
        """The stage of one prompt, or of some that follow one another and are alike [prompts, rows, columns]."""
        self._put(name, self._offsets[name][row], np.ascontiguousarray(matrix, self.dtype))

    def answer(self, row: int, answer: Answer) -> None:
        self._answers[:, row] = answer.predicted, answer.probability, answer.mean_loss

    def finish(self) -> None:
        for name, numbers in zip(ANSWERS, self._answers, strict=True):
            self._put(name, 0, numbers)

    def _put(self, name: str, row: int, numbers: np.ndarray) -> None:
        tensor = self._layout[name]
        self._write(self._start + tensor.begin + row * tensor.row_bytes, numbers.reshape(-1).view(np.uint8).data)

    def _write(self, place: int, data: bytes | memoryview) -> None:
        with self._lock:
            self.file.seek(place)
            left = memoryview(data)
            while left:  # an unbuffered file may take a part
                left = left[self.file.write(left) :]


@contextmanager
def writing(path: Path, shapes: StageShapes, entries: Sequence[Entry], dtype: str) -> Iterator[Writer]:
    """A shard that stands at `path` when the block ends well."""
    with atomic.replacing(path) as temporary, temporary.open("wb", buffering=0) as file:
        writer = Writer(file, shapes, entries, dtype)
        yield writer
        writer.finish()


class Shard:
    """A shard's file, mapped. Raises DamagedError where it isn't one."""

    def __init__(self, path: Path, shapes: StageShapes):
        self.path, self.shapes = path, shapes
        try:
            self._places, _ = tensors.located(path)
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._entries = [Entry(**json.loads(line)) for line in self.tensor(RECORDS).tobytes().splitlines()]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DamagedError:
        remedy = "delete it and run the same `sheetgpt batch` again"
        return DamagedError(f"is damaged ({error})", where=self.path, remedy=remedy)

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    @cached_property
    def _answers(self) -> Mapping[str, np.ndarray]:
        return {name: self.tensor(name) for name in ANSWERS}

    def tensor(self, name: str) -> np.ndarray:
        """A tensor as it lies in the file, read-only. Raises KeyError where there is none."""
        place = self._places[name]
        flat = np.frombuffer(self._map, place.dtype, math.prod(place.shape), place.offset)
        return flat.reshape(place.shape)

    def stage(self, name: str, row: int) -> np.ndarray:
        """The stage of one prompt [rows, columns], read-only."""
        try:
            begin, end = self.tensor(name + OFFSETS)[row : row + 2]
            return self.tensor(name)[begin:end].reshape(self.shapes.shape(name, len(self._entries[row].token_ids)))
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from None

    def answer(self, row: int) -> Answer | None:
        """None where something is wrong with the prompt."""
        predicted, probability, mean_loss = (float(self._answers[name][row]) for name in ANSWERS)
        return None if math.isnan(predicted) else Answer(int(predicted), probability, mean_loss)

    def release(self) -> None:
        """Give back the memory of what was looked at; what is looked at later is read again."""
        if hasattr(self._map, "madvise"):  # Windows has none
            self._map.madvise(mmap.MADV_DONTNEED)
