"""Writing the folder of CSV matrices: one file at a time, so that an interruption leaves none that looks whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.atomic import write_file
from sheetgpt.files.journal import Journal, unfinished
from sheetgpt.models.config import CONSTANTS_FILE, Config
from sheetgpt.models.gpt2 import LM_HEAD
from sheetgpt.models.kinds import Shape, matrix_shapes
from sheetgpt.weights.progress import Counter, Progress

Named = tuple[str, Callable[[], np.ndarray]]  # a matrix by its name, had when it is asked for


def write_weights(
    folder: Path,
    config: Config,
    matrices: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]],
    *,
    progress: Progress | None = None,
    journal: Journal | None = None,
) -> None:
    """Write the CSVs and `constants.csv`, one matrix [rows, columns] at a time; `progress` counts numbers.

    Until all is written the folder says that it is unfinished. Matrices that another model left there are removed. With
    a journal that an interrupted call began, the files it finished are kept, and a mapping isn't asked for them. Raises
    WeightsError where a matrix is missing, misshapen or holds what is no finite number.
    """
    folder = Path(folder)
    if journal is None:
        with unfinished(folder) as own:
            write_weights(folder, config, matrices, progress=progress, journal=own)
        return
    untied = LM_HEAD in matrices if isinstance(matrices, Mapping) else True
    shapes = matrix_shapes(config, untied=untied)
    remove_others(folder, shapes)
    counter = Counter(sum(rows * columns for rows, columns in shapes.values()), progress)
    written = set()
    for name, get in _one_by_one(matrices, shapes):
        path = folder / f"{name}.csv"
        if journal.has(path):
            counter.advance(int(np.prod(shapes[name])))
        else:
            write_matrix(path, _checked(name, get(), shapes), counter.advance)
            journal.add(path)
        written.add(name)
    missing = [name for name in matrix_shapes(config, untied=False) if name not in written]
    if missing:
        what = f"was to be written without {missing[0]}"
        raise WeightsError(what, where=folder, remedy="a model has all its matrices")
    write_constants(folder, config)


def _one_by_one(
    matrices: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]], names: Iterable[str]
) -> Iterator[Named]:
    if isinstance(matrices, Mapping):
        yield from ((name, partial(matrices.__getitem__, name)) for name in names)
    else:
        yield from ((name, partial(np.asarray, matrix)) for name, matrix in matrices)


def write_matrix(path: Path, matrix: np.ndarray, progress: Callable[[int], object] | None = None) -> None:
    """One CSV, in bounded memory; `progress` counts numbers."""

    def blocks() -> Iterator[bytes]:
        for block in decimals.to_text(matrix):
            yield block
            if progress:
                progress(block.count(b"\n") * matrix.shape[1])

    try:
        write_file(path, blocks())
    except ValueError as error:
        raise WeightsError(str(error), where=f"{path.stem},", remedy="a model holds finite numbers only") from None


def _checked(name: str, matrix: np.ndarray, shapes: Mapping[str, Shape]) -> np.ndarray:
    if matrix.shape != shapes.get(name):
        expected = " x ".join(map(str, shapes[name])) if name in shapes else "no matrix of this model"
        what = f"is {' x '.join(map(str, matrix.shape))}, not {expected}"
        raise WeightsError(what, where=name, remedy="it was not written")
    return matrix


def write_constants(folder: Path, config: Config) -> None:
    rows = [("name", "value"), *config.rows()]
    write_file(folder / CONSTANTS_FILE, [f"{name},{value}\n".encode() for name, value in rows])


def remove_others(folder: Path, names: Iterable[str]) -> None:
    """Take away the matrices and constants of another model."""
    keep = {f"{name}.csv" for name in names}
    for path in folder.glob("model_*.csv"):
        if path.name not in keep:
            path.unlink()
    (folder / CONSTANTS_FILE).unlink(missing_ok=True)
