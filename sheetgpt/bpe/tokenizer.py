"""Text -> tokens -> text by a merge table: byte-pair encoding as GPT-2 does it, with every pass on record.

Words and letters come from `bpe.words`, the CSV files are read and written by `bpe.tables`, a table is learned by
`bpe.learning`, tokens that stand between words are found by `bpe.added`. One generator, `passes.merge_passes`, makes
every merge: `encode` keeps the last state, `MergeTrace` keeps all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from sheetgpt.bpe.added import END_OF_TEXT, UNKNOWN, Added, Finder, inferred, stand_in
from sheetgpt.bpe.passes import merge_passes
from sheetgpt.bpe.pieces import pieces_pattern
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE, read_added, read_tables, write_tables
from sheetgpt.bpe.words import ALPHABET, cut, spell, unspell
from sheetgpt.errors import PromptError, TokenizerError

__all__ = ["END_OF_TEXT", "MergeTrace", "Tokenizer", "merge_passes", "write_tables"]

REMEMBERED = 1 << 17  # words and pieces whose ids are kept: about 30 MB
LONGEST_REMEMBERED = 64  # longer ones hardly come twice
Row = list[str | float]  # of a table as the reference lays it out


class _Memo(dict[str, tuple[int, ...]]):
    """A dictionary that makes what is missing, and forgets everything when it grows too large."""

    def __init__(self, make: Callable[[str], tuple[int, ...]]):
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> tuple[int, ...]:
        value = self._make(key)
        if len(key) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[key] = value
        return value


class Tokenizer:
    """The tables of one model: `tokens` (row number = id) and `merges` (by rank), spelled as in the CSV files.

    >>> tokenizer = Tokenizer([("e", "s"), (" ", "m")], ["m", "o", "v", "e", "s", " ", "es", " m"])
    >>> tokenizer.encode(" moves")
    [7, 1, 2, 6]
    >>> tokenizer.decode([7, 1, 2, 6])
    ' moves'
    """

    def __init__(
        self,
        merges: list[tuple[str, str]],
        tokens: list[str],
        scores: list[float] | None = None,
        added: Sequence[Added] | None = None,
    ):
        """`scores`: one for each merge, never rising; without them, the number of merges minus the rank.

        added: tokens that are found before words are cut; without them, those that are spelled `<...>` are special.
        """
        self.merges, self.tokens, self._given = merges, tokens, added
        self.scores = dict(zip(merges, scores or range(len(merges), 0, -1), strict=True))
        # subtle: merges of equal score share a rank, so that the first of them in the word is merged, as in the sheet
        rank_of_score = {score: rank for rank, score in enumerate(dict.fromkeys(self.scores.values()))}
        self._ranks = {pair: rank_of_score[score] for pair, score in self.scores.items()}
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._word_ids, self._piece_ids = _Memo(self._ids_of_word), _Memo(self._ids_of_piece)

    @classmethod
    def read(cls, folder: Path) -> Tokenizer:
        """The tokenizer in a weight folder. Raises WeightsError (no file) or TokenizerError (by file and line)."""
        merges, tokens, scores = read_tables(Path(folder))
        return cls(merges, tokens, scores, read_added(Path(folder), len(tokens)))

    def as_data(self) -> dict[str, Any]:
        """The tables by name, of which another program can make the same tokenizer.

        merges by rank, their scores, tokens by id, and the added ones as the model's folder has them (None: it says
        nothing of them).
        """
        added = None if self._given is None else [asdict(token) for token in self._given]
        return {"merges": self.merges, "scores": list(self.scores.values()), "tokens": self.tokens, "added": added}

    @property
    def n_vocab(self) -> int:
        """How many tokens the table holds."""
        return len(self.tokens)

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document: `<|endoftext|>`, or the last one where every token is a single character."""
        return self._ids.get(END_OF_TEXT, self.n_vocab - 1 if self.has_characters_only else None)

    @cached_property
    def has_characters_only(self) -> bool:
        """Is every token one character (but `<|endoftext|>`)?"""
        spelled = [self._bytes[i] for i, token in enumerate(self.tokens) if token != END_OF_TEXT]
        try:
            return all(len(one.decode()) == 1 for one in spelled)
        except UnicodeDecodeError:  # a part of a character
            return False

    def token(self, i: int) -> str:
        """The token as the tables spell it. Raises TokenizerError for an id that the table has not."""
        if not 0 <= i < self.n_vocab:
            raise self._no_such_id(i)
        return self.tokens[i]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text. `<|endoftext|>` (or another special token) in it is one token only where `special`.

        Tokens that were added to the table and are not special are always found.
        """
        ids: list[int] = []
        try:
            for part, added in self._parts(text, special):
                ids += chain.from_iterable(map(self._word_ids.__getitem__, cut(part)))
                ids += added
        except UnicodeEncodeError as error:
            raise _lone_surrogate(text, error) from None
        return ids

    def first_special(self, text: str) -> str | None:
        """The first special token that a text spells; None where it spells none."""
        if self._given is None and "<" not in text:
            return None
        found = (i for _, ids in self._finder.parts(text, special=True) for i in ids)
        special = {token.id for token in self.added if token.special}
        return next((self.decode([i]) for i in found if i in special), None)

    def trace(self, text: str, *, special: bool = False) -> MergeTrace:
        """Everything of the text's encoding. Raises as `encode` does."""
        words: list[list[str]] = []  # each as the symbols that it begins with
        whole: set[int] = set()
        try:
            for part, added in self._parts(text, special):
                words += [list(spell(word)) for word in cut(part)]
                whole |= {len(words) + number for number in range(len(added))}
                words += [[self.tokens[i]] for i in added]
        except UnicodeEncodeError as error:
            raise _lone_surrogate(text, error) from None
        return MergeTrace(self, words, whole=whole, special=special)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for. Raises TokenizerError for an id that the table has not."""
        try:
            return b"".join(map(self._bytes.__getitem__, ids))
        except KeyError as error:
            raise self._no_such_id(error.args[0]) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text that the ids stand for; bytes that are no UTF-8 (half a character, say) as U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def ids_of(self, tokens: list[str]) -> tuple[int, ...]:
        """The ids of tokens that merging made. Raises TokenizerError for one that the table has not."""
        try:
            return tuple(map(self._ids.__getitem__, tokens))
        except KeyError as error:
            if error.args[0] in set(ALPHABET):
                what = f"has no token for {character_at(tokens, error.args[0])!r}"
                remedy = "the model doesn't know this character; leave it out, or train on a text that has it"
            else:
                what = f"has no token {error.args[0]!r}, which {MERGES_FILE} makes of {''.join(tokens)!r}"
                remedy = "the model has no row for it, or the files are of two models; avoid this text, or convert anew"
            raise TokenizerError(what, where=TOKENS_FILE, remedy=remedy) from None

    def final_symbols(self, symbols: Iterable[str]) -> list[str]:
        """The tokens that a word's symbols become."""
        tokens = list(symbols)
        for _ in merge_passes(tokens, self._ranks):
            pass
        return tokens

    def merges_of(self, symbols: list[str]) -> Iterator[int]:
        """Where each merge of a word begins, in the order in which they happen."""
        return merge_passes(symbols.copy(), self._ranks)

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        found = {i: unspell(token) for i, token in enumerate(self.tokens)}
        standing_in = [token for token in self._given or () if self.tokens[token.id] == stand_in(token.id)]
        return found | {token.id: token.text.encode() for token in standing_in}

    @cached_property
    def _pieces(self) -> Callable[[str], list[str]]:
        return pieces_pattern(self.merges).findall

    def _ids_of_word(self, word: str) -> tuple[int, ...]:
        if word.isascii():
            return self._ids_of_piece(word)
        return tuple(chain.from_iterable(map(self._piece_ids.__getitem__, self._pieces(word))))

    def _ids_of_piece(self, piece: str) -> tuple[int, ...]:
        return self.ids_of(self.final_symbols(spell(piece)))

    def _parts(self, text: str, special: bool) -> Iterator[tuple[str, list[int]]]:
        """(text up to an added token, [that token's id]); at the end (the rest, [])."""
        if self._given is None and not special:
            yield text, []
            return
        for part, found in self._finder.parts(text, special=special):
            if UNKNOWN in found:
                what = f"has no token {END_OF_TEXT}"
                raise TokenizerError(what, where=TOKENS_FILE, remedy="encode the text without special tokens")
            yield part, found

    @cached_property
    def _finder(self) -> Finder:
        unknown = [Added(UNKNOWN, END_OF_TEXT)] if self._given is None and END_OF_TEXT not in self._ids else []
        return Finder([*self.added, *unknown])

    @cached_property
    def added(self) -> Sequence[Added]:
        """The tokens that are found before words are cut."""
        if self._given is not None:
            return self._given
        return inferred(self.tokens, (left + right for left, right in self.merges))

    def _no_such_id(self, i: int) -> TokenizerError:
        remedy = f"{TOKENS_FILE} has the ids 0 to {self.n_vocab - 1}"
        return TokenizerError(f"there is no token id {i}", remedy=remedy)


class MergeTrace:
    """The encoding of one text: its `words`, their `tokens` and `ids`, and every merge pass between them."""

    def __init__(
        self, tokenizer: Tokenizer, words: list[list[str]], *, whole: Collection[int] = (), special: bool = False
    ):
        """whole: the words, by their numbers, that are tokens as they stand. special: were special ones found?"""
        self.whole, self.special = whole, special
        self._tokenizer = tokenizer
        self._letters = words
        self._tokens = [tokenizer.final_symbols(word) for word in words]
        self.words = ["".join(word) for word in words]
        self.tokens = list(chain.from_iterable(self._tokens))
        self.ids = list(chain.from_iterable(map(tokenizer.ids_of, self._tokens)))
        self.n_passes = max(map(len, words), default=0)  # the length of the longest word; the last passes may be idle

    def passes(self, word: int) -> Iterator[tuple[list[str], int | None]]:
        """For each pass of a word (by its number): the symbols before it, and the place of the pair that it merges.

        Endless: a word that is done stays as it is, and its place is None.
        """
        symbols = self._letters[word]
        begins = list(range(len(symbols)))
        for begin in self._tokenizer.merges_of(symbols):
            i = begins.index(begin)
            yield symbols, i
            symbols = merged_at(symbols, i)
            del begins[i + 1]
        while True:
            yield symbols, None

    @property
    def n_shown(self) -> int:
        """How many symbols stand in all words after each of their merges: it grows with a word's square."""
        counts = (
            (len(letters), len(letters) - len(tokens))
            for letters, tokens in zip(self._letters, self._tokens, strict=True)
        )
        return sum(merges * (n - 1) - merges * (merges - 1) // 2 for n, merges in counts)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the table: it grows with the longest word's square."""
        return max(7 * self.n_passes, 1), max(len(self.words) * (self.n_passes + 1), 1)

    def table(self) -> list[Row]:
        """`prompt_to_tokens`, as the reference lays it out: seven rows a pass, the first column holds their labels.

        Each word takes as many columns as the longest has letters, with an empty one between words. The ids are
        texts, as they are in the reference.
        """
        return list(self.rows())

    def rows(self) -> Iterator[Row]:
        """The rows of `table`, one at a time."""
        words = [self.passes(i) for i in range(len(self.words))]
        for number in range(self.n_passes):
            states = [next(word) for word in words]
            scores = [self._scores(symbols) for symbols, _ in states]
            yield self._row(f"Pass {number}", [])
            yield self._row("Input", [symbols for symbols, _ in states])
            yield self._row("Pairs", [[f"{left},{right}" for left, right in _pairs(symbols)] for symbols, _ in states])
            yield self._row("Scores", scores)
            yield self._row("Max Score", [_only(row, place) for row, (_, place) in zip(scores, states, strict=True)])
            yield self._row("Merged", [merged_at(symbols, place) for symbols, place in states])
            if number < self.n_passes - 1:
                yield self._row("", [])
        yield self._row("TokenID", [[str(i) for i in self._tokenizer.ids_of(tokens)] for tokens in self._tokens])

    def _scores(self, symbols: list[str]) -> Row:
        return [self._tokenizer.scores.get(pair, "") for pair in _pairs(symbols)]

    def _row(self, label: str, cells: Iterable[Sequence[str | float]]) -> Row:
        columns = self.shape[1]
        row: Row = [label]
        for word in cells:
            row += [*word, *[""] * (self.n_passes + 1 - len(word))]
        return (row + [""] * columns)[:columns]


def merged_at(symbols: list[str], place: int | None) -> list[str]:
    """The symbols after the merge of the pair that begins at `place`."""
    if place is None:
        return symbols
    return [*symbols[:place], symbols[place] + symbols[place + 1], *symbols[place + 2 :]]


def character_at(tokens: list[str], token: str) -> str:
    """The character of a word that a token stands for, or for a byte of.

    >>> character_at(["a", " ", "Ã", "¼"], "Ã"), character_at(["a", " ", "Ã", "¼"], "a")
    ('ü', 'a')
    """
    before = unspell("".join(tokens[: tokens.index(token)]))
    return unspell("".join(tokens)).decode(errors="replace")[len(before.decode(errors="ignore"))]


def _pairs(symbols: list[str]) -> list[tuple[str, str]]:
    return list(pairwise(symbols))


def _only(row: Row, place: int | None) -> Row:
    """The row with all its cells empty but one."""
    return [cell if i == place else "" for i, cell in enumerate(row)]


def _lone_surrogate(text: str, error: UnicodeEncodeError) -> PromptError:
    code = error.object[error.start]
    found = f"character {text.index(code) + 1} is the lone surrogate U+{ord(code):04X}"
    return PromptError("the text is no Unicode", remedy=f"{found}; give the text as valid UTF-8")
