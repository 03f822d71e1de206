"""What a side holds beside plain numbers: error values, blank cells, texts; and rows that pad a vocabulary.

Comparing the numbers belongs in `compare`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sheetgpt.diff.sides import Held
from sheetgpt.diff.sides.side import is_error_value
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Axis


def holds(sizes: Sizes, name: str, held: Held, cells: Collection[tuple[int, int]]) -> np.ndarray:
    """Which cells of our layout are among these of a side's own: [rows, columns] bool."""
    there = np.zeros(held.numbers.shape)
    for cell in cells:
        there[cell] = 1
    ours = sizes.fitted(name, there)
    found: np.ndarray = (there if ours is None else ours) == 1
    return found


def unlike(sizes: Sizes, name: str, held: Sequence[Held], shape: tuple[int, ...]) -> np.ndarray:
    """The cells where one side holds an error value and the other side another one, or none."""
    errors = [one.errors for one in held]
    out = np.zeros(shape, bool)
    for kind in {kind for found in errors for kind in found.values()}:
        cells = [[cell for cell, value in found.items() if value == kind] for found in errors]
        left, right = (holds(sizes, name, one, there) for one, there in zip(held, cells, strict=True))
        out |= left ^ right
    return out


def spelled(content: object) -> str:
    """A cell's content as it is named.

    >>> spelled(float("nan")), spelled("#N/A"), spelled("two")
    ('NaN', '#N/A', "'two'")
    """
    if content is None:
        return "blank"
    if isinstance(content, float) or str(content).lower() == "nan":
        return "NaN"
    return str(content) if is_error_value(content) else repr(content)


# ------------------------------------------------------------------------------------------------ vocabulary


def has_vocabulary(sizes: Sizes, name: str) -> bool:
    """Has a stage or weight a row a token of the vocabulary?"""
    known = sizes.step(name) or sizes.weights.get(name)
    return known is not None and known.rows is Axis.VOCABULARY


def unpadded(sizes: Sizes, name: str, numbers: np.ndarray) -> np.ndarray:
    """The numbers without what a vocabulary has beyond its tokens; the same array where it has nothing."""
    forms = sizes.forms(name) if has_vocabulary(sizes, name) else {}
    if not forms or numbers.shape in forms:
        return numbers
    rows = sizes.shapes[name][0]
    parts = (numbers[:rows], numbers[:, :rows])
    return next((part for part in parts if part.shape in forms), numbers)
