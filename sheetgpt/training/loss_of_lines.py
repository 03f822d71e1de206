"""How well a model of characters predicts a file of words: line by line as training sees them, and all together.

Each line stands between end tokens. The mean over all predictions is one number in which all models of these lines can
be compared, whatever loss they were trained by; `floor` says how low it can get. Other texts belong in `loss`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sheetgpt.errors import PromptError, SheetGPTError
from sheetgpt.generate.decode import bytes_of
from sheetgpt.model import Model
from sheetgpt.models.kinds import kind_of, model_steps
from sheetgpt.models.step import Role, Steps
from sheetgpt.run.forward import forward
from sheetgpt.training.documents import documents_of
from sheetgpt.training.loss import measure

AT_ONCE = 256  # lines


@dataclass(frozen=True)
class LineLoss:
    """One line as the model saw it coming."""

    line: int  # from 1, of those that hold something
    text: str
    predictions: int  # the letters and the end token
    mean: float  # of -ln(probability)
    floor: float  # of the mean, where a model holds the file's lines for as likely as they are often, and no others


@dataclass(frozen=True)
class LinesLoss:
    """All lines of a file."""

    lines: list[LineLoss]
    n_bytes: int

    @property
    def predictions(self) -> int:
        return sum(line.predictions for line in self.lines)

    def over_all(self, of: str) -> float:
        """A mean over predictions, not over lines."""
        return math.fsum(getattr(line, of) * line.predictions for line in self.lines) / self.predictions

    @property
    def mean(self) -> float:
        return self.over_all("mean")

    @property
    def floor(self) -> float:
        return self.over_all("floor")

    @property
    def perplexity(self) -> float:
        return math.exp(self.mean)

    @property
    def bits_per_byte(self) -> float:
        return self.mean * self.predictions / math.log(2) / self.n_bytes

    def as_data(self) -> dict[str, Any]:
        names = ("mean", "floor", "perplexity", "bits_per_byte", "n_bytes", "predictions")
        return {name: getattr(self, name) for name in names} | {"lines": [asdict(line) for line in self.lines]}


def measure_lines(model: Model, text: str) -> LinesLoss:
    """The loss of each line. Raises PromptError where there is none, or a line has a letter that the model has not."""
    tokenizer = model.tokenizer
    if tokenizer is None or (end := tokenizer.end_of_text) is None:
        raise PromptError("this model has no end token, so a file's lines have no beginning", remedy="give a TEXT")
    mark = tokenizer.tokens[end]
    bare = (one.removeprefix(mark).removesuffix(mark) for one in documents_of(text))
    texts = [line for line in bare if line]
    if not texts:
        raise PromptError("the file holds no word", remedy="write one a line")
    ids = [[end, *encoded(model, number, line), end] for number, line in enumerate(texts, start=1)]
    often = Counter(texts)
    rows = [
        LineLoss(number, line, len(one) - 1, mean, math.log(len(texts) / often[line]) / (len(one) - 1))
        for number, (line, one, mean) in enumerate(zip(texts, ids, means(model, ids), strict=True), start=1)
    ]
    return LinesLoss(rows, sum(len(bytes_of(model, i)) for one in ids for i in one[1:]))


def encoded(model: Model, number: int, line: str) -> list[int]:
    try:
        return model.ids_of(line, None)
    except SheetGPTError as error:
        where = f"line {number} ({line}): {error.where}".rstrip(": ")
        raise PromptError(error.what, where=where, remedy=error.remedy) from None


def means(model: Model, ids: Sequence[list[int]]) -> Iterator[float]:
    """The mean of -ln(probability) of each line's tokens after its first."""
    steps = model_steps(model.config, untied=model.weights.untied, every_row=True)
    most = model.config.n_ctx if kind_of(model.config).attends else math.inf
    for begin in range(0, len(ids), AT_ONCE):
        some = ids[begin : begin + AT_ONCE]
        fitting = [one for one in some if len(one) - 1 <= most]
        found = iter(penalties(model, steps, fitting) if fitting else [])
        yield from (next(found) if len(one) - 1 <= most else measure(model, one).mean for one in some)


def penalties(model: Model, steps: Steps, ids: Sequence[list[int]]) -> list[float]:
    """The same of lines that fit into the context, computed together."""
    longest = max(map(len, ids))
    padded = np.array([[*one, *[one[-1]] * (longest - len(one))] for one in ids])
    given, targets = padded[:, :-1], padded[:, 1:]
    logits = forward(steps, model.weights, steps.inputs(given), dtype=np.float64)[steps.name(Role.LOGITS)]
    highest = logits.max(-2, keepdims=True)  # [lines, n_vocab, T]
    log_total = (highest + np.log(np.exp(logits - highest).sum(-2, keepdims=True)))[:, 0]
    missed = log_total - np.take_along_axis(logits, targets[:, None], -2)[:, 0]
    return [float(row[: len(one) - 1].mean()) for row, one in zip(missed, ids, strict=True)]
