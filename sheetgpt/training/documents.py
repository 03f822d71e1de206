"""A corpus as token ids: one stream with windows cut from it, or documents one by one; and vocabularies of characters.

What a batch consists of. Learning a merge table belongs in `bpe.learning`, learning from batches in `trainer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from sheetgpt.bpe import END_OF_TEXT, Tokenizer
from sheetgpt.bpe.words import spell
from sheetgpt.errors import TrainingError

__all__ = ["NO_TARGET", "Corpus", "Documents", "character_tables", "documents_of", "end_token"]

NO_TARGET = -1  #: the target of a prediction that doesn't count: after a document's end
HELD_OUT_WINDOWS = 64  # at most so many are looked at
END = "."  # of a document of characters, unless the text has it

Batch = tuple[np.ndarray, np.ndarray]  # ids and targets, [B, T] each
Document = TypeVar("Document")


class Corpus:
    """Documents as one stream of token ids, each followed by an end token, and the windows drawn from it.

    Raises TrainingError where the stream is shorter than one window.
    """

    def __init__(self, documents: Sequence[Sequence[int]], end: int, n_ctx: int):
        lengths = np.array([len(document) + 1 for document in documents])
        self.ids = np.array([i for document in documents for i in (*document, end)], dtype=np.int64)
        self.n_ctx = n_ctx
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else np.array([], int)
        self.starts = starts[starts + n_ctx + 1 <= len(self.ids)]  # a window begins where a document begins
        if not len(self.starts):
            raise TrainingError(
                f"the corpus has {len(self.ids)} tokens and one window takes {n_ctx + 1}",
                remedy="give more text or a smaller --n-ctx",
            )

    def fingerprint(self) -> str:
        """The same for the same tokens and windows only."""
        return hashlib.sha256(self.ids.tobytes() + str(self.n_ctx).encode()).hexdigest()

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Where that many windows begin, [count]."""
        return rng.choice(self.starts, count)

    def windows(self, count: int, rng: np.random.Generator) -> Batch:
        """(ids, targets), each [count, n_ctx]: a target is the token that comes next."""
        return self._at(self.draw(count, rng))

    def all_windows(self) -> Iterator[Batch]:
        """The stream cut into windows, (ids, targets) [1, n_ctx] each, at most `HELD_OUT_WINDOWS`, one by one."""
        firsts = range(0, len(self.ids) - self.n_ctx, self.n_ctx)
        return (self._at(np.array([first])) for first in firsts[:HELD_OUT_WINDOWS])

    def _at(self, first: np.ndarray) -> Batch:
        windows = self.ids[first[:, None] + np.arange(self.n_ctx + 1)]
        return windows[:, :-1], windows[:, 1:]


class Documents:
    """Documents one by one: each begins after an end token and ends with one, and knows nothing of the others.

    Raises TrainingError where there is none, or one doesn't fit into the context.
    """

    def __init__(self, documents: Sequence[Sequence[int]], end: int, n_ctx: int | None):
        """n_ctx: what the model's context holds; None where nothing limits it."""
        for number, document in enumerate(documents, start=1):
            if n_ctx is not None and len(document) + 1 > n_ctx:
                raise TrainingError(
                    f"has {len(document)} tokens and the context holds {n_ctx - 1} beside the end token",
                    where=f"document {number}",
                    remedy=f"give --n-ctx {len(document) + 1}, or a shorter document",
                )
        self.documents, self.end = documents, end
        if not documents:
            raise TrainingError("the corpus has no document", remedy="give a text with one document a line")

    def fingerprint(self) -> str:
        """The same for the same documents only."""
        return hashlib.sha256(repr([list(document) for document in self.documents]).encode()).hexdigest()

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The numbers of that many documents, [count]."""
        return rng.integers(0, len(self.documents), count)

    def windows(self, count: int, rng: np.random.Generator) -> Batch:
        """(ids, targets) of some documents, each [count, longest + 1]; what is after a document's end doesn't count."""
        return self._batch([self.documents[i] for i in self.draw(count, rng)])

    def all_windows(self) -> Iterator[Batch]:
        """Documents one by one, (ids, targets) [1, length + 1] each, at most `HELD_OUT_WINDOWS`."""
        return (self._batch([document]) for document in self.documents[:HELD_OUT_WINDOWS])

    def _batch(self, documents: Sequence[Sequence[int]]) -> Batch:
        width = max(map(len, documents)) + 1
        ids = np.full((len(documents), width), self.end)
        targets = np.full((len(documents), width), NO_TARGET)
        for row, document in enumerate(documents):
            ids[row, 1 : len(document) + 1] = document
            targets[row, : len(document)] = document
            targets[row, len(document)] = self.end
        return ids, targets


def documents_of(text: str) -> list[str]:
    r"""The documents of a corpus: its lines, and what stands between end tokens in a line.

    >>> documents_of("One.\nTwo.\n<|endoftext|>\nThree.<|endoftext|>Four.\n")
    ['One.', 'Two.', 'Three.', 'Four.']
    """
    return [part for line in text.splitlines() for part in line.split(END_OF_TEXT) if part]


def split(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document]]:
    """(documents to learn from, documents held out): about that share of them, evenly spread."""
    if not share:
        return list(documents), []
    every = max(2, round(1 / share))
    held_out = documents[every - 1 :: every]
    if not held_out:
        raise TrainingError(f"--held-out {share:g} of {len(documents)} documents is none", remedy="give more text")
    return [document for i, document in enumerate(documents) if i % every != every - 1], list(held_out)


def character_tables(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    r"""(merges, tokens): a vocabulary of the text's single characters, in order, and an end token, the last one.

    A character of several bytes is merged from them, so that the tables are such as any model's.

    >>> character_tables("ann\nlili")
    ([], ['a', 'i', 'l', 'n', '.'])
    """
    characters = sorted({character for line in text.splitlines() for character in line})
    merges: dict[tuple[str, str], None] = {}
    for spelled in map(spell, characters):
        for middle in range(1, len(spelled)):
            merges[spelled[:middle], spelled[middle]] = None
    end = END if END not in characters else END_OF_TEXT
    return list(merges), [*map(spell, characters), end]


def end_token(tokenizer: Tokenizer, folder: Path) -> int:
    """The id that ends a document. Raises TrainingError where the table has none."""
    if tokenizer.end_of_text is None:
        raise TrainingError(
            f"{folder}: the token table has no {END_OF_TEXT}", remedy="add it as the last row, or learn another"
        )
    return tokenizer.end_of_text
