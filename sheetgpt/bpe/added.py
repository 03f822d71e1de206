"""Tokens that are found in a text before it is cut into words: the end of text, and what was added to a model's table.

Here: which tokens these are, where a text holds them, and the file that says more than a table's spelling does. What
stands between them is encoded in `tokenizer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property

from sheetgpt.bpe.words import spell, unspell

END_OF_TEXT = "<|endoftext|>"  #: the token that ends a document, as GPT-2's table spells it
ADDED_FILE = "bpe_added_tokens.csv"
SPECIAL = re.compile(r"<[^<>\s]+>")  # how a table without that file spells them
UNKNOWN = -1  # the id of a token that the table has not
# as the library that Hugging Face's tokenizers are made of has it
WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]"
SPACE = r"\p{White_Space}"

Part = tuple[str, list[int]]  # a text that holds no such token, and the id of the one behind it


@dataclass(frozen=True)
class Added:
    """A token, and how it is found: a special one only where it is asked for, others always."""

    id: int  #: its row in the table
    text: str  #: as it stands in a text
    special: bool = True  #: is it found only where special tokens are asked for?
    normalized: bool = False  #: those that are not are found first
    single_word: bool = False  #: not inside of a word
    lstrip: bool = False  #: with the spaces before it
    rstrip: bool = False  #: with the spaces behind it


FLAGS = tuple(field.name for field in fields(Added) if field.type == "bool")
HEADER = ["token", "id", *FLAGS]


def inferred(tokens: Sequence[str], made: Iterable[str]) -> list[Added]:
    """The special tokens of a table that says nothing of them: `<...>` that no merge makes."""
    known = set(made)
    return [
        Added(i, unspell(token).decode(errors="replace"))
        for i, token in enumerate(tokens)
        if token not in known and SPECIAL.fullmatch(token)
    ]


def stand_in(i: int) -> str:
    """What stands in the table for a token that can't, or where there is none."""
    return f"#{i}"


class Finder:
    """Finds added tokens in texts, the longest of those that begin at a place."""

    def __init__(self, added: Sequence[Added]):
        self._groups = [[token for token in added if token.normalized is late and token.text] for late in (False, True)]

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], dict[str, Added]]]:
        return [
            (re.compile("|".join(map(re.escape, sorted(by_text, key=len, reverse=True)))), by_text)
            for by_text in ({token.text: token for token in group} for group in self._groups if group)
        ]

    def is_idle(self, *, special: bool) -> bool:
        """Is there nothing to look for?"""
        return not special and all(token.special for group in self._groups for token in group)

    def parts(self, text: str, *, special: bool) -> Iterator[Part]:
        """The text in parts; special tokens are found only where `special`."""
        if self.is_idle(special=special):
            yield text, []
            return
        parts: list[Part] = [(text, [])]
        for pattern, by_text in self._patterns:
            parts = [inner for part in parts for inner in split(part, pattern, by_text, special=special)]
        yield from parts


def split(part: Part, pattern: re.Pattern[str], by_text: dict[str, Added], *, special: bool) -> Iterator[Part]:
    """A part, cut where tokens of one group stand.

    subtle: a special token that is not asked for hides what is in it, and one that begins with spaces that the token
    before took along is not found: so does Hugging Face's library.
    """
    text, begin = part[0], 0
    for match in pattern.finditer(text):
        token, (start, stop) = by_text[match.group()], match.span()
        hidden = start < begin or (token.special and not special)
        if hidden or (token.single_word and is_inside_word(text, start, stop)):
            continue
        while token.lstrip and start > begin and _is_space(text[start - 1]):
            start -= 1
        while token.rstrip and stop < len(text) and _is_space(text[stop]):
            stop += 1
        yield text[begin:start], [token.id]
        begin = stop
    yield text[begin:], part[1]


def is_inside_word(text: str, start: int, stop: int) -> bool:
    return any(_is_of_word(neighbour) for neighbour in (text[start - 1 : start], text[stop : stop + 1]))


def _is_of_word(char: str) -> bool:
    return regex_of(WORD).fullmatch(char) is not None


def _is_space(char: str) -> bool:
    return regex_of(SPACE).fullmatch(char) is not None


@cache
def regex_of(pattern: str) -> re.Pattern[str]:
    import regex  # type: ignore[import-untyped]  # as in `words`

    compiled: re.Pattern[str] = regex.compile(pattern)
    return compiled


def row_of(token: Added) -> list[str | int]:
    """A token as a row of the file, spelled as the other token files are."""
    return [spell(token.text), token.id, *(int(getattr(token, flag)) for flag in FLAGS)]


def of_row(cells: Sequence[str], n_tokens: int) -> Added | None:
    """A row of the file as a token; None where it is none of the table."""
    flags = [{"0": False, "1": True, "FALSE": False, "TRUE": True}.get(cell.strip().upper()) for cell in cells[2:]]
    i = int(cells[1]) if len(cells) == len(HEADER) and re.fullmatch(r"\s*\d{1,9}\s*", cells[1]) else n_tokens
    if not cells[0] or i >= n_tokens or None in flags:
        return None
    return Added(i, text_of(cells[0]), **{name: bool(flag) for name, flag in zip(FLAGS, flags, strict=True)})


def text_of(spelled: str) -> str:
    """The text that a cell spells; what is not spelled in letters of bytes is the text itself."""
    try:
        return unspell(spelled).decode()
    except UnicodeDecodeError:
        return spelled
