"""How finely numbers are held: the type or the printing that they show, and what its rounding alone can move.

Inferred from the numbers themselves: a port may print its floats with nine digits, a person may round a sheet to two
decimals. What follows from that for a comparison belongs in `matrices`, `compare` and `recomputation`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

__all__ = ["Grain", "Kind"]

SAMPLE, AMONG = 256, 8192  # numbers that are looked at; among so many, evenly spread
FIRST_LOOK = 12  # and how many of these are looked at first, since most matrices hold all digits
ENOUGH = 6  # numbers that are no whole ones, below which nothing is inferred
FLOAT32_DIGITS = 8  # decimals or digits, up to which float32's are not told from others
MOST_DIGITS = 13  # significant digits that a person or a format asks for; a double's own decimals have 15 to 17
FULLY_USED = 0.6  # of numbers printed with n digits nine in ten have a last digit that is not 0
NUMBER = re.compile(r"-?(\d+)(?:\.(\d+))?(?:e([-+]\d+))?")


class Kind(StrEnum):
    """What rounds the numbers."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    DIGITS = "significant digits"
    DECIMALS = "decimals"


BITS = {Kind.FLOAT64: 53, Kind.FLOAT32: 24, Kind.FLOAT16: 11, Kind.BFLOAT16: 8}  # of the mantissa
LEAST = {Kind.FLOAT64: 5e-324, Kind.FLOAT32: 1.4e-45, Kind.FLOAT16: 6e-8, Kind.BFLOAT16: 9.2e-41}  # the smallest step


@dataclass(frozen=True)
class Grain:
    """The rounding that a set of numbers shows."""

    kind: Kind = Kind.FLOAT64  #: what rounds the numbers
    count: int = 0  #: of digits or decimals, where these round

    def __str__(self) -> str:
        """As a person says it.

        >>> str(Grain(Kind.DECIMALS, 2)), str(Grain(Kind.FLOAT32))
        ('2 decimals', 'float32')
        """
        if not self.count:
            return self.kind.value
        return (
            f"{self.count} {self.kind.value}" if self.count > 1 else f"{self.count} {self.kind.value.removesuffix('s')}"
        )

    @property
    def is_printed(self) -> bool:
        """Were they printed with so many digits or decimals?"""
        return self.kind in (Kind.DIGITS, Kind.DECIMALS)

    @property
    def is_coarse(self) -> bool:
        """May the numbers have been finer when something was computed from them?"""
        return self.kind in (Kind.DIGITS, Kind.DECIMALS, Kind.FLOAT16, Kind.BFLOAT16)

    @property
    def arithmetic(self) -> Kind:
        """The coarsest type in which such numbers may have been computed."""
        if not self.is_printed:
            return self.kind
        return Kind.FLOAT32 if self.count <= FLOAT32_DIGITS else Kind.FLOAT64

    def restored(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers [...] themselves, where their decimals tell them: float32's are not what their decimals are."""
        return nearest_float32(numbers) if self.kind is Kind.FLOAT32 else numbers

    def half_unit(self, numbers: np.ndarray) -> np.ndarray:
        """Half the step between neighbours at each number, [...] -> [...]: what rounding once moves it by, at most."""
        if self.kind is Kind.DECIMALS:
            return np.full(numbers.shape, 0.5 * 10.0**-self.count)
        size = np.abs(np.where(np.isfinite(numbers), numbers, 0.0))
        if self.kind is Kind.DIGITS:
            with np.errstate(divide="ignore"):
                exponent = np.floor(np.log10(np.where(size > 0, size, 1.0)))
            half: np.ndarray = np.where(size > 0, 0.5 * 10.0 ** (exponent - self.count + 1), 0.0)
            return half
        step: np.ndarray = np.maximum(np.ldexp(1.0, np.frexp(size)[1] - BITS[self.kind]), LEAST[self.kind])
        return step / 2

    def rounded(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers [...] as this grain holds them."""
        if self.kind is Kind.DECIMALS:
            return np.round(numbers, self.count)
        if self.kind is Kind.DIGITS:
            return np.array([float(f"{x:.{self.count - 1}e}") for x in numbers.ravel()]).reshape(numbers.shape)
        if self.kind is Kind.BFLOAT16:
            return to_bfloat16(numbers)
        with np.errstate(over="ignore"):
            return numbers.astype(self.kind.value).astype(np.float64)


def rounded(array: np.ndarray, precision: Kind) -> np.ndarray:
    """An array as a precision holds it; what is narrower than float32 is held in float32, as accelerators do."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):  # masks are beyond float16's largest number
        if precision is Kind.FLOAT16:
            return array.astype(np.float16).astype(np.float32)
        if precision is Kind.BFLOAT16:
            return to_bfloat16(array).astype(np.float32)
        return array.astype(precision.value, copy=False)  # weights are large


def to_bfloat16(numbers: np.ndarray) -> np.ndarray:
    """The nearest numbers of eight bits, ties to even."""
    with np.errstate(over="ignore"):
        bits = np.asarray(numbers, np.float32).view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(numbers), nearest.view(np.float32), numbers).astype(np.float64)


def nearest_float32(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        single = numbers.astype(np.float32).astype(np.float64)
    return np.where(np.isfinite(single), single, numbers)


FINE = Grain()


def coarser(one: Grain, other: Grain, numbers: np.ndarray) -> Grain:
    """Of two grains the one that moves these numbers more."""
    return max(one, other, key=lambda grain: float(grain.half_unit(numbers).max(initial=0)))


def grain_of(numbers: np.ndarray) -> Grain:
    """The coarsest grain that holds these numbers; float64 where they are too few or too plain to tell.

    >>> rows = np.random.default_rng(0).normal(size=(8, 8))
    >>> [str(grain_of(a)) for a in (rows, rows.astype(np.float32), np.round(rows, 2))]
    ['float64', 'float32', '2 decimals']
    """
    sample = telling(numbers)
    if sample.size < ENOUGH or has_all_digits(sample[:: max(1, sample.size // FIRST_LOOK)]):
        return FINE
    for kind in (Kind.BFLOAT16, Kind.FLOAT16):
        if np.array_equal(Grain(kind).rounded(sample), sample):
            return Grain(kind)
    printed = printed_grain(sample)
    if is_float32(sample):
        return coarser(Grain(Kind.FLOAT32), printed, sample) if printed else Grain(Kind.FLOAT32)
    return printed or FINE


def telling(numbers: np.ndarray) -> np.ndarray:
    """Some numbers that can tell: finite, no whole ones, each once."""
    flat = numbers.ravel()[:: 1 + numbers.size // AMONG]
    flat = flat[np.isfinite(flat)]
    flat = np.unique(flat[(flat != np.round(flat)) & (np.abs(flat) > 1e-30)])
    return flat[:: max(1, flat.size // SAMPLE)][:SAMPLE]


def has_all_digits(few: np.ndarray) -> bool:
    """Are there as many digits as only doubles need, and no float32 behind them?"""
    return max(digits_of(number)[0] for number in few.tolist()) > MOST_DIGITS and not is_float32(few)


def is_float32(sample: np.ndarray) -> bool:
    """Are they float32, as such, as the shortest decimals of float32, or with nine digits or more?"""
    with np.errstate(over="ignore", under="ignore"):
        single = sample.astype(np.float32)
    shortest = np.array([float(str(number)) for number in single], np.float64)
    if np.all((single == sample) | (shortest == sample)):
        return True
    digits = max(digits_of(number)[0] for number in sample.tolist())
    printed = np.array([float(f"{number:.{digits - 1}e}") for number in single.tolist()])
    return digits > FLOAT32_DIGITS and bool(np.all(printed == sample))


def printed_grain(sample: np.ndarray) -> Grain | None:
    """The digits or the decimals with which they were printed; None where they have all that they need."""
    digits, decimals = np.array([digits_of(number) for number in sample.tolist()]).T
    n, k = int(digits.max()), int(decimals.max())
    by_digits, by_decimals = float(np.mean(digits >= n - 1)), float(np.mean(decimals >= k - 1))
    if by_decimals >= by_digits and by_decimals > FULLY_USED and 0 <= k < MOST_DIGITS:
        return Grain(Kind.DECIMALS, k)
    if n < MOST_DIGITS and by_digits > FULLY_USED:
        return Grain(Kind.DIGITS, n)
    return None


def digits_of(number: float) -> tuple[int, int]:
    """(significant digits, decimals) of a double's shortest decimal.

    >>> digits_of(0.00120), digits_of(-12.5), digits_of(1e-7)
    ((2, 4), (3, 1), (1, 7))
    """
    found = NUMBER.fullmatch(repr(number))
    if found is None:
        return 17, 17
    whole, fraction, exponent = found[1], (found[2] or "").rstrip("0"), int(found[3] or 0)
    return len((whole + fraction).strip("0")), max(0, len(fraction) - exponent)
