"""The folder of CSV matrices as a model: its constants, and its matrices, read through the cache.

Files that are missing are refused here, misshapen ones in `shapes`, torn ones in `decimals`; writing is in `writing`.
What a model's matrices are belongs in `models`, numbers and copies in `files`, published checkpoints in `convert`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals, foreign
from sheetgpt.files.cache import Cache, release
from sheetgpt.files.journal import UNFINISHED
from sheetgpt.files.paths import existing
from sheetgpt.models.config import CONSTANTS_FILE, Config
from sheetgpt.models.gpt2 import LM_HEAD, WTE
from sheetgpt.models.kinds import Shape, matrix_shapes
from sheetgpt.weights.embedded import EMBEDDED, embedded_folder, folder_name, named_folder, or_a_name
from sheetgpt.weights.progress import Counter, Progress
from sheetgpt.weights.shapes import (
    AGAIN,
    first_row,
    header_error,
    infer_config,
    is_header,
    require_shape,
    require_shares,
)
from sheetgpt.weights.writing import write_weights

__all__ = [
    "EMBEDDED",
    "Weights",
    "embedded_folder",
    "folder_name",
    "load_weights",
    "named_folder",
    "read_config",
    "write_weights",
]

DTYPES = ("float32", "float64")
LARGE = 1 << 20  # bytes of a matrix whose memory is worth giving back
HASHED_AT_ONCE = 2  # matrices
READERS = 2  # CSVs read at once: one is parsed while another is read from and written to the disk


class Weights(Mapping[str, np.ndarray]):
    """A model's matrices by name, [rows, columns] each, read-only; large ones are mapped from disk."""

    def __init__(self, matrices: Mapping[str, np.ndarray], config: Config, folder: Path, dtype: str):
        self._matrices, self.config, self.folder, self.dtype = dict(matrices), config, folder, dtype

    def __getitem__(self, name: str) -> np.ndarray:
        return self._matrices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._matrices)

    def __len__(self) -> int:
        return len(self._matrices)

    def __repr__(self) -> str:
        return f"<Weights {self.folder} {self.dtype}: {len(self)} matrices>"

    @property
    def untied(self) -> bool:
        """Has the language head a matrix of its own?"""
        return LM_HEAD in self._matrices

    @cached_property
    def digest(self) -> bytes:
        """32 bytes, a hash of all numbers in the matrices' order: of equal matrices in one dtype it is equal."""
        whole = hashlib.sha256()
        with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
            for one in pool.map(digest_of, self.values()):
                whole.update(one)
        return whole.digest()

    def in_passing(self) -> Weights:
        """The same matrices, of which the large ones are in memory one at a time, where they are mapped from disk."""
        return _Passing(self._matrices, self.config, self.folder, self.dtype)


def digest_of(matrix: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(matrix).data).digest()  # processors have instructions for it


class _Passing(Weights):
    """Weights that let go of the large matrix asked for before when the next one is asked for."""

    _last: np.ndarray | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        matrix = super().__getitem__(name)
        if matrix.nbytes >= LARGE:
            if self._last is not None and self._last is not matrix:
                release(self._last)
            self._last = matrix
        return matrix


def load_weights(folder: str | Path, dtype: str = "float64", *, progress: Progress | None = None) -> Weights:
    """Every matrix of a folder, [rows, columns] each; `progress` counts bytes where CSVs must be read because the cache
    has no copy.

    float64: the CSV's decimals as doubles, as a spreadsheet has them; float32: as PyTorch has them. Raises WeightsError
    where the folder is none, or a file is missing, torn, misshapen or no numbers.
    """
    folder, dtype = named_folder(folder), np.dtype(dtype).name
    if dtype not in DTYPES:
        raise WeightsError(f"numbers are read as {' or '.join(DTYPES)}, not {dtype}")
    with weights_errors(folder):
        config = read_config(folder)
        require_files(folder, matrix_shapes(believed(config, folder)))
        shapes = matrix_shapes(config, untied=(folder / f"{LM_HEAD}.csv").exists())
        matrices = read_matrices(folder, shapes, Cache(folder, dtype), progress)
        for name, matrix in matrices.items():
            require_shares(folder / f"{name}.csv", config, matrix)
        return Weights(matrices, config, folder, dtype)


def read_matrices(
    folder: Path, shapes: Mapping[str, Shape], cache: Cache, progress: Progress | None
) -> dict[str, np.ndarray]:
    """The matrices by name; those of which the cache has no copy are read from their CSVs, some at a time."""
    copies = {name: cache.get(folder / f"{name}.csv") for name in shapes}
    paths = [folder / f"{name}.csv" for name in shapes if copies[name] is None]
    counter = Counter(sum(path.stat().st_size for path in paths), progress)
    matrices = {}
    with (
        ThreadPoolExecutor(READERS) as pool,
        closing(pool.map(lambda path: cache.read(path, counter.advance), paths)) as read,  # type: ignore[type-var]
    ):
        for name, shape in shapes.items():  # the first fault in this order is raised, and ends reading
            copy = copies[name]
            matrices[name] = matrix = next(read) if copy is None else copy
            require_shape(folder / f"{name}.csv", matrix.shape, shape)
    return matrices


def read_config(folder: Path) -> Config:
    """The constants in `constants.csv`; without it inferred from the shapes, the head size being the reference's.

    Raises WeightsError where the folder is no whole model, or the constants are none.
    """
    _require_model(folder)
    path = folder / CONSTANTS_FILE
    if not path.exists():
        return _inferred_config(folder)
    try:
        return Config.read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"cannot be read ({error})", where=path, remedy="write it again as UTF-8 text") from None


def _require_model(folder: Path) -> None:
    if existing(str(folder)) is None or not folder.is_dir():
        refuse_foreign(folder)
        raise WeightsError("is no folder", where=folder, remedy=f"name the folder that holds {WTE}.csv, {or_a_name()}")
    if (folder / UNFINISHED).exists():
        what = "is unfinished, writing it was interrupted"
        raise WeightsError(what, where=folder, remedy="run the command that writes it again")
    if not any((folder / name).exists() for name in (f"{WTE}.csv", CONSTANTS_FILE)):
        if (folder / "config.json").exists():
            remedy = f"first `sheetgpt convert-weights {folder} DEST`"
            raise WeightsError("is a Hugging Face folder", where=folder, remedy=remedy)
        refuse_foreign(folder)
        what = f"has no {WTE}.csv, so it holds no model"
        raise WeightsError(what, where=folder, remedy="name another folder")


def refuse_foreign(path: Path) -> None:
    """Raises WeightsError where a file or folder is known to be something else than a CSV folder."""
    found = foreign.of_path(path)
    if found:
        raise WeightsError(found.what, where=path, remedy=found.remedy)


def believed(config: Config, folder: Path) -> Config:
    """The constants with no more blocks than the folder may have: each has a file at least."""
    count = sum(1 for _ in folder.glob("model_*.csv"))
    return replace(config, n_layer=min(config.n_layer, count + 1))


def require_files(folder: Path, names: Iterable[str]) -> None:
    missing = [f"{name}.csv" for name in names if not (folder / f"{name}.csv").exists()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        remedy = f"{AGAIN}, or correct {CONSTANTS_FILE}"
        raise WeightsError(f"has no {missing[0]}{others}", where=folder, remedy=remedy)


def _inferred_config(folder: Path) -> Config:
    caches = [Cache(folder, dtype) for dtype in DTYPES]

    def shape(name: str) -> Shape:
        csv = folder / f"{name}.csv"
        for cache in caches:
            if known := cache.shape(csv):
                return known
        if is_header(first_row(csv)):
            raise header_error(csv)
        with csv.open("rb") as file:
            return decimals.count_shape(file)

    return infer_config(folder, {path.stem for path in folder.glob("model_*.csv")}, shape)


@contextmanager
def weights_errors(folder: Path) -> Iterator[None]:
    """What the system refuses, as one line."""
    try:
        yield
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise WeightsError(what, where=error.filename or folder) from None
