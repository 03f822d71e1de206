"""The cached decoder: the same list of steps as the forward run, fed one new row a token.

A step's operation says in `all_rows` which inputs a new row needs whole; for exactly these, rows are appended to a
cache. Everything else works row by row, so nothing here knows of keys, values or blocks. Choosing the token belongs in
`sample`; nothing is labelled here.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sheetgpt.bpe import Tokenizer
from sheetgpt.errors import PromptError
from sheetgpt.generate.sample import Pick, Sampler, Sampling
from sheetgpt.models.config import Config
from sheetgpt.models.step import Role, Step, Steps
from sheetgpt.weights.folder import Weights

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["Context", "Decoder", "Generated", "LanguageModel", "generate", "kept_after_slide"]

FIRST_ROWS = 64  # that a cache has room for at first


class LanguageModel(Protocol):
    """What generating asks of a model (`model.Model` is one)."""

    @property
    def config(self) -> Config:
        """The model's constants."""

    @property
    def steps(self) -> Steps:
        """The model's list of steps."""

    @property
    def weights(self) -> Weights:
        """The matrices by name."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """What reads and spells texts; None where only ids go in."""

    def room(self, wanted: int) -> int:
        """How many tokens a run can hold, where so many are wanted."""

    def token(self, token_id: int) -> str:
        """A token as the token table spells it."""


class Rows:
    """Rows that are appended one after the other, in memory that doubles when it is full."""

    def __init__(self) -> None:
        self.length = 0
        self._memory: np.ndarray | None = None

    def append(self, rows: np.ndarray) -> np.ndarray:  # [new rows, ...] -> [all rows, ...], a view
        end, memory = self.length + len(rows), self._memory
        if memory is None or end > len(memory):
            larger = np.empty((max(FIRST_ROWS, 2 * end), *rows.shape[1:]), rows.dtype)
            if memory is not None:
                larger[: self.length] = memory[: self.length]
            memory = self._memory = larger
        memory[self.length : end] = rows
        self.length = end
        return memory[:end]


class Decoder:
    """Steps and weights, and what is cached of the tokens fed so far.

    weights: matrices [rows, columns] by name. `feed` gives the same logits as an uncached run of all tokens fed so far,
    up to rounding.
    """

    def __init__(self, steps: Steps, weights: Mapping[str, np.ndarray], dtype: DTypeLike):
        self.dtype = np.dtype(dtype)
        self.all_steps, self.logits = steps, steps.name(Role.LOGITS)
        self.steps = leading_to(list(steps.computed), self.logits)
        made = {step.name for step in self.steps}
        inputs = {name for step in self.steps for name in step.inputs} - made
        self._weights = {name: weights[name] for name in inputs if name in weights}
        self.cached = {step.inputs[i] for step in self.steps for i in step.op.all_rows}
        self._done_with = last_uses(self.steps)
        self._rows = {name: Rows() for name in self.cached}
        self.length = 0

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.length = length
        for rows in self._rows.values():
            rows.length = length

    def feed(self, ids: Sequence[int]) -> np.ndarray:  # [new tokens] -> [n_vocab]
        """The logits [n_vocab] after these tokens, which follow those fed before."""
        return self.feed_rows(ids)[:, -1]

    def feed_rows(self, ids: Sequence[int]) -> np.ndarray:  # [new tokens] -> [n_vocab, new tokens]
        """The logits [n_vocab, new tokens] after each of these tokens, by steps that predict after every token; else
        after the last, [n_vocab, 1].
        """
        new: dict[str, np.ndarray] = dict(self._weights)
        whole: dict[str, np.ndarray] = {}
        given = self.all_steps.inputs(ids, np.arange(self.length, self.length + len(ids)))
        for name, rows in given.items():
            self._keep(name, rows, new, whole)
        for step, done_with in zip(self.steps, self._done_with, strict=True):
            every = step.op.all_rows
            inputs = [whole[name] if i in every else new[name] for i, name in enumerate(step.inputs)]
            self._keep(step.name, np.asarray(step.op.value(*inputs), self.dtype), new, whole)
            for name in done_with:  # so that a long prompt takes the memory of a few stages, not of all
                del new[name]
        self.length += len(ids)
        return new[self.logits]

    def _keep(self, name: str, rows: np.ndarray, new: dict[str, np.ndarray], whole: dict[str, np.ndarray]) -> None:
        new[name] = rows
        if name in self._rows:
            whole[name] = self._rows[name].append(rows)


def leading_to(steps: list[Step], name: str) -> list[Step]:
    """Those of the steps that `name` is made of, in order."""
    needed = {name}
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
    return [step for step in steps if step.name in needed]


def last_uses(steps: list[Step]) -> list[list[str]]:
    """For each step, the names that no later step takes in."""
    last = {name: number for number, step in enumerate(steps) for name in step.inputs}
    return [[name for name in dict.fromkeys(step.inputs) if last[name] == number] for number, step in enumerate(steps)]


def kept_after_slide(n_ctx: int) -> int:
    """How many tokens, the newest, stay when the context is full; their positions begin at 0 again."""
    return max(1, n_ctx // 2)


class Context:
    """A text that grows token by token, and what the model predicts after it.

    A context that is full goes on with its newest tokens (`kept_after_slide`) alone.
    """

    def __init__(self, model: LanguageModel, prompt_ids: Sequence[int], room: int):
        self.room, self.window, self.start = room, list(prompt_ids), 0
        self.decoder = Decoder(model.steps, model.weights, model.weights.dtype)
        self.logits = self.decoder.feed(self.window)  # after the last token: [n_vocab]

    def add(self, token_id: int) -> np.ndarray:  # -> [n_vocab]
        """The logits [n_vocab] after one more token."""
        self.window.append(token_id)
        if self.decoder.length == self.room:
            kept = kept_after_slide(self.room)
            self.start += len(self.window) - kept
            self.window = self.window[-kept:]
            self.decoder.rewind(0)
            self.logits = self.decoder.feed(self.window)
        else:
            self.logits = self.decoder.feed(self.window[-1:])
        return self.logits


@dataclass(frozen=True)
class Generated:
    """A token that was generated."""

    id: int  #: the token's id
    token: str  #: as the token table spells it
    text: str  #: the characters that are complete with it: none while bytes of a character are missing
    context_start: int  #: the first token (of prompt and new ones) that the model still saw: above 0 after a slide
    ends: bool  #: it is the end of the text, and generation stopped at it
    pick: Pick = field(repr=False)  #: how it was chosen

    @property
    def logit(self) -> float:
        """The token's score."""
        return self.pick.logit

    @property
    def probability(self) -> float:
        """0 to 1, among the candidates kept, at this temperature (greedy: at temperature 1)."""
        return self.pick.probability

    @property
    def rank(self) -> int:
        """Its place by logit; 1 is the greatest."""
        return self.pick.rank


def generate(
    model: LanguageModel,
    prompt_ids: Sequence[int],
    n: int,
    sampling: Sampling,
    *,
    stop_at_eos: bool = True,
    slide: bool = True,
) -> Iterator[Generated]:
    """Up to n new tokens after the prompt, each as soon as it is made.

    slide: a full context goes on with its newest tokens (`kept_after_slide`) alone; without it, generation ends when
    prompt and new tokens fill n_ctx. Raises PromptError where n is below one, or the prompt leaves no place.
    """
    check(n, len(prompt_ids), model.room(len(prompt_ids) + n))
    end_id = model.tokenizer.end_of_text if stop_at_eos and model.tokenizer else None
    return _generate(model, list(prompt_ids), n, Sampler(sampling), end_id, slide)


def _generate(
    model: LanguageModel, prompt_ids: list[int], n: int, sampler: Sampler, end_id: int | None, slide: bool
) -> Iterator[Generated]:
    room = model.room(len(prompt_ids) + n)
    context = Context(model, prompt_ids, room)
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    for count in range(1, n + 1):
        pick = sampler.pick(context.logits)
        ends = pick.id == end_id
        full = not slide and len(context.window) + 1 >= room
        last = ends or full or count == n
        text = characters.decode(b"" if ends else bytes_of(model, pick.id), final=last)
        yield Generated(pick.id, model.token(pick.id), text, context.start, ends, pick)
        if last:
            return
        context.add(pick.id)


def check(n: int, prompt_length: int, n_ctx: int) -> None:
    if n < 1:
        raise PromptError(f"n is {n}", remedy="generate at least 1 token")
    if prompt_length > n_ctx - 1:
        raise PromptError(
            f"the prompt has {prompt_length} tokens and the model's context holds {n_ctx}",
            remedy=f"shorten it to {n_ctx - 1}, as a new token needs a place",
        )


def bytes_of(model: LanguageModel, token_id: int) -> bytes:
    """What a token stands for; `#id` where the model has no table, or the table ends before."""
    if model.tokenizer is not None and token_id < model.tokenizer.n_vocab:
        return model.tokenizer.decode_bytes([token_id])
    return model.token(token_id).encode()
