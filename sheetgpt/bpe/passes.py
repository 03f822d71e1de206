"""Merging a word's symbols pair by pair, the pair of lowest rank first: every merge is made here.

Where words and ranks come from, and what becomes of the places that are yielded, belongs in `tokenizer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import pairwise

LONG = 64  # symbols; where searching and moving a whole list takes longer than keeping a queue


def merge_passes(symbols: list[str], ranks: dict[tuple[str, str], int]) -> Iterator[int]:
    """Merge the pair of lowest rank, the first of the best, again and again; yield where each merged pair began.

    The place counts in the symbols given. When no merge is left, `symbols` holds the tokens; until then it is in
    disorder. A list of n symbols takes about n log n steps, however long.

    >>> symbols = list("moves")
    >>> list(merge_passes(symbols, {("e", "s"): 0, ("m", "o"): 2, ("o", "v"): 1}))
    [3, 1]
    >>> symbols
    ['m', 'ov', 'es']
    """
    return _short_passes(symbols, ranks) if len(symbols) < LONG else _long_passes(symbols, ranks)


def _short_passes(symbols: list[str], ranks: dict[tuple[str, str], int]) -> Iterator[int]:
    """As `merge_passes`; each pass looks at the whole list."""
    get, none = ranks.get, len(ranks)
    rank = [get(pair, none) for pair in pairwise(symbols)]  # of the pair that begins here
    places = list(range(len(symbols)))
    while rank and (best := min(rank)) < none:
        i = rank.index(best)
        yield places[i]
        symbols[i] = merged = symbols[i] + symbols[i + 1]
        del symbols[i + 1], places[i + 1], rank[i]
        if i:
            rank[i - 1] = get((symbols[i - 1], merged), none)
        if i < len(rank):
            rank[i] = get((merged, symbols[i + 1]), none)


def _long_passes(symbols: list[str], ranks: dict[tuple[str, str], int]) -> Iterator[int]:
    """As `merge_passes`; symbols are linked to their neighbours, and pairs wait in a queue."""
    n, get = len(symbols), ranks.get
    rank = [get(pair) for pair in pairwise(symbols)]  # of the pair that begins here
    rank.append(None)
    queue = [r * n + i for i, r in enumerate(rank) if r is not None]  # one number sorts by rank, then by place
    heapify(queue)
    after, before = list(range(1, n + 1)), list(range(-1, n))
    while queue:
        best, i = divmod(heappop(queue), n)
        if rank[i] != best:
            continue  # one of the two symbols has been merged since
        yield i
        j = after[i]
        k = after[i] = after[j]
        before[k] = i
        symbols[i] = merged = symbols[i] + symbols[j]
        symbols[j], rank[j] = "", None
        r = rank[i] = get((merged, symbols[k])) if k < n else None
        if r is not None:
            heappush(queue, r * n + i)
        h = before[i]
        if h >= 0:
            r = rank[h] = get((symbols[h], merged))
            if r is not None:
                heappush(queue, r * n + h)
    symbols[:] = filter(None, symbols)
