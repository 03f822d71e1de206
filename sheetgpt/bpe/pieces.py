"""Where a merge table can never join two characters: words are cut there before merging, as pieces repeat more often.

Between most characters outside of Latin script, GPT-2's table has no merge. A word cut there becomes the same tokens:
this saves time and changes nothing. Merging itself belongs in `tokenizer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sheetgpt.bpe.words import unspell

Range = tuple[int, int]  # of code points, both included
LAST = 0x10FFFF
ANY: Range = (0, LAST)
ASCII: Range = (0, 0x7F)


def pieces_pattern(merges: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """A pattern whose matches, one after the other, are the pieces of a word.

    A character is in one piece with the one before it where some merge's left side may end with that one and some
    merge's right side may begin with it. Two ASCII characters always are: cutting there would gain nothing.

    >>> pieces_pattern([("a", "b"), ("c", "Ã©")]).findall("abcéüa")
    ['abcé', 'ü', 'a']
    """
    after_any: set[Range] = set()
    after_ascii, after_other, others = {ASCII}, set[Range](), set[Range]()
    for left, right in merges:
        if left[-1] <= "~" and right[0] <= "~":
            continue
        first, last = first_characters(unspell(right[:4])), last_characters(unspell(left[-4:]))
        if first and last == ANY:
            after_any.add(first)
        elif first and last and last[1] <= ASCII[1]:
            after_ascii.add(first)
        elif first and last:
            others.add(last)
            after_other.add(first)
    alternatives = (
        f"{_class(after_any)}|(?<={_class({ASCII})}){_class(after_ascii)}|(?<={_class(others)}){_class(after_other)}"
    )
    return re.compile(f".(?:{alternatives})*", re.DOTALL)


def first_characters(data: bytes) -> Range | None:
    r"""The characters that the bytes may begin with; None where they begin inside of one.

    >>> first_characters(b"ab") == (ord("a"), ord("a")), first_characters(b"\xe2\x80") == (0x2000, 0x203F)
    (True, True)
    """
    if data[0] < 0x80:
        return data[0], data[0]
    if not 0xC2 <= data[0] <= 0xF4:
        return None
    size = 2 + (data[0] >= 0xE0) + (data[0] >= 0xF0)
    known = data[:size]
    code = known[0] & (0x7F >> size)
    for byte in known[1:]:
        code = code << 6 | byte & 0x3F
    bits = 6 * (size - len(known))  # that are unknown
    return max(code << bits, (0x80, 0x800, 0x10000)[size - 2]), min((code + 1 << bits) - 1, LAST)


def last_characters(data: bytes) -> Range | None:
    r"""The character that the bytes end with, ANY where only its end stands there; None where its end is missing.

    >>> last_characters("né".encode()) == (ord("é"), ord("é")), last_characters(b"\xa9") == ANY
    (True, True)
    """
    begin = max((i for i, byte in enumerate(data) if byte & 0xC0 != 0x80), default=None)
    if begin is None:
        return ANY
    try:
        code = ord(data[begin:].decode())
    except (UnicodeDecodeError, TypeError):
        return None
    return code, code


def _class(ranges: set[Range]) -> str:
    """A character class; of nothing: one that never matches."""
    inside = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in sorted(ranges))
    return f"[{inside}]" if ranges else "(?!)"
