"""A file or folder of arrays as a side: under our stages' names in any layout, or as another program names them.

Files belong in `fixtures.files`, the other programs' names in `fixtures.table`, the layouts in `models.sizes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sheetgpt.diff.sides.side import NEAREST, NOTHING_SAID, Held, Options, Side, known_to
from sheetgpt.diff.texts import Table
from sheetgpt.errors import DamagedError, DumpError
from sheetgpt.fixtures.conventions import OURS, TRANSFORMERLENS
from sheetgpt.fixtures.files import holds_arrays, load
from sheetgpt.fixtures.named import Arrays
from sheetgpt.models import heads
from sheetgpt.models.kinds import known_names
from sheetgpt.models.sizes import Form, Sizes, count_tokens, unchanged
from sheetgpt.models.step import Axis, Role

if TYPE_CHECKING:
    from sheetgpt.fixtures.arrays import Matrices

NPZ = ".npz"
NUMBER = re.compile(r"\d+")
FLOAT64, INT32 = np.dtype("<f8"), np.dtype("<i4")
LARGE = 2**24  # beyond any vocabulary, below the bits of 1.0


class ArraysSide(Side):
    """Arrays by name in a file or folder, each read when it is asked for.

    Those in odd shapes are read when the run's sizes are known (`check`). Raises DumpError where none is called like a
    stage.
    """

    def __init__(self, path: Path):
        self._arrays, about, self._unread = opened(path)
        known = known_to(about, list(self._arrays))
        super().__init__(str(path), known.among(self._arrays), known, about, self._arrays)
        self._raw = self._arrays.raw if isinstance(self._arrays, Arrays) else frozenset()
        self._whole_rows = self._arrays.whole_rows if isinstance(self._arrays, Arrays) else frozenset()
        self._read: dict[str, np.ndarray] = {}
        self._sizes: Sizes | None = None
        if not (self.names or self.unnumbered):
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
        """Raises DamagedError where a file without a header ends before its numbers do."""
        self._sizes = sizes
        for name in self._whole_rows:
            size, expected = self._numbers(name).size, math.prod(sizes.shapes[name])
            if size < expected:
                what = f"holds {size:,} numbers, and the vocabulary has {expected:,} tokens"
                remedy = "it is torn, or of another model: write it again"
                raise DamagedError(what, where=f"{self.label}, {name}", remedy=remedy)

    def read(self, name: str) -> Held:
        array = self._numbers(name)
        turn = self._turn(name, array)

        def place(row: int, column: int) -> str:
            numbered = turn(np.arange(array.size).reshape(array.shape))
            index = np.unravel_index(int(numbered[row, column]), array.shape)
            return f"{self.held_as(name)}[{','.join(map(str, index))}]"

        with np.errstate(invalid="ignore"):  # halves of float64, as long as nobody knows the sizes, may be odd NaN
            return Held(turn(array).astype(np.float64), place, blanks=False)

    def table(self, name: str) -> Table:
        texts = self._arrays.texts(name) if isinstance(self._arrays, Arrays) else None
        if texts is None:
            array = self._numbers(name)
            texts = self._turn(name, array)(array).tolist()
        is_flat_prediction = len(texts) == 1 and name == self.named(Role.PREDICTION)
        return [[cell] for cell in texts[0]] if is_flat_prediction else texts

    def dtype_of(self, name: str) -> str:
        return self._arrays.dtype_of(self.held_as(name))

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
        return {
            **{name: like for name, like in self._unread().items() if name not in self.unnumbered},
            **super().unread,
        }

    @property
    def remark(self) -> str:
        if getattr(self._arrays, "convention", OURS) != TRANSFORMERLENS:
            return ""
        from sheetgpt.fixtures.processing import ONE_MORE, processing

        stages = {name: step for name, step in self.known.stages.items() if name in self.names and not step.is_text}
        more = count_tokens({name: self.shape(name) for name in stages}) - (self._sizes.n_tokens if self._sizes else 0)
        found = ONE_MORE if more == 1 else processing(stages, self._numbers)
        return f"{self.label} {found}." if found else ""

    # -------------------------------------------------------------------------------------------- shapes

    def _numbers(self, name: str) -> np.ndarray:
        """An array as it is held."""
        if name not in self._read:
            self._read[name] = self._arrays[self.held_as(name)]
        array = self._read[name]
        is_raw = self.held_as(name) in self._raw
        if is_raw and name == self.named(Role.TOKENS):
            return whole_numbers(array)
        if is_raw and self._layout(name, array) is None and array.size % 2 == 0:
            doubles = array.view(FLOAT64)
            return array if self._layout(name, doubles) is None else doubles
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
            where, remedy = f"{self.label}, {self.held_as(name)}", "write rows and columns"
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

Opened = tuple["Arrays | Matrices", Mapping[str, Any], Callable[[], Mapping[str, Sequence[str]]]]


def opened(path: Path) -> Opened:
    """(a file's arrays by our names, its manifest, what finds the names nearest to those that aren't known)."""
    from sheetgpt.fixtures.arrays import Matrices

    arrays = load(path)
    known = known_names(list(arrays))
    has_ours = path.suffix.lower() == NPZ or known.among(arrays) or known.unnumbered(arrays)
    if not arrays.manifest and has_ours and is_ours(arrays):
        return as_ours(arrays)
    matrices = Matrices(arrays, every_row=True)
    return matrices, arrays.manifest, lambda: nearest(*matrices.unknown())


def as_ours(arrays: Arrays) -> Opened:
    known = known_names(list(arrays))
    unknown = [name for name in arrays if name not in known]
    return arrays, NOTHING_SAID, lambda: nearest(unknown, [*known.stages, *known.weights])


def is_ours(names: Mapping[str, object]) -> bool:
    """Is no other program known to name arrays so?"""
    from sheetgpt.fixtures.entries import recognise

    known = recognise(names)
    return known is None or known.convention == OURS
