"""Two rows of token ids side by side: the word that is cut otherwise, both cuts of it, and the merge that was missed.

Everything is compared in bytes, as a token may be a part of a character. Comparing the tables of tokens belongs in
`texts`, merging in `bpe`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, zip_longest

from sheetgpt.bpe import END_OF_TEXT, Tokenizer
from sheetgpt.bpe.words import LETTER_OF_BYTE, cut, unspell

SIDES = ("on the left", "on the right")
MOST_PIECES, MOST_CHARACTERS = 12, 80  # that are shown of one word
ESCAPED = "surrogateescape"  # bytes that are no UTF-8 pass through words unharmed


def where_cut_differs(
    left_tokens: Sequence[str],
    left_ids: Sequence[int],
    right_ids: Sequence[int],
    tokenizer: Tokenizer | None,
    sides: tuple[str, str] = SIDES,
) -> str:
    """One sentence, without its full stop: where two sides' tokens begin to differ, and why.

    left_tokens: as LEFT spells them, for ids that the table has not. tokenizer: the table of LEFT's model; None where
    it is not at hand. sides: how the sentence calls LEFT and RIGHT.

    >>> tokenizer = Tokenizer([("l", "y"), (" ", "a"), (" a", "ly")], ["l", "y", " ", "a", "ly", " a", " aly"])
    >>> where_cut_differs([" aly"], [6], [5, 4], tokenizer)
    'the word " aly" is cut " a" + "ly" on the right, " aly" on the left: the merge " a" + "ly" was missed'
    """
    if list(left_ids) == list(right_ids):
        return "the token ids are the same, but the tokens are spelled otherwise"
    if tokenizer is None:
        return first_ids(left_tokens, left_ids, right_ids, sides)
    for ids, side in ((right_ids, sides[1]), (left_ids, sides[0])):
        unknown = next((at for at, i in enumerate(ids) if not 0 <= i < tokenizer.n_vocab), None)
        if unknown is not None:
            what = f"token id {ids[unknown]} (position {unknown}) {side}"
            return f"{what} is not in the token table, which ends at {tokenizer.n_vocab - 1}"
    left, right = (Row(tuple(ids), tokenizer) for ids in (left_ids, right_ids))
    return two_texts(left, right, sides) if left.text != right.text else Recut(left, right, tokenizer, sides).sentence


def first_ids(tokens: Sequence[str], left: Sequence[int], right: Sequence[int], sides: tuple[str, str]) -> str:
    """The first ids that differ, where no table says what RIGHT's stand for."""
    at = next(at for at, (a, b) in enumerate(zip_longest(left, right)) if a != b)
    spelled = f' "{tokens[at]}"' if at < min(len(tokens), len(left)) and tokens[at] != f"#{left[at]}" else ""
    here, there = (f"token id {ids[at]}" if at < len(ids) else "nothing" for ids in (left, right))
    return f"position {at} holds {here}{spelled} {sides[0]}, {there} {sides[1]}"


@dataclass(frozen=True)
class Row:
    """Token ids, all of them in the table, as the bytes that they stand for."""

    ids: tuple[int, ...]
    tokenizer: Tokenizer

    @cached_property
    def pieces(self) -> list[bytes]:
        return [unspell(self.tokenizer.token(i)) for i in self.ids]

    @cached_property
    def text(self) -> bytes:
        return b"".join(self.pieces)

    @cached_property
    def ends(self) -> list[int]:
        """Where each piece ends, in bytes from the beginning."""
        return list(accumulate(map(len, self.pieces)))

    def part(self, begin: int, end: int) -> Row:
        """The tokens from one place to another, both ends of tokens."""
        kept = zip(self.ids, self.ends, strict=True)
        return Row(tuple(i for i, here in kept if begin < here <= end), self.tokenizer)

    @property
    def has_special(self) -> bool:
        return any(self.tokenizer.token(i) == END_OF_TEXT for i in self.ids)

    def __str__(self) -> str:
        more = ["..."] if len(self.pieces) > MOST_PIECES else []
        return " + ".join([*map(shown, self.pieces[:MOST_PIECES]), *more])


def words_of(text: bytes) -> list[bytes]:
    """The words of a text, as GPT-2 cuts it, whether or not it is UTF-8."""
    return [word.encode(errors=ESCAPED) for word in cut(text.decode(errors=ESCAPED))]


def shown(data: bytes) -> str:
    r"""A part of a text in quotes; what can't be seen, and parts of characters, as escapes.

    >>> print(shown(" é\n".encode()), shown("é".encode()[:1]))
    " é\n" "\xc3"
    """
    text = data.decode(errors="backslashreplace")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return f'"{text}"' if len(text) <= MOST_CHARACTERS else f'"{text[:MOST_CHARACTERS]}..."'


# ------------------------------------------------------------------------------------------------ two texts


def two_texts(left: Row, right: Row, sides: tuple[str, str]) -> str:
    """What differs where the ids don't stand for one text."""
    longer = too_many(left, right, sides) or too_many(right, left, (sides[1], sides[0]))
    if longer:
        return longer
    pair = next(pair for pair in zip_longest(words_of(left.text), words_of(right.text)) if pair[0] != pair[1])
    here, there = (shown(word) if word is not None else "nothing" for word in pair)
    return f"these are two texts: the first word that differs is {here} {sides[0]}, {there} {sides[1]}"


def too_many(one: Row, other: Row, sides: tuple[str, str]) -> str:
    """What a side has before or after all that the other has; nothing where that is not the difference."""
    count = len(other.ids)
    if one.ids[1:] == other.ids:
        return f"the tokens {sides[0]} begin with {shown(one.pieces[0])} (id {one.ids[0]}), those {sides[1]} do not"
    if len(one.ids) > count and one.ids[:count] == other.ids:
        rest = Row(one.ids[count:], one.tokenizer)
        return f"the tokens {sides[1]} end before position {count}, where those {sides[0]} go on with {rest}"
    return ""


# ------------------------------------------------------------------------------------------------ one text, two cuts


@dataclass(frozen=True)
class Recut:
    """One text that two sides cut otherwise."""

    left: Row
    right: Row
    tokenizer: Tokenizer
    sides: tuple[str, str]

    @property
    def sentence(self) -> str:
        differing = set(self.left.ends) ^ set(self.right.ends)
        if not differing:
            return self._two_ids()
        begin, end = self._around(min(differing))
        left, right = (row.part(begin, end) for row in (self.left, self.right))
        words = words_of(self.left.text)
        inside = [word for word, here in zip(words, accumulate(map(len, words)), strict=True) if begin < here <= end]
        subject = "the word {} is" if len(inside) == 1 else "the words {} are"
        cuts = f"{subject.format(shown(b''.join(inside)))} cut {right} {self.sides[1]}, {left} {self.sides[0]}"
        return f"{cuts}: {Reason(inside, left, right, self.tokenizer, self.sides).clause}"

    def _around(self, place: int) -> tuple[int, int]:
        """The nearest places before and after it where both sides and a word end."""
        of_words = accumulate(map(len, words_of(self.left.text)))
        common = sorted({0, *of_words} & {0, *self.left.ends} & {0, *self.right.ends})
        after = bisect_left(common, place)
        return common[after - 1], common[after]

    def _two_ids(self) -> str:
        pairs = enumerate(zip(self.left.ids, self.right.ids, strict=False))
        at, (a, b) = next((at, (a, b)) for at, (a, b) in pairs if a != b)
        piece = shown(self.left.pieces[at])
        return f"position {at} holds {piece} on both sides, as id {a} {self.sides[0]} and as id {b} {self.sides[1]}"


@dataclass(frozen=True)
class Reason:
    """Why a few words are cut in two ways, by the table's own merges."""

    words: list[bytes]
    left: Row
    right: Row
    tokenizer: Tokenizer
    sides: tuple[str, str]

    @property
    def clause(self) -> str:
        if self.left.has_special is not self.right.has_special:
            return f"it is one special token {self.sides[0] if self.left.has_special else self.sides[1]} only"
        wrong, where = self._wrong
        clause = self._missed(wrong) or self._joined(wrong)
        clause += f" {where}" if wrong is self.left else ""
        if self._own in (self.left.ends, self.right.ends):
            return clause
        return f"{clause}; by the table it is {' + '.join(map(shown, self._own_pieces))}"

    @property
    def _wrong(self) -> tuple[Row, str]:
        """The side that does not cut as the table does: RIGHT where neither does."""
        return (self.left, self.sides[0]) if self.right.ends == self._own else (self.right, self.sides[1])

    @cached_property
    def _own_pieces(self) -> list[bytes]:
        cut_words = (self.tokenizer.final_symbols(letters(word)) for word in self.words)
        return [unspell(symbol) for symbols in cut_words for symbol in symbols]

    @cached_property
    def _own(self) -> list[int]:
        return list(accumulate(map(len, self._own_pieces)))

    def _missed(self, wrong: Row) -> str:
        """The first merge that a side has not made; nothing where it made them all."""
        begin = 0
        for word in self.words:
            kept = {end - begin for end in wrong.ends}
            for place, left, right in merges_of(self.tokenizer, word):
                if place in kept:
                    return f"the merge {shown(unspell(left))} + {shown(unspell(right))} was missed"
            begin += len(word)
        return ""

    def _joined(self, wrong: Row) -> str:
        """What a side joined that the table leaves apart."""
        begins = [0, *wrong.ends]
        at = next(at for at, end in enumerate(wrong.ends) if any(begins[at] < own < end for own in self._own))
        ends_of_words = accumulate(map(len, self.words))
        over_words = any(begins[at] < end < begins[at + 1] for end in ends_of_words)
        piece = shown(wrong.pieces[at])
        return f"{piece} goes over the end of a word" if over_words else f"no merge of the table makes {piece} here"


def letters(word: bytes) -> str:
    """A word's bytes as GPT-2's letters, whether or not they are UTF-8."""
    return "".join(map(LETTER_OF_BYTE.__getitem__, word))


def merges_of(tokenizer: Tokenizer, word: bytes) -> Iterator[tuple[int, str, str]]:
    """Each merge of a word, in the order in which they happen: (where its two symbols meet, the symbols)."""
    spelled = letters(word)
    begins = [*range(len(spelled) + 1)]
    for begin in tokenizer.merges_of(list(spelled)):
        at = bisect_left(begins, begin)
        _, meet, end = begins[at : at + 3]
        yield meet, spelled[begin:meet], spelled[meet:end]
        del begins[at + 1]
