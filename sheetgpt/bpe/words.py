"""Text -> words -> letters: GPT-2's pattern cuts a text into words, GPT-2's alphabet spells bytes as letters.

Both are fixed; the table that a model learned, and merging by it, belongs in `tokenizer`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache

# Contractions, then letters, digits, or anything else, each with one space before it; then spaces.
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

# The same for texts in ASCII, by Python's own `re`, in half the time.
ASCII_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+"""
ASCII_RUN = re.compile(r"(?<![\x00-\x7f])[\x00-\x7f]{500,}")  # of a length that pays
FROM_SPACE_TO_SPACE = re.compile(r"(?<=[!-~])[ \t-\r].*[!-~](?=[ \t-\r])", re.DOTALL)


def _alphabet() -> tuple[str, str]:
    """(the letter of each byte, the letters in the order of their token ids)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    letter = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    letter[ord(" ")] = " "  # GPT-2 writes Ġ, the weight files a literal space
    return "".join(letter[byte] for byte in range(256)), "".join(letter[byte] for byte in plain + others)


LETTER_OF_BYTE, ALPHABET = _alphabet()
_BYTE_OF_LETTER = codecs.charmap_build(LETTER_OF_BYTE)


def cut(text: str) -> list[str]:
    """The words of a text, as GPT-2 cuts it; joined they are the text again.

    >>> cut("Mike's  quick.")
    ['Mike', "'s", ' ', ' quick', '.']
    """
    if text.isascii():
        return _ascii_words().findall(text)
    words, begin = [], 0
    for part in ascii_parts(text):
        words += _words().findall(text[begin : part.start()])
        words += _ascii_words().findall(part.group())
        begin = part.end()
    return words + _words().findall(text[begin:])


def ascii_parts(text: str) -> Iterator[re.Match[str]]:
    """Long parts in ASCII that can be cut on their own.

    They begin and end where spaces begin behind something else. There every word ends: no part of PATTERN has a space
    behind anything else, and it looks ahead only from spaces.
    """
    for run in ASCII_RUN.finditer(text):
        part = FROM_SPACE_TO_SPACE.search(text, *run.span())
        if part:
            yield part


@cache
def _ascii_words() -> re.Pattern[str]:
    return re.compile(ASCII_PATTERN, re.ASCII)  # subtle: without the flag, Python counts U+001C to U+001F among spaces


@cache
def _words() -> re.Pattern[str]:
    import regex  # type: ignore[import-untyped]  # as OpenAI's encoder does; Python's own `re` has no \p{L}

    compiled: re.Pattern[str] = regex.compile(PATTERN)
    return compiled


def spell(text: str) -> str:
    r"""The UTF-8 bytes of a text as letters.

    >>> spell(" é\n")
    ' Ã©Ċ'
    """
    return codecs.charmap_decode(text.encode(), "strict", LETTER_OF_BYTE)[0]


def unspell(token: str) -> bytes:
    """The bytes of a token. A token that is not spelled in letters (some special ones) stands for its own text."""
    try:
        return codecs.charmap_encode(token, "strict", _BYTE_OF_LETTER)[0]
    except UnicodeEncodeError:
        return token.encode()
