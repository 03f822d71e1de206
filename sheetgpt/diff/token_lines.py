"""A tokenizer checked over a file of texts, one a line, against the ids that are expected of each.

Why two cuts of one line differ belongs in `tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from sheetgpt.bpe import Tokenizer
from sheetgpt.diff.tokens import shown, where_cut_differs
from sheetgpt.errors import SheetGPTError, TextError
from sheetgpt.files.text import BYTE_ORDER_MARK

MOST_SHOWN = 10  # lines that differ
BEFORE, AFTER = 4, 8  # tokens that are shown around the first that differs
NAMES = ("here", "in the expected ids")


@dataclass(frozen=True)
class OtherLine:
    """A line that is cut otherwise than expected."""

    number: int  # from 1
    text: str
    ids: list[int]
    expected_ids: list[int]
    here: str  # the tokens around the first that differs
    expected: str
    why: str


@dataclass(frozen=True)
class CheckedLines:
    """How many lines are as expected, and the first that are not."""

    n_lines: int
    n_equal: int
    different: list[OtherLine]

    @property
    def equal(self) -> bool:
        return self.n_equal == self.n_lines


def ids_of_lines(
    tokenizer: Tokenizer, texts: Sequence[str], file: Path, *, special: bool = False
) -> Iterator[list[int]]:
    """The ids of each text. Raises TextError that names the line where one can't be told in tokens."""
    for number, text in enumerate(texts, 1):
        try:
            yield tokenizer.encode(text, special=special)
        except SheetGPTError as error:
            what = f"{error.where} {error.what}".strip()
            raise TextError(f"can't be told in tokens: {what}", where=line(file, number), remedy=error.remedy) from None


def check_lines(
    tokenizer: Tokenizer, texts: Sequence[str], file: Path, expected: Sequence[list[int]], *, special: bool = False
) -> CheckedLines:
    """Every line's ids against those that are expected of it."""
    n_equal = 0
    different: list[OtherLine] = []
    found = ids_of_lines(tokenizer, texts, file, special=special)
    for number, (text, ids, wanted) in enumerate(zip(texts, found, expected, strict=True), 1):
        if ids == wanted:
            n_equal += 1
        elif len(different) < MOST_SHOWN:
            first = next(at for at, pair in enumerate(zip_longest(ids, wanted)) if pair[0] != pair[1])
            here, there = (cut_around(tokenizer, row, first) for row in (ids, wanted))
            why = where_cut_differs([tokenizer.token(i) for i in ids], ids, wanted, tokenizer, NAMES)
            different.append(OtherLine(number, text, ids, wanted, here, there, why))
    return CheckedLines(len(texts), n_equal, different)


def cut_around(tokenizer: Tokenizer, ids: Sequence[int], place: int) -> str:
    """The tokens around a place, `#id` beyond the table."""
    begin, end = max(0, place - BEFORE), place + AFTER
    known = range(tokenizer.n_vocab)
    pieces = [shown(tokenizer.decode_bytes([i])) if i in known else f"#{i}" for i in ids[begin:end]]
    return " ".join([*["..."] * (begin > 0), *pieces, *["..."] * (end < len(ids))])


# ------------------------------------------------------------------------------------------------ reading


def read_lines(file: Path) -> list[str]:
    r"""The lines of a UTF-8 file without their ends (\n or \r\n). Raises TextError that names file and line."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TextError(f"can't be read ({error.strerror})", where=file, remedy="give a file of texts") from None
    try:
        text = data.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise TextError("is not UTF-8", where=line(file, number), remedy="convert it to UTF-8") from None
    lines = text.split("\n")
    if not lines[-1]:  # the end of the last line begins no other
        lines.pop()
    return [one.removesuffix("\r") for one in lines]


def read_ids(file: Path, texts: Sequence[str], texts_file: Path) -> list[list[int]]:
    """The ids that are expected of each text. Raises TextError that names file and line."""
    lines = read_lines(file)
    if len(lines) != len(texts):
        what = f"has {len(lines):,} lines, and {texts_file} has {len(texts):,}"
        raise TextError(what, where=file, remedy="give a line of ids for each line of text")
    numbered = zip(lines, texts, strict=True)
    return [ids_in(one, text, line(file, number)) for number, (one, text) in enumerate(numbered, 1)]


def ids_in(content: str, text: str, where: str) -> list[int]:
    """The ids on one line: a list, or an object that has them, and may have the text. Raises TextError."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise TextError("is no JSON", where=where, remedy="write a list of ids, such as [464, 995]") from None
    ids = found.get("ids") if isinstance(found, dict) else found
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        remedy = 'write a list such as [464, 995], or {"ids": [464, 995]}'
        raise TextError("holds no list of ids", where=where, remedy=remedy)
    if isinstance(found, dict) and found.get("text", text) != text:
        raise TextError("has another text than that line", where=where, remedy="tokenize the same file again")
    return ids


def line(file: Path, number: int) -> str:
    return f"{file}, line {number}"
