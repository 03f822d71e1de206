"""How well a model predicts each of many texts: a line a text, their mean and spread, and the loss over all tokens.

Each text is measured by itself, as `loss` does; running through them, one after the other, belongs in whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sheetgpt.errors import PromptError
from sheetgpt.lens.gathered import LeftOut, nothing_left
from sheetgpt.lens.tables import plain
from sheetgpt.training.loss import LossTable

STATED = (
    "The mean and the spread are over the texts, each counted once; the standard deviation's square is divided by "
    "their number. The perplexity is that of the mean over all tokens."
)


@dataclass(frozen=True)
class TextLoss:
    """One text as the model saw it coming. number: its place among the texts, from 0."""

    number: int
    prompt: str
    predictions: int  # its tokens but the first
    mean: float  # of -ln(probability)
    perplexity: float
    n_bytes: int

    @classmethod
    def of(cls, number: int, prompt: str, table: LossTable) -> TextLoss:
        return cls(number, prompt, len(table.tokens), table.mean, table.perplexity, table.n_bytes)


@dataclass(frozen=True)
class TextsLoss:
    """All texts that could be measured, and those that could not."""

    texts: Sequence[TextLoss]
    left_out: Sequence[LeftOut]

    @property
    def predictions(self) -> int:
        return sum(text.predictions for text in self.texts)

    @property
    def over_tokens(self) -> float:
        """The mean over all tokens."""
        return math.fsum(text.mean * text.predictions for text in self.texts) / self.predictions

    @property
    def perplexity(self) -> float:
        return math.exp(self.over_tokens)

    @property
    def bits_per_byte(self) -> float:
        """NaN where the tokens have no bytes."""
        n_bytes = sum(text.n_bytes for text in self.texts)
        return self.over_tokens * self.predictions / math.log(2) / n_bytes if n_bytes else math.nan

    @property
    def spread(self) -> Mapping[str, float]:
        """Of the texts' means."""
        means = np.array([text.mean for text in self.texts])
        found = {"mean": means.mean(), "standard_deviation": means.std(), "least": means.min(), "greatest": means.max()}
        return {name: float(value) for name, value in found.items()}

    def as_data(self) -> dict[str, Any]:
        means = {
            name: plain(getattr(self, name)) for name in ("over_tokens", "perplexity", "bits_per_byte", "predictions")
        }
        texts, left_out = ([asdict(one) for one in found] for found in (self.texts, self.left_out))
        return {"prompts": len(texts), **self.spread, **means, "notes": [STATED], "texts": texts, "left_out": left_out}


def gather_losses(found: Iterable[TextLoss | LeftOut]) -> TextsLoss:
    """Raises PromptError where all were left out."""
    everything = list(found)
    texts = [one for one in everything if isinstance(one, TextLoss)]
    left_out = [one for one in everything if isinstance(one, LeftOut)]
    if not texts:
        raise PromptError(nothing_left(left_out).what)
    return TextsLoss(texts, left_out)
