"""What wrong cells have in common, in words: a row, a head, a constant, another order; and NaN where it begins.

A pattern compares a matrix with what it should be, cell by cell, and knows what a stage's axes count. It names no
mistake: that is for `mistakes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sheetgpt.models.step import Axis, Role, Step

FEW = 3  # rows, columns or heads that are named one by one
DROPPED_OF = 16  # cells, below which no share of them says anything


@dataclass(frozen=True)
class Wrong:
    """A stage's matrix beside what it should be."""

    step: Step
    expected: np.ndarray  # [rows, columns]
    found: np.ndarray  # the same shape
    allowed: np.ndarray  # what each cell may differ by
    n_head: int = 1
    no_numbers: Mapping[tuple[int, int], str] = field(default_factory=dict)  # what stands in cells of NaN, by its name

    @property
    def difference(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            difference: np.ndarray = self.found - self.expected
        return difference

    @property
    def out(self) -> np.ndarray:
        """Which cells differ by more than is allowed; what is no number always does."""
        out: np.ndarray = ~(np.abs(self.difference) <= self.allowed)
        return out

    def close(self, found: np.ndarray, expected: np.ndarray) -> bool:
        """Would these be equal, by this stage's own measure?"""
        with np.errstate(invalid="ignore"):
            return bool(
                np.all(np.abs(found - expected) <= 2 * float(np.max(self.allowed)) + 0 * self.allowed.ravel()[0])
            )


def in_words(wrong: Wrong) -> str:
    """What the wrong cells have in common; empty where nothing does."""
    if not wrong.out.any() or wrong.found.size < 2:
        return ""
    return next(filter(None, (pattern(wrong) for pattern in PATTERNS)), "")


# ------------------------------------------------------------------------------------------------ numbers that are none


def not_numbers(wrong: Wrong) -> str:
    """NaN, error values, blank cells and infinities by their names, how many, and where they begin."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row, column in np.argwhere(np.isnan(wrong.found) & ~np.isnan(wrong.expected)).tolist():
        found.setdefault(wrong.no_numbers.get((row, column), "NaN"), []).append((row, column))
    if not found:
        infinite = np.argwhere(np.isinf(wrong.found) & ~np.isinf(wrong.expected)).tolist()
        found = {"infinite": [(row, column) for row, column in infinite]} if infinite else {}
    return "; ".join(counted(name, cells, wrong.found.size) for name, cells in list(found.items())[:FEW])


def counted(name: str, cells: list[tuple[int, int]], size: int) -> str:
    """How many cells are such, and which is the first.

    >>> counted("#N/A", [(0, 2), (1, 2)], 6), counted("NaN", [(0, 0)], 1)
    ('2 of 6 cells are #N/A, the first at row 0, column 2', 'all cells are NaN')
    """
    if len(cells) == size:
        return f"all cells are {name}"
    row, column = cells[0]
    are = f"{len(cells):,} of {size:,} cells are" if len(cells) > 1 else f"1 of {size:,} cells is"
    return f"{are} {name}, the first at row {row}, column {column}"


# ------------------------------------------------------------------------------------------------ everywhere alike


def constant_added(wrong: Wrong) -> str:
    d = wrong.difference
    if not np.isfinite(d).all() or not wrong.out.all():
        return ""
    middle = float(np.median(d))
    spread = np.abs(d - middle)
    if not np.all(spread <= np.maximum(wrong.allowed, 1e-6 * abs(middle))):
        return ""
    same = "; the probabilities are the same" if wrong.step.role is Role.LOGITS else ""
    return f"a constant is added everywhere, {middle:.6g}{same}"


def factor(wrong: Wrong) -> str:
    e, f = wrong.expected, wrong.found
    if not np.isfinite(f).all():
        return ""
    counted = np.abs(e) > np.maximum(100 * wrong.allowed, 1e-3 * np.abs(e).max(initial=0))
    if counted.sum() < max(2, e.size // 8):
        return ""
    times = float(np.median(f[counted] / e[counted]))
    if abs(times) < 1e-6 or abs(times - 1) < 1e-9:
        return ""
    if not np.all(np.abs(f - times * e) <= wrong.allowed * max(1.0, abs(times)) + 1e-6 * np.abs(f)):
        return ""
    return f"every cell is {times:.6g} times what it should be"


def dropped(wrong: Wrong) -> str:
    """Some cells 0, the others larger by as much as makes up for them."""
    e, f = wrong.expected, wrong.found
    counted = np.abs(e) > 100 * wrong.allowed
    if not np.isfinite(f).all() or counted.sum() < DROPPED_OF:
        return ""
    zero = counted & (f == 0)
    share, kept = float(zero.sum() / counted.sum()), counted & ~zero
    if not 0 < share < 1 or not kept.any():
        return ""
    times = float(np.median(f[kept] / e[kept]))
    if times <= 1 or not np.all(np.abs(f - times * e)[kept] <= wrong.allowed[kept] * times + 1e-6 * np.abs(f[kept])):
        return ""
    return f"dropout left on: {share:.0%} of the cells are 0, the others {times:.6g} times what they should be"


def all_zero(wrong: Wrong) -> str:
    return "all cells are 0" if not wrong.found.any() and wrong.expected.any() else ""


def transposed(wrong: Wrong) -> str:
    rows, columns = wrong.expected.shape
    if rows != columns or rows < 2:
        return ""
    return "it is transposed" if wrong.close(wrong.found.T, wrong.expected) else ""


def flattened(wrong: Wrong) -> str:
    """The same numbers in the order of columns instead of rows."""
    e = wrong.expected
    if min(e.shape) < 2 or not wrong.close(wrong.found, e.ravel(order="F").reshape(e.shape)):
        return ""
    return "its numbers stand column after column instead of row after row"


# ------------------------------------------------------------------------------------------------ rows and columns


def rows_alike(wrong: Wrong) -> str:
    rows = len(wrong.found)
    if rows < 3 or not np.isfinite(wrong.found).all():
        return ""
    if wrong.close(wrong.found, np.broadcast_to(wrong.found[:1], wrong.found.shape)):
        name = row_name(wrong, 0)
        return f"all rows are the same as {name}" if not wrong.out[0].any() else "all rows are the same"
    return ""


def some_rows(wrong: Wrong) -> str:
    return lines(wrong, np.asarray(wrong.out.any(axis=1)), row_name, "rows")


def some_columns(wrong: Wrong) -> str:
    if wrong.step.columns is Axis.HEADS_BY_KEYS:
        return ""
    return lines(wrong, np.asarray(wrong.out.any(axis=0)), column_name, "columns")


def lines(wrong: Wrong, out: np.ndarray, name: Callable[[Wrong, int], str], what: str) -> str:
    """The few lines that are wrong, or the few that are right."""
    count, bad = len(out), np.flatnonzero(out).tolist()
    good = [i for i in range(count) if not out[i]]
    if count < 3 or not good:
        return ""
    if bad == list(range(bad[0], count)) and bad[0] > 0 and len(bad) > FEW:
        return f"{what} from {name(wrong, bad[0])} on are wrong" if bad[0] > 1 else f"only {name(wrong, 0)} is right"
    if len(bad) <= min(FEW, count // 2):
        return f"only {listed([name(wrong, i) for i in bad])} {'is' if len(bad) == 1 else 'are'} wrong"
    if len(good) <= min(FEW, count // 3):
        return f"only {listed([name(wrong, i) for i in good])} {'is' if len(good) == 1 else 'are'} right"
    return ""


def row_name(wrong: Wrong, row: int) -> str:
    return f"token id {row}" if wrong.step.rows is Axis.VOCABULARY else f"row {row}"


def column_name(_wrong: Wrong, column: int) -> str:
    return f"column {column}"


# ------------------------------------------------------------------------------------------------ heads


def heads_of(wrong: Wrong, array: np.ndarray) -> np.ndarray | None:  # [T, H w] -> [H, T, w]
    if wrong.step.columns not in (Axis.HEADS_BY_KEYS, Axis.HEADS_BY_DIMENSIONS) or wrong.n_head < 2:
        return None
    return array.reshape(len(array), wrong.n_head, -1).swapaxes(0, 1)


def swapped_heads(wrong: Wrong) -> str:
    """Heads that hold what other heads should."""
    found, expected = heads_of(wrong, wrong.found), heads_of(wrong, wrong.expected)
    if found is None or expected is None:
        return ""
    bad = [h for h in range(len(found)) if not wrong.close(found[h], expected[h])]
    came = {h: [o for o in range(len(found)) if o != h and wrong.close(found[h], expected[o])] for h in bad}
    if len(bad) < 2 or not all(came.values()):
        return ""
    if len(bad) == 2 and came[bad[0]] == [bad[1]]:
        return f"heads {bad[0]} and {bad[1]} are swapped"
    return "heads stand in another order: " + ", ".join(f"{h} holds {came[h][0]}" for h in bad[: 2 * FEW])


def some_heads(wrong: Wrong) -> str:
    out = heads_of(wrong, wrong.out)
    if out is None:
        return ""
    bad = np.flatnonzero(out.any(axis=(1, 2))).tolist()
    if len(bad) == len(out):
        return ""
    zero = heads_of(wrong, wrong.found)
    empty = zero is not None and not any(zero[h].any() for h in bad)
    what = "was never written (all 0)" if empty and len(bad) == 1 else "were never written (all 0)" if empty else None
    names = f"head{'s' if len(bad) > 1 else ''} {listed([str(h) for h in bad])}"
    return f"{names} {what}" if what else f"only {names} {'are' if len(bad) > 1 else 'is'} wrong"


def listed(names: list[str]) -> str:
    """Names as a person says them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


PATTERNS: tuple[Callable[[Wrong], str], ...] = (
    not_numbers,
    all_zero,
    constant_added,
    factor,
    dropped,
    transposed,
    flattened,
    rows_alike,
    swapped_heads,
    some_heads,
    some_rows,
    some_columns,
)
