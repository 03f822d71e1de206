"""A text -> a merge table: again and again, the pair of neighbours that is most frequent becomes one symbol.

Sennrich, Haddow and Birch (2016), on bytes and with GPT-2's words. Encoding by a table belongs in `tokenizer`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise

from sheetgpt.bpe.words import ALPHABET, cut, spell
from sheetgpt.errors import PromptError, TokenizerError

SPECIAL = ("<|endoftext|>",)
MOST_WORDS = 40  # different words of which a pass says how they stand; more nobody reads
Pair = tuple[int, int]  # of symbols, each by its number: letters first, then what merges make, in order


@dataclass(frozen=True)
class LearningPass:
    """One pass of learning: the pair that was the most frequent, how often it stood there, and what it became."""

    number: int  #: of the pass, from 1
    left: str  #: of the pair
    right: str  #: of the pair
    count: int  #: how often the pair stood in the text
    token: str  #: what the pair became
    id: int  #: the token's id
    words: tuple[tuple[str, ...], ...]  #: the different words after it, each in its symbols; () where they are many

    @property
    def as_they_stand(self) -> str:
        """The words on one line, spaces as dots."""
        return "  ".join("|".join(word).replace(" ", "\N{MIDDLE DOT}") for word in self.words)


def learn(
    text: str,
    vocab_size: int,
    *,
    special: Sequence[str] = SPECIAL,
    progress: Callable[[int, int], None] | None = None,
    watch: Callable[[LearningPass], None] | None = None,
) -> tuple[list[tuple[str, str]], list[str]]:
    """(merges by rank, tokens): GPT-2's letters, what the merges make, then the special tokens, `vocab_size` in all.

    Fewer where the text has no more pairs. Of pairs that are equally frequent, the one of the earliest symbols merges
    first, so the same text gives the same table everywhere. `progress(tokens so far, tokens wanted)` is called after
    each merge, `watch` with each pass. Raises TokenizerError for a `vocab_size` too small for letters and special
    tokens. Source: Sennrich, Haddow and Birch (2016), on bytes and with GPT-2's words.

    >>> merges, tokens = learn("aaabdaaabac", 260)
    >>> merges
    [('a', 'a'), ('a', 'b'), ('aa', 'ab')]
    """
    check_vocab_size(vocab_size, special)
    wanted = vocab_size - len(special)
    symbols = list(ALPHABET)
    number = {symbol: i for i, symbol in enumerate(symbols)}
    times = count_words(text, special)
    pairs = PairCounts([[number[letter] for letter in word] for word in times], list(times.values()))
    merges: dict[tuple[str, str], None] = {}
    passes = 0
    while len(symbols) < wanted and (best := pairs.most_frequent()):
        left, right = symbols[best[0]], symbols[best[1]]
        # subtle: two merges may make one token (a + bc, ab + c). It is one symbol then, and its pairs may come again
        merges[left, right] = None
        count = pairs.count(best)
        if number.setdefault(left + right, len(symbols)) == len(symbols):
            symbols.append(left + right)
        pairs.merge(best, number[left + right])
        if progress:
            progress(len(symbols), wanted)
        if watch:
            passes += 1
            i, words = number[left + right], pairs.words() if len(times) <= MOST_WORDS else ()
            spelled = tuple(tuple(symbols[one] for one in word) for word in words)
            watch(LearningPass(passes, left, right, count, left + right, i, spelled))
    return list(merges), [*symbols, *special]


def check_vocab_size(vocab_size: int, special: Sequence[str] = SPECIAL) -> None:
    """Raises TokenizerError where letters and special tokens alone take more."""
    least = len(ALPHABET) + len(special)
    if vocab_size < least:
        what = f"a vocabulary of {vocab_size} tokens is too small"
        made = f"{len(ALPHABET)} bytes and {len(special)} special make {least} before any merge"
        raise TokenizerError(what, remedy=f"{made}; ask for more than {least}")


def count_words(text: str, special: Sequence[str] = ()) -> Counter[str]:
    """How often each word occurs, spelled in letters; special tokens are no words."""
    parts = re.split("|".join(map(re.escape, special)), text) if special else [text]
    counts: Counter[str] = Counter()
    try:
        for word, times in Counter(chain.from_iterable(map(cut, parts))).items():
            counts[spell(word)] += times
    except UnicodeEncodeError as error:
        surrogate = f"it holds the lone surrogate U+{ord(error.object[error.start]):04X}"
        raise PromptError(f"the text is no Unicode: {surrogate}") from None
    return counts


class PairCounts:
    """How often each pair of neighbours occurs in all words together, kept true while pairs merge.

    A merge only looks at the words that hold its pair. Overlapping pairs count (`aaa` holds `a a` twice).
    """

    def __init__(self, words: list[list[int]], times: list[int]):
        self._words, self._times = words, times
        self._counts: dict[Pair, int] = defaultdict(int)
        self._places: dict[Pair, set[int]] = defaultdict(set)  # words that hold the pair, or did
        for i, word in enumerate(words):
            for pair in pairwise(word):
                self._counts[pair] += times[i]
                self._places[pair].add(i)
        self._queue = [(-count, pair) for pair, count in self._counts.items()]
        heapify(self._queue)

    def most_frequent(self) -> Pair | None:
        """The pair, the earliest symbols first among equals; None where no pair is left."""
        while self._queue:
            count, pair = heappop(self._queue)
            now = self._counts[pair]
            if now == -count:
                return pair
            # subtle: a pair that became rarer waits here with its old count; one that became more frequent came anew
            if 0 < now < -count:
                heappush(self._queue, (-now, pair))
        return None

    def count(self, pair: Pair) -> int:
        """How often it stands in all words together."""
        return self._counts[pair]

    def words(self) -> list[list[int]]:
        """The words as they stand now."""
        return self._words

    def merge(self, pair: Pair, symbol: int) -> None:
        """Make every occurrence of the pair the one symbol, left to right in each word."""
        changes: dict[Pair, int] = defaultdict(int)
        for i in self._places.pop(pair):
            self._words[i], gone, come = merge(self._words[i], pair, symbol)
            for old in gone:
                changes[old] -= self._times[i]
            for new in come:
                changes[new] += self._times[i]
                self._places[new].add(i)
        changes[pair] = -self._counts[pair]  # none is left, though some overlapped
        for changed, change in changes.items():
            self._counts[changed] += change
            if change > 0:
                heappush(self._queue, (-self._counts[changed], changed))


def merge(word: list[int], pair: Pair, symbol: int) -> tuple[list[int], list[Pair], list[Pair]]:
    """(the word with each occurrence of the pair as one symbol, pairs that go, pairs that come; not the pair itself).

    >>> merge([7, 1, 2, 8], (1, 2), 3)
    ([7, 3, 8], [(7, 1), (2, 8)], [(7, 3), (3, 8)])
    """
    left, right = pair
    merged, gone, come = [], [], []
    begin, place, last = 0, -1, len(word) - 1
    with suppress(ValueError):  # where `index` finds no more
        while True:
            place = word.index(left, max(begin, place + 1), last)
            if word[place + 1] != right:
                continue
            merged += word[begin:place]
            begin = place + 2
            if merged:
                gone.append((merged[-1], left))
                come.append((merged[-1], symbol))
            merged.append(symbol)
            if begin <= last:
                gone.append((right, word[begin]))
                come.append((symbol, word[begin]))
    return merged + word[begin:], gone, come
