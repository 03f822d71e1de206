"""One cell: a number as the workbook writes it, the exact one behind it, its colour; a token with its spaces seen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import numpy as np

from sheetgpt import ops
from sheetgpt.explore.pictures import scale_end
from sheetgpt.models.step import Step

DECIMALS = 3
WIDE = 1e6  # in size; numbers beyond are written by their powers of ten
LONG = 24  # characters of a text, beyond which it may not fit
CONTROL = re.compile(r"[\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
NOT_BETWEEN_WORDS = re.compile(r"(?<!\S) | (?!\S)")
Cell = Callable[[Any], str]  # a value as <td>


def token(text: object) -> str:
    r"""A text with spaces as `·`, line ends as `⏎`, other signs that can't be seen by their code, as the page has it.

    >>> print(token(" moves"), token("a\n\t"))
    ·moves a⏎\x09
    """
    return seen(str(text).replace(" ", "·"))


def caption(text: object) -> str:
    """The same of what may be a caption: single spaces between words stay.

    >>> print(caption("Token ID:"), caption(" moves"))
    Token ID: ·moves
    """
    return seen(NOT_BETWEEN_WORDS.sub("·", str(text)))


def seen(text: str) -> str:
    return CONTROL.sub(code, text.replace("\n", "⏎"))


def code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def number(value: float) -> str:
    """A number in three decimals; exactly 0 is `0`, so that it differs from what rounds to it.

    >>> number(0.99671), number(0.0), number(0.0001), number(-1e10), number(float("inf"))
    ('0.997', '0', '0.000', '-1E+10', 'inf')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value}"
    if value <= ops.MASKED_BELOW:
        return f"{value:.0E}"
    return f"{value:.{DECIMALS}e}" if abs(value) >= WIDE else f"{value:.{DECIMALS}f}"


def is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer)


# ------------------------------------------------------------------------------------------------ cells


def any_cell(value: object) -> str:
    """A cell of a stage of texts, which holds a text, a number or nothing."""
    if value is None or value == "":
        return "<td></td>"
    if is_number(value):
        return f"<td>{value}</td>" if is_whole(value) else coloured("", value)
    return f'<td class="t"{hint(value)}>{escape(caption(value))}</td>'


def hint(text: object) -> str:
    """What a person who rests on a long text reads."""
    return f' title="{escape(token(text))}"' if len(str(text)) > LONG else ""


def coloured(kind: str, value: Any, strength: float | None = None) -> str:
    """A number with the exact one behind it. strength: of the colour, from 0 to 1."""
    named = f' class="{kind}"' if kind else ""
    mixed = "" if strength is None else f' style="--s:{100 * strength:.0f}%"'
    return f'<td{named}{mixed} title="{value!s}">{number(float(value))}</td>'


def share(value: Any, *, masked: bool) -> str:
    """A part of 1. masked: one that is exactly 0 may not be looked at."""
    if math.isnan(value) or math.isinf(value):
        return coloured("w", value)
    if value == 0:
        return coloured("m" if masked else "z", value)
    return coloured("s", value, min(max(float(value), 0.0), 1.0))


def scaled(value: Any, *, end: float, masked: bool) -> str:
    """A number about 0. end: where its colour is full; masked: may it be a mark of "may not look"?"""
    if masked and value <= ops.MASKED_BELOW:
        return coloured("m", value)
    if math.isnan(value) or math.isinf(value):
        return coloured("w", value)
    if value == 0:
        return coloured("z", value)
    return coloured("b" if value < 0 else "a", value, min(abs(float(value)) / end, 1.0))


def cell_of(step: Step, matrix: np.ndarray) -> Cell:
    """How a stage's cells are written; its scale is that of the whole matrix."""
    if step.is_text or matrix.dtype.kind not in "fiu":
        return any_cell
    if step.op.shares:
        return partial(share, masked=step.by_head)
    return partial(scaled, end=scale_end(matrix.astype(np.float64)), masked=step.op.masked)
