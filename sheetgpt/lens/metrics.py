"""What a patch is measured by: a token's logit or probability, or the difference of two logits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sheetgpt.errors import LensError
from sheetgpt.lens.tables import quoted
from sheetgpt.lens.tokens import known_id, spelled, token_id
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Trace, probabilities

DIFFERENCE, LOGIT, PROBABILITY = "logit difference", "logit", "probability"
SYNTAX = re.compile(rf"({DIFFERENCE}|{LOGIT}|{PROBABILITY}) (.+)", re.DOTALL)
FORMS = 'a metric is "logit difference A B", "logit A" or "probability A"'


@dataclass(frozen=True)
class Metric:
    """A number that follows from the last token's logits."""

    kind: str  #: "logit difference", "logit" or "probability"
    tokens: tuple[int, ...]  #: one id, or two for a difference
    name: str  #: the kind and the tokens, as a person reads it

    def of(self, logits: np.ndarray) -> np.ndarray:  # [..., n_vocab, 1] -> [...]
        """The metric of each run, from its logits [..., n_vocab, 1] -> [...]."""
        scores = logits[..., -1].astype(np.float64)
        if self.kind == PROBABILITY:
            return np.asarray(probabilities(scores)[..., self.tokens[0]])
        found = scores[..., self.tokens[0]]
        return np.asarray(found - scores[..., self.tokens[1]] if len(self.tokens) > 1 else found)


def default(clean: Trace, corrupt: Trace) -> Metric:
    """The logit difference of the two predictions. Raises LensError where they are the same."""
    a, b = (int(trace.role(Role.PREDICTION)[1, 0]) for trace in (clean, corrupt))
    if a == b:
        what = f"both prompts predict {quoted(spelled(clean, a))}"
        raise LensError(what, remedy='say what to compare by: --metric "logit difference A B"')
    return made(clean, DIFFERENCE, (a, b))


def parse(text: str, trace: Trace) -> Metric:
    """`logit difference A B`, `logit A` or `probability A`; tokens may stand in quotes. Raises LensError."""
    found = SYNTAX.fullmatch(text.strip("\n"))
    if not found:
        raise LensError(f"--metric {text!r}: {FORMS}")
    kind, rest = found.groups()
    count = 2 if kind == DIFFERENCE else 1
    words = next(
        (words for words in readings(rest, count) if all(known_id(trace, word) is not None for word in words)), None
    )
    if words is None:
        words = next(readings(rest, count), [])
    if len(words) != count:
        raise LensError(f"--metric {text!r}: {FORMS}")
    return made(trace, kind, tuple(token_id(trace, word) for word in words))


def readings(text: str, count: int) -> Iterator[list[str]]:
    """The ways in which a text may be so many tokens: by its quotes, as it stands, cut at any one space.

    >>> list(readings(" quickly  slowly", 2))[-2:]
    [[' quickly', ' slowly'], [' quickly ', 'slowly']]
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if len(words) == count:
        yield words
    if count == 1:
        yield [text]
        return
    for place in (match.start() for match in re.finditer(" ", text)):
        if text[:place].strip() and text[place + 1 :].strip():
            yield [text[:place], text[place + 1 :]]


def made(trace: Trace, kind: str, tokens: tuple[int, ...]) -> Metric:
    return Metric(kind, tokens, " ".join([kind, *(quoted(spelled(trace, token)) for token in tokens)]))
