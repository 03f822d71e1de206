"""Two dumps of training steps side by side: the first matrix that diverges, in the order of the data.

A side is a folder or workbook that `train-step` wrote, or what a port wrote under the same names (`d_logits`,
`step_2_new_model_wte`): a folder of CSVs, an .npz, .safetensors or .json. Comparing runs belongs in `compare`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from sheetgpt.diff import step_side
from sheetgpt.diff.grain import Kind, grain_of
from sheetgpt.diff.matrices import TOLERANCES, Tolerance, finite
from sheetgpt.diff.matrices import compare as compare_matrices
from sheetgpt.diff.sides.side import constants_of
from sheetgpt.dump import read_manifest
from sheetgpt.errors import DumpError
from sheetgpt.files.labelled import read_numbers
from sheetgpt.files.paths import existing
from sheetgpt.fixtures import llmc
from sheetgpt.fixtures.files import FORMATS, load
from sheetgpt.fixtures.named import Arrays
from sheetgpt.models import heads
from sheetgpt.models.config import Config
from sheetgpt.models.step import Step
from sheetgpt.training.matrices import LOSS, What, apart, are_of_training, held_in_steps, in_order, in_step

__all__ = ["Difference", "TrainingReport", "compare", "is_training"]

LOSSES, MATRICES = "losses", "matrices"  # in the manifest of a dump of training steps
STEP_FOLDER = re.compile(r"step_([1-9]\d{0,8})")
JSON = ".json"
JSON_KEY = re.compile(rb'"([^"\\]{1,200})"\s*:')
PRECISIONS: tuple[str, ...] = (Kind.FLOAT64, Kind.FLOAT32, Kind.FLOAT16, Kind.BFLOAT16)  # from the finest
LOOKED_AT = 4  # matrices that show a file's precision, where the file has no types


@dataclass(frozen=True)
class Difference:
    """One matrix on both sides."""

    name: str  #: the matrix
    shapes: tuple[tuple[int, ...], tuple[int, ...]]  #: LEFT's and RIGHT's
    largest: float  #: of `|left - right|`; NaN where the shapes don't fit
    cells_out: int  #: how many are beyond the tolerance
    note: str = ""  #: what the figures can't say

    @property
    def equal(self) -> bool:
        """Are all cells within the tolerance?"""
        return self.cells_out == 0


@dataclass(frozen=True)
class TrainingReport:
    """Every matrix that both sides have, in the order of the data, and the names that only one has."""

    matrices: list[Difference]  #: in the order of the data
    missing: list[str]  #: names that only one side has

    @property
    def first(self) -> Difference | None:
        """The first matrix that diverges."""
        return next((one for one in self.matrices if not one.equal), None)


@dataclass(frozen=True)
class TrainingSide:
    """The matrices of training steps by name, each read when it is asked for; later steps' with `step_N_` before it."""

    readers: Mapping[str, Callable[[], np.ndarray]]  # name -> what reads the matrix, [rows, columns]
    is_ordered: bool = True  # do they stand in the order of the data?
    precision: str | None = PRECISIONS[0]  # None: each matrix has its own type
    config: Config | None = None  # of its model, where it says so
    learned_from: tuple[list[int], list[int]] | None = None  # (ids, targets), where it says so

    def precision_of(self, matrix: np.ndarray) -> str:
        own = matrix.dtype.name if matrix.dtype.name in PRECISIONS else PRECISIONS[0]
        return self.precision or own


def is_training(side: str) -> bool:
    """Is it, as it is typed, a dump of training steps, or are a port's matrices called so?"""
    path = existing(side)
    if path is None:
        return step_side.is_typed(side)
    if llmc.recognises(path):
        return True
    if path.is_dir() and (about := read_manifest(path)):
        return LOSSES in about
    return are_of_training(names_in(path))


def names_in(path: Path) -> set[str]:
    """What may be names of matrices in a file or folder; nothing where it can't be read: opening it says better why."""
    if path.is_dir():
        return {name for name, _ in csvs_in(path)}
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        return names_in_workbook(path)
    try:
        if suffix == JSON:  # subtle: parsing a large one takes long, and the side that it is will parse it
            return {key.decode(errors="replace") for key in JSON_KEY.findall(path.read_bytes())}
        return set(load(path))
    except (OSError, DumpError):
        return set()


def names_in_workbook(path: Path) -> set[str]:
    from sheetgpt.workbook.reading.names import defined_names
    from sheetgpt.workbook.reading.open import SUFFIXES

    return set(defined_names(path)) if path.suffix.lower() in SUFFIXES else set()


# ------------------------------------------------------------------------------------------------ comparing


def compare(
    left: str,
    right: str,
    atol: float | None = None,
    rtol: float | None = None,
    weights: str | Path | None = None,
) -> TrainingReport:
    """The comparison of two sides. Raises DumpError where one can't be read, or nothing is on both.

    atol, rtol: in place of what `tolerance_for` allows. weights: of a step that is computed on the spot, or of the
    model that wrote llm.c's debug state.
    """
    a, b = opened_both(left, right, weights)
    shared = [name for name in (a if a.is_ordered else b).readers if name in a.readers and name in b.readers]
    if not shared:
        raise DumpError(
            f"{left} and {right} have no matrix of one name", remedy="call them d_logits, new_model_wte and so on"
        )
    order = shared if a.is_ordered or b.is_ordered else in_order(shared)
    masked = masked_among(order)
    found = []
    for name in order:
        one, other = read(a, name, left), read(b, name, right)
        coarser = max(a.precision_of(one), b.precision_of(other), key=PRECISIONS.index)
        one, other = fitted(one.astype(np.float64), other.astype(np.float64))
        found.append(difference(name, one, other, tolerance_for(coarser, other, atol, rtol), masked=name in masked))
    return TrainingReport(found, sorted(set(a.readers) ^ set(b.readers)))


def fitted(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both matrices, RIGHT's row as a column where LEFT has a column, and the other way round."""
    is_turned = 1 in left.shape and right.shape == left.shape[::-1]
    return left, right.T if is_turned else right


def tolerance_for(coarser: str, right: np.ndarray, atol: float | None, rtol: float | None) -> Tolerance:
    """What may differ: as in runs; but where a side is coarser than float64, `atol` is a part of the largest number.

    Gradients may all be far below 1: what is noise in stages would hide them.
    """
    usual, finest = TOLERANCES[Kind(coarser)], TOLERANCES[Kind.FLOAT64]
    largest = float(np.abs(finite(right)).max(initial=0))
    of_size = max(finest.atol, usual.atol * min(1.0, largest))
    return Tolerance(of_size if atol is None else atol, usual.rtol if rtol is None else rtol)


def masked_among(names: Collection[str]) -> set[str]:
    """The stages whose cells may be masked."""
    steps = held_in_steps([apart(name)[2] for name in names])
    return {name for name in names if isinstance(step := steps.get(stage_of(name)), Step) and step.op.masked}


def stage_of(name: str) -> str:
    """The stage or weight that a matrix is; nothing where it is a gradient or what training makes of a weight."""
    _, what, of = apart(name)
    return of if what is What.STAGE else ""


def difference(
    name: str, left: np.ndarray, right: np.ndarray, tolerance: Tolerance, *, masked: bool = False
) -> Difference:
    shapes = left.shape, right.shape
    if left.shape != right.shape:
        note = transposed(left, right, tolerance, masked=masked)
        return Difference(name, shapes, float("nan"), max(left.size, right.size, 1), note)
    distance, out = compare_matrices(left, right, tolerance, masked=masked)
    note = transposed(left, right, tolerance, masked=masked) if out.any() else ""
    return Difference(name, shapes, float(distance.max(initial=0)), int(np.count_nonzero(out)), note)


def transposed(left: np.ndarray, right: np.ndarray, tolerance: Tolerance, *, masked: bool) -> str:
    """That RIGHT's is LEFT's transposed, in words; of square ones only where the numbers say so."""
    if left.shape != right.shape[::-1] or min(left.shape, default=0) < 2:
        return ""
    is_same = not compare_matrices(left, right.T, tolerance, masked=masked)[1].any()
    if left.shape == right.shape:
        return "RIGHT's is transposed" if is_same else ""
    return "RIGHT's is transposed" if is_same else "RIGHT's has the shape of the transpose, and its numbers differ too"


# ------------------------------------------------------------------------------------------------ reading


UNREADABLE = (OSError, ValueError, TypeError, BadZipFile, KeyError)


def opened_both(left: str, right: str, weights: str | Path | None) -> tuple[TrainingSide, TrainingSide]:
    """Both sides, as they are typed; some need what only the other one knows. Raises DumpError."""
    states = {side: state for side in (left, right) if (state := step_side.state_at(side)) is not None}
    batch = next((step_side.Batch(state.ids, state.targets) for state in states.values()), None)
    spot = step_side.Spot(weights, batch)
    others = {side: opened(side) for side in (left, right) if side not in states and not step_side.is_typed(side)}
    for side, other in others.items():
        for state in states.values():
            if other.learned_from is not None:
                step_side.require_same(state, *other.learned_from, side)
    typed = [side for side in (left, right) if step_side.is_typed(side)]
    config = next(filter(None, (other.config for other in others.values())), None)
    config = spot.model.config if typed and states else step_side.constants(config, weights)
    read = {side: TrainingSide(state.readers(config), precision=Kind.FLOAT32) for side, state in states.items()}
    on_spot = {side: TrainingSide(spot.step(side)) for side in typed}
    left_side, right_side = ({**others, **on_spot, **read}[side] for side in (left, right))
    return left_side, right_side


def opened(side: str) -> TrainingSide:
    """A dump of training steps, or a port's matrices. Raises DumpError where it can't be opened."""
    path = existing(side)
    if path is None:
        raise DumpError(
            "is no dump of training steps", where=side, remedy="compare it with a `train-step` dump, or train-step:TEXT"
        )
    try:
        if path.is_dir():
            about = read_manifest(path)
            return dump_side(path, about) if LOSSES in about else csvs_side(path, about)
        return arrays_side(path) if path.suffix.lower() in FORMATS else workbook_side(path)
    except UNREADABLE as error:
        raise unreadable(side, error) from None


def read(side: TrainingSide, name: str, label: str) -> np.ndarray:
    """One matrix of a side. Raises DumpError where it can't be read."""
    try:
        return side.readers[name]()
    except UNREADABLE as error:
        raise unreadable(label, error) from None


def unreadable(side: str, error: Exception) -> DumpError:
    return DumpError(f"{side} can't be read as training steps ({error})", remedy="dump it again")


def dump_side(folder: Path, about: Mapping[str, Any]) -> TrainingSide:
    """What `train-step --dump-csv` wrote."""
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for number, loss in enumerate(about[LOSSES], 1):
        for name in about[MATRICES]:
            file = folder / f"step_{number}" / f"{name}.csv"
            readers[in_step(number, name)] = partial(np.loadtxt, file, delimiter=",", ndmin=2)
        readers[in_step(number, LOSS)] = partial(np.full, (1, 1), loss, np.float64)
    learned_from = (about["ids"], about["targets"]) if {"ids", "targets"} <= about.keys() else None
    return TrainingSide(readers, config=constants_of(about), learned_from=learned_from)


def csvs_side(folder: Path, about: Mapping[str, Any]) -> TrainingSide:
    """A folder without our manifest: one of our steps, or a port's matrices; what stands beside them is left alone."""
    if about:
        raise DumpError("is a run, not training steps", where=folder, remedy="compare two `train-step` dumps")
    files = dict(csvs_in(folder))
    steps = held_in_steps([apart(name)[2] for name in files])
    readers = {name: partial(numbers_in, file) for name, file in files.items() if stage_of(name) in {"", *steps}}
    return TrainingSide(readers, is_ordered=False, precision=seen_precision(readers))


def numbers_in(file: Path) -> np.ndarray:  # [rows, columns]
    return read_numbers(file).numbers


def csvs_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The CSVs of a folder by their matrices' names: `NAME.csv`, and `step_N/NAME.csv` under its name in step N."""
    for path in sorted(folder.glob("*.csv")):
        yield path.stem, path
    for inner in sorted(folder.glob("step_*")):
        if number := STEP_FOLDER.fullmatch(inner.name):
            yield from ((in_step(int(number[1]), path.stem), path) for path in sorted(inner.glob("*.csv")))


def arrays_side(path: Path) -> TrainingSide:
    arrays = load(path)
    readers = {name: partial(matrix_in, arrays, name) for name in arrays}
    held = {arrays.dtype_of(name) for name in arrays}
    seen = seen_precision(readers) if path.suffix.lower() == JSON else Kind.BFLOAT16 if Kind.BFLOAT16 in held else None
    return TrainingSide(readers, is_ordered=False, precision=seen)


def matrix_in(arrays: Arrays, name: str) -> np.ndarray:  # [n], [..., rows, columns] or [H, T, K] -> [rows, columns]
    """As a port may hold it: a vector, axes of length 1 in front, heads on an axis of their own."""
    array = arrays[name]
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > 3:
        where = f"{arrays.path}, {name}"
        raise DumpError(f"has {array.ndim} axes {array.shape}", where=where, remedy="write rows and columns")
    return heads.side_by_side(array) if array.ndim == 3 else np.atleast_2d(array)


def seen_precision(readers: Mapping[str, Callable[[], np.ndarray]]) -> str:
    """The coarsest type that holds the first gradients, where a file says nothing of types."""
    gradients = [name for name in readers if apart(name)[1] is What.GRADIENT]
    kinds = [grain_of(readers[name]()).kind for name in gradients[:LOOKED_AT]]
    found = [kind.value for kind in kinds if kind in PRECISIONS]
    return min(found, key=PRECISIONS.index, default=PRECISIONS[0])


def workbook_side(path: Path) -> TrainingSide:
    """A workbook's matrices; NaN where a cell holds no number. What holds none at all is no matrix."""
    from sheetgpt.training.workbook.layout import matrix_names
    from sheetgpt.workbook.reading.open import Workbook

    book = Workbook(path)
    found = {name: book.part(book.names[name])[0] for name in matrix_names(book.names)}
    return TrainingSide(
        {name: matrix.view for name, matrix in found.items() if not np.isnan(matrix).all()}, is_ordered=False
    )
