"""What the page asks to train a small model besides its steps and weights: how it learns, and from which words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sheetgpt.errors import SheetGPTError
from sheetgpt.model import Model
from sheetgpt.models.kinds import kind_of, weights_of
from sheetgpt.training.example import example
from sheetgpt.training.words import NAMES


def training(model: Model) -> dict[str, Any]:
    """`Training` of page/src/source.ts."""
    kind, tokenizer = kind_of(model.config), model.tokenizer
    weights = weights_of(model.config, untied=model.weights.untied)
    return {
        "optimizer": kind.defaults.optimizer,
        "decayed": [name for name, weight in weights.items() if not weight.is_vector],
        "plainShares": kind.plain_shares,
        "end": tokenizer.end_of_text if tokenizer else None,
        "characters": tokenizer is not None and tokenizer.has_characters_only,
        "words": [{"text": word, "ids": model.ids_of(word, None)} for word in names(model)],
    }


def names(model: Model) -> Iterator[str]:
    """The ladder's names, as far as a model of letters can learn them."""
    if model.tokenizer is None or not model.tokenizer.has_characters_only:
        return
    for name in NAMES:
        try:
            example(model, name)
        except SheetGPTError:
            continue
        yield name
