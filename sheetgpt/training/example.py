"""One text as training sees it: what stands before each prediction, what comes, and its share of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sheetgpt.bpe.words import unspell
from sheetgpt.errors import PromptError
from sheetgpt.model import Model
from sheetgpt.models.kinds import has_last_position
from sheetgpt.models.step import Steps
from sheetgpt.training.gradients import Loss

__all__ = ["Example", "example"]


@dataclass(frozen=True)
class Example:
    """What is learned from: at each position the token before, the token to come, and its share of the loss."""

    ids: np.ndarray  #: [T]
    targets: np.ndarray  #: [T], 0 where nothing is to come
    share: np.ndarray  #: [T], adds up to 1
    context: list[str]  #: the tokens of `ids`
    coming: list[str]  #: the tokens of `targets`; both are empty where nothing is to come

    def loss(self, steps: Steps) -> Loss:
        """The loss of these predictions, by steps that predict after every token."""
        return Loss(steps, steps.inputs(self.ids, targets=self.targets), self.share[None, :])


def example(model: Model, text: str | None, token_ids: Sequence[int] | None = None, room: int = 0) -> Example:
    """The text as training sees it: a document of characters begins after an end token, others with their first token;
    after the last token comes the end token.

    `room`: at least so many positions, the last ones without a share. Raises PromptError where the text has nothing to
    learn from, or takes more positions than the context holds.
    """
    ids, tokenizer = model.ids_of(text, token_ids), model.tokenizer
    end = tokenizer.end_of_text if tokenizer else None
    if tokenizer is None or end is None:
        before, coming = ids[:-1], ids[1:]
    elif tokenizer.has_characters_only:
        before, coming = [end, *ids], [*ids, end]
    else:
        before, coming = ids, [*ids[1:], end]
    if not before or (end is not None and not ids):
        raise PromptError("there is nothing to learn from", remedy="give a text of more tokens")
    if len(before) > model.room(len(before)):
        raise PromptError(
            f"the text takes {len(before)} positions and the model's context holds {model.config.n_ctx}",
            remedy="shorten it",
        )
    limit = model.config.n_ctx if has_last_position(model.config) else room
    spare = max(0, min(room, limit) - len(before))
    filler = end if end is not None else 0
    return Example(
        np.array(before + [filler] * spare),
        np.array(coming + [0] * spare),
        np.array([1 / len(before)] * len(before) + [0.0] * spare),
        [readable(model, i) for i in before] + [""] * spare,
        [readable(model, i) for i in coming] + [""] * spare,
    )


def readable(model: Model, i: int) -> str:
    """A token: a character as a person types it, others as the token table spells them."""
    if model.tokenizer is not None and model.tokenizer.has_characters_only:
        return unspell(model.token(i)).decode(errors="replace")
    return model.token(i)
