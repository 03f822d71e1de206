"""How well a model predicts a text: for each token its probability, -ln of it and its rank; and their means.

The first token has nothing before it and isn't scored, as in Hugging Face's loss. A text longer than the context is
read in windows, each token with as much before it as its window has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sheetgpt.errors import PromptError
from sheetgpt.generate.decode import Decoder, bytes_of
from sheetgpt.model import Model
from sheetgpt.models.kinds import kind_of, model_steps
from sheetgpt.models.step import Steps

__all__ = ["LossTable", "TokenLoss", "measure"]

WINDOW = 1024  # tokens read at once by models that don't attend
ROWS = 128  # predictions held at once: of GPT-2, each takes 0.4 MB


@dataclass(frozen=True)
class TokenLoss:
    """One token of the text as the model saw it coming."""

    position: int  #: in the text, from 0
    id: int  #: the token's id
    token: str  #: as the token table spells it
    probability: float  #: that the model gave it, 0 to 1
    penalty: float  #: -ln(probability), in nats
    rank: int  #: 1: the model thought no other token more probable
    seen: int  #: how many tokens before it the model saw


@dataclass(frozen=True)
class LossTable:
    """The scored tokens of a text (all but the first), and what they amount to."""

    tokens: list[TokenLoss]  #: all but the first token
    n_bytes: int  #: of the scored tokens
    n_windows: int  #: in how many pieces the text was read

    @property
    def mean(self) -> float:
        """The mean penalty of a token, in nats."""
        return math.fsum(token.penalty for token in self.tokens) / len(self.tokens)

    @property
    def perplexity(self) -> float:
        """The exponential of the mean: of how many equally probable tokens the model would have to choose."""
        return math.exp(self.mean)

    @property
    def bits_per_byte(self) -> float:
        """How many bits the model needs for a byte of the text; NaN where its tokens have no bytes."""
        bits = self.mean * len(self.tokens) / math.log(2)
        return bits / self.n_bytes if self.n_bytes else math.nan

    def as_data(self) -> dict[str, Any]:
        """The table as JSON has it."""
        means = {name: getattr(self, name) for name in ("mean", "perplexity", "bits_per_byte", "n_bytes", "n_windows")}
        return means | {"tokens": [asdict(token) for token in self.tokens]}


def measure(model: Model, ids: Sequence[int], stride: int | None = None) -> LossTable:
    """The loss of token ids. Raises PromptError where there is nothing to score, or the stride can't be.

    stride: how far each window begins after the one before (default: half the context); smaller is slower and gives
    every token more to look back at.
    """
    if len(ids) < 2:
        raise PromptError(
            "the loss needs at least 2 tokens, as the first has nothing before it", remedy="give more text"
        )
    n_ctx = model.config.n_ctx
    if not kind_of(model.config).attends:  # nothing looks further back than that, and windows may be longer
        n_ctx = max(WINDOW, 2 * n_ctx)
    if n_ctx < 2:
        raise PromptError("the model's context holds 1 token, so no token has another before it")
    stride = max(1, n_ctx // 2) if stride is None else stride
    if not 1 <= stride < n_ctx:
        raise PromptError(f"--stride is {stride}; with a context of {n_ctx} tokens it must be 1 to {n_ctx - 1}")
    steps = model_steps(model.config, untied=model.weights.untied, every_row=True)
    rows: list[TokenLoss] = []
    spans = list(windows(len(ids), n_ctx, stride))
    for begin, end, first in spans:
        rows += _score(model, steps, ids[begin:end], begin, first)
    return LossTable(rows, sum(len(bytes_of(model, i)) for i in ids[1:]), len(spans))


def windows(count: int, n_ctx: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, end, the first token that it scores) of each window; each token but the first is scored once.

    >>> list(windows(10, 6, 3))
    [(0, 6, 1), (3, 9, 6), (6, 10, 9)]
    """
    scored = 1
    for begin in range(0, count, stride):
        end = min(begin + n_ctx, count)
        yield begin, end, scored
        scored = end
        if end == count:
            return


def _score(model: Model, steps: Steps, ids: Sequence[int], begin: int, first: int) -> Iterator[TokenLoss]:
    """The tokens of one window from the one numbered `first` in the whole text."""
    decoder = Decoder(steps, model.weights, model.weights.dtype)
    for start in range(0, len(ids) - 1, ROWS):
        logits = decoder.feed_rows(ids[start : start + ROWS]).astype(np.float64)  # [n_vocab, ROWS]
        highest = logits.max(0)
        log_total = highest + np.log(np.exp(logits - highest).sum(0))
        for row in range(max(first - begin, start + 1), min(start + ROWS + 1, len(ids))):
            column, i = logits[:, row - 1 - start], ids[row]
            penalty = float(log_total[row - 1 - start] - column[i])
            rank = 1 + int(np.count_nonzero(column > column[i])) + int(np.count_nonzero(column[:i] == column[i]))
            yield TokenLoss(begin + row, int(i), model.token(i), math.exp(-penalty), penalty, rank, row)
