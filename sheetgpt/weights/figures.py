"""A matrix in figures, gathered block by block as its file is read, and what is odd about its numbers."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sheetgpt.weights.shapes import AGAIN

__all__ = ["Figures"]

REWRITE = "`sheetgpt convert-weights FOLDER DEST` writes it regularly"
OUTLIER = 4  # a channel is an outlier where its root mean square is more than this many times the matrix's
SAMPLE = 4096  # numbers of a file whose digits are counted
# the shortest decimals of a float32 have seven digits or more in 97 of 100
FEW_DIGITS, SUSPECT_SHARE, ROUND_SHARE, ENOUGH = 6, 0.2, 0.8, 100
MANTISSA = re.compile(rb"[-+]?([\d.]+)")
NO_SPREADSHEET = f"{AGAIN}, and don't save it with a spreadsheet program"
WRONG, ODD = "wrong", "odd"


class Remark(NamedTuple):
    """What stands out in a matrix, and what to do about it."""

    level: str  # WRONG or ODD
    what: str
    remedy: str


@dataclass(frozen=True)
class Figures:
    """A matrix in figures."""

    name: str  #: of the matrix
    rows: int  #: how many
    columns: int  #: how many
    mean: float  #: of all its numbers
    deviation: float  #: the standard deviation of all its numbers
    minimum: float  #: the least number
    maximum: float  #: the greatest number
    zeros: int  #: how many numbers are 0
    outliers: list[int]  #: columns whose root mean square is more than 4 times the matrix's, the strongest first


class Tally:
    """A matrix's figures, gathered block by block."""

    def __init__(self, name: str):
        self.name = name
        self.rows = self.columns = self.zeros = 0
        self.sums = self.squares = np.zeros(0)  # of each column
        self.minimum, self.maximum = math.inf, -math.inf
        self.constant: list[int] = []  # rows, from 1
        self.twins: list[tuple[int, int]] = []
        self.first_row: dict[bytes, int] = {}
        self.digits: list[int] = []  # of some numbers that are not 0

    def add(self, text: bytes, block: np.ndarray) -> None:
        if not self.rows:
            self.columns = block.shape[1]
            self.sums = self.squares = np.zeros(self.columns)
        self.sums = self.sums + block.sum(0)
        self.squares = self.squares + np.square(block).sum(0)
        self.minimum = min(self.minimum, float(block.min()))
        self.maximum = max(self.maximum, float(block.max()))
        self.zeros += block.size - int(np.count_nonzero(block))
        if self.columns > 1:
            self.constant += (self.rows + 1 + np.flatnonzero(block.min(1) == block.max(1))).tolist()
        for number, row in enumerate(block, start=self.rows + 1):
            twin = self.first_row.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), number)
            if twin != number:
                self.twins.append((twin, number))
        wanted = SAMPLE - len(self.digits)
        cells = text[: 32 * wanted].replace(b"\n", b",").split(b",")[:wanted]
        self.digits += [count for count in map(significant_digits, cells) if count]
        self.rows += len(block)

    def figures(self) -> Figures:
        count = self.rows * self.columns
        mean = self.sums.sum() / count
        strength = np.sqrt(self.squares / self.rows)
        order = np.argsort(-strength)
        outliers = order[strength[order] > OUTLIER * np.sqrt(self.squares.sum() / count)]
        return Figures(
            self.name,
            self.rows,
            self.columns,
            float(mean),
            float(np.sqrt(max(0.0, self.squares.sum() / count - mean**2))),
            self.minimum,
            self.maximum,
            self.zeros,
            outliers.tolist(),
        )

    def remarks(self, traces: list[str]) -> Iterator[Remark]:
        """What stands out in the matrix. traces: how its file shows that a spreadsheet program saved it."""
        yield from self._on_rounding(saved=bool(traces))
        if traces:
            what = f"was saved by a spreadsheet program ({', '.join(traces)})"
            yield Remark(ODD, what, f"{REWRITE}; it is read all the same")
        yield from self._on_rows()

    def _on_rounding(self, *, saved: bool) -> Iterator[Remark]:
        few = sum(count <= FEW_DIGITS for count in self.digits)
        share = few / max(ENOUGH, len(self.digits))
        what = f"{share:.0%} of its numbers have at most {FEW_DIGITS} digits:"
        if saved and share > SUSPECT_SHARE:
            yield Remark(WRONG, f"{what} a spreadsheet program rounded them", NO_SPREADSHEET)
        elif share > ROUND_SHARE:
            yield Remark(ODD, f"{what} were they rounded?", f"{AGAIN} if they were not typed in")

    def _on_rows(self) -> Iterator[Remark]:
        if self.rows > 1 and len(self.constant) == self.rows:
            yield Remark(ODD, "holds the same number all along each row", f"{AGAIN} if it should have been trained")
        elif self.rows > 1 and self.constant:
            what = f"has {len(self.constant):,} rows of one number, such as row {self.constant[0]}"
            yield Remark(ODD, what, f"{AGAIN} if they are not padding")
        constant = set(self.constant)
        twins = [pair for pair in self.twins if pair[1] not in constant]
        if twins:
            what = f"has {len(twins):,} rows that stand there before: row {twins[0][1]} is row {twins[0][0]} again"
            yield Remark(ODD, what, f"{AGAIN} if they are not padding")


def significant_digits(cell: bytes) -> int:
    """How many digits make a number; 0 for 0.

    >>> significant_digits(b"-0.01230e-5"), significant_digits(b"1200"), significant_digits(b"0.0")
    (3, 2, 0)
    """
    found = MANTISSA.match(cell)
    return len(found[1].replace(b".", b"").strip(b"0")) if found else 0
