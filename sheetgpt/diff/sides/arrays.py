"""A file or folder of arrays as a side: under our stages' names in any layout, or as another program names them.

Files belong in `fixtures.files`, the other programs' names in `fixtures.table`, the layouts in `models.sizes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from sheetgpt.diff.sides.side import NOTHING_SAID, Held, Options, Side, known_to
from sheetgpt.diff.texts import Table
from sheetgpt.errors import DumpError
from sheetgpt.fixtures.files import holds_arrays, load, open_npz
from sheetgpt.fixtures.named import DAMAGED, Arrays, NamedArrays
from sheetgpt.models import heads
from sheetgpt.models.kinds import known_names
from sheetgpt.models.sizes import Form, Sizes, unchanged
from sheetgpt.models.step import Axis, Role

NPZ = ".npz"
OURS = "reference"  # the convention that has our names
NEAREST = 3  # names that are shown for one that isn't known
NUMBER = re.compile(r"\d+")
FLOAT64, INT32 = np.dtype("<f8"), np.dtype("<i4")
LARGE = 2**24  # beyond any vocabulary, below the bits of 1.0


class ArraysSide(Side):
    """Arrays by name, each read when it is asked for; those in odd shapes when the run's sizes are known (`check`)."""

    def __init__(self, path: Path):
        self._arrays, about, self._unread = opened(path)
        known = known_to(about, list(self._arrays))
        super().__init__(str(path), known.among(self._arrays), known, about)
        self._raw = self._arrays.raw if isinstance(self._arrays, Arrays) else frozenset()
        self._read: dict[str, np.ndarray] = {}
        self._sizes: Sizes | None = None
        if not self.names:
            what, remedy = (
                "holds no array that is called like a stage, such as block_0_step_7",
                did_you_mean(self.unread),
            )
            raise DumpError(what, where=path, remedy=remedy)

    @classmethod
    def recognises(cls, text: str) -> bool:
        return holds_arrays(Path(text))

    @classmethod
    def open(cls, text: str, options: Options) -> Self:  # noqa: ARG003 - arrays have none
        return cls(Path(text))

    def check(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def read(self, name: str) -> Held:
        array = self._numbers(name)
        turn = self._turn(name, array)

        def place(row: int, column: int) -> str:
            numbered = turn(np.arange(array.size).reshape(array.shape))
            index = np.unravel_index(int(numbered[row, column]), array.shape)
            return f"{name}[{','.join(map(str, index))}]"

        return Held(turn(array).astype(np.float64), place, blanks=False)

    def table(self, name: str) -> Table:
        texts = self._arrays.texts(name) if isinstance(self._arrays, Arrays) else None
        if texts is not None:
            return texts
        array = self._numbers(name)
        is_flat_prediction = array.ndim == 1 and name == self.named(Role.PREDICTION)
        rows: Table = (array[:, None] if is_flat_prediction else self._turn(name, array)(array)).tolist()
        return rows

    def shows_sizes(self, name: str) -> bool:
        """A flat array shows them where a single row or column is all there is, one of three axes beside its keys."""
        step, weight = self.known.stages.get(name), self.known.weights.get(name)
        shape = without_batch(self._numbers(name).shape)
        if len(shape) == 1:
            is_vector = step is not None and (step.rows is Axis.LAST_TOKEN or step.columns is Axis.LOGIT)
            return is_vector or (weight is not None and weight.is_vector)
        return len(shape) == 2 or (len(shape) == 3 and step is not None and step.by_head)

    @cached_property
    def unread(self) -> Mapping[str, Sequence[str]]:
        return self._unread()

    # -------------------------------------------------------------------------------------------- shapes

    def _numbers(self, name: str) -> np.ndarray:
        """An array as it is held."""
        if name not in self._read:
            self._read[name] = self._checked(name)
        array = self._read[name]
        if name in self._raw and name == self.named(Role.TOKENS):
            return whole_numbers(array)
        if name in self._raw and self._layout(name, array) is None and array.size % 2 == 0:
            doubles = array.view(FLOAT64)
            return array if self._layout(name, doubles) is None else doubles
        return array

    def _checked(self, name: str) -> np.ndarray:
        where = f"{self.label}, {name}"
        try:
            array = np.asarray(self._arrays[name])  # numpy gives bytes for what is no array
        except DAMAGED as error:
            raise DumpError(f"is damaged ({error})", where=where, remedy="write it again") from None
        if array.dtype.kind not in "fiub":
            raise DumpError(f"holds {array.dtype}, not numbers", where=where, remedy="write float32 or float64")
        return array

    def _layout(self, name: str, array: np.ndarray) -> tuple[int, ...] | None:
        """As what the run's sizes read it; None where they aren't known or it fits none of them."""
        known = self._sizes is not None and name in self._sizes.shapes
        return self._sizes.layout_of(name, array) if self._sizes and known else None

    def _turn(self, name: str, array: np.ndarray) -> Form:  # any shape -> [rows, columns]
        """What makes rows and columns of an array; rows and columns of any layout stay as they are."""
        layout = self._layout(name, array)
        if layout is None:
            layout, form = self._plain_layout(name, array)
        else:
            form = unchanged if len(layout) == 2 or self._sizes is None else self._sizes.forms(name)[layout]
        return lambda x: form(x.reshape(layout))

    def _plain_layout(self, name: str, array: np.ndarray) -> tuple[tuple[int, ...], Form]:
        """Axes of length 1 in front are dropped, heads are put side by side, a flat array is a row."""
        shape, step = without_batch(array.shape), self.known.stages.get(name)
        if len(shape) == 3 and step is not None and step.by_head:
            is_token_first = shape[0] == shape[2] != shape[1]
            return shape, heads.joined if is_token_first else heads.side_by_side
        if len(shape) > 2:
            where, remedy = f"{self.label}, {name}", "write rows and columns"
            raise DumpError(f"has {len(shape)} axes {shape}", where=where, remedy=remedy)
        return (1,) * (2 - len(shape)) + shape, unchanged


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length 1 in front, but for rows and columns.

    >>> without_batch((1, 1, 6, 64)), without_batch((1, 64)), without_batch((64,))
    ((6, 64), (1, 64), (64,))
    """
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def whole_numbers(raw: np.ndarray) -> np.ndarray:
    """Token ids as they are meant: int32, where that gives small numbers, as float32 of ids never does.

    >>> whole_numbers(np.array([464, 3290], "<i4").view("<f4")), whole_numbers(np.array([464, 3290], "<f4"))
    (array([ 464, 3290], dtype=int32), array([ 464., 3290.], dtype=float32))
    """
    ids = raw.view(INT32)
    return ids if np.all((ids >= 0) & (ids < LARGE)) else raw


# ------------------------------------------------------------------------------------------------ what isn't read


def nearest(unknown: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """Each unknown name -> the known names that are most like it, of the same block.

    >>> nearest(["block_1_stp_7"], ["logits", "block_0_step_7", "block_1_step_7"])
    {'block_1_stp_7': ['block_1_step_7']}
    """
    by_block: dict[str, list[str]] = {}
    for name in known:
        number = NUMBER.search(name)
        by_block.setdefault(number[0] if number else "", []).append(name)
    found = {}
    for name in unknown:
        alike = [one for number in {"", *NUMBER.findall(name)} for one in by_block.get(number, [])]
        found[name] = get_close_matches(name, alike, n=NEAREST)
    return found


def did_you_mean(unread: Mapping[str, Sequence[str]]) -> str:
    name, like = next(((name, like) for name, like in unread.items() if like), ("", ()))
    end = "`sheetgpt stages` lists the names"
    return f"did you mean {like[0]} by {name}? {end}" if like else end


# ------------------------------------------------------------------------------------------------ opening

Opened = tuple[NamedArrays, Mapping[str, Any], Callable[[], Mapping[str, Sequence[str]]]]


def opened(path: Path) -> Opened:
    """(a file's arrays by our names, its manifest, what finds the names nearest to those that aren't known)."""
    from sheetgpt.fixtures.arrays import Matrices

    if is_npz(path) and is_ours_or_damaged(path):
        return as_ours(plain_npz(path))
    arrays = load(path)
    if not arrays.manifest and known_names(list(arrays)).among(arrays) and is_ours(arrays):
        return as_ours(arrays)
    matrices = Matrices(arrays, every_row=True)
    return matrices, arrays.manifest, lambda: nearest(*matrices.unknown())


def as_ours(arrays: NamedArrays) -> Opened:
    known = known_names(list(arrays))
    unknown = [name for name in arrays if name not in known]
    return arrays, NOTHING_SAID, lambda: nearest(unknown, [*known.stages, *known.weights])


def is_npz(path: Path) -> bool:
    return path.suffix.lower() == NPZ


def is_ours_or_damaged(path: Path) -> bool:
    try:
        arrays = load(path)
    except DumpError:
        return True  # opening it plainly says better what is wrong
    return not arrays.manifest and is_ours(arrays)


def is_ours(names: Mapping[str, object]) -> bool:
    """Is no other program known to name arrays so?"""
    from sheetgpt.fixtures.entries import recognise

    known = recognise(names)
    return known is None or known.convention == OURS


def plain_npz(path: Path) -> NamedArrays:
    try:
        arrays: NamedArrays = open_npz(path)
    except DAMAGED as error:
        raise DumpError(f"can't be read as an npz ({error})", where=path, remedy="write it with numpy.savez") from None
    return arrays
