"""Prompts of equal length, run together: the stages that are kept, and what the model makes of each prompt.

Each operation has leading axes for batches, so nothing here knows GPT-2. A prompt's numbers are those of its own run up
to rounding (a product of more rows may add up in another order): 1e-12 of a stage's largest number in float64, 1e-5 in
float32. They are the same, bit for bit, whoever computes the shard: which prompts go together depends on the shard
alone, and each product runs on one thread of the BLAS, several batches side by side. Files belong in `shards`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise

import numpy as np

from sheetgpt.batch.shapes import StageShapes
from sheetgpt.batch.shards import Answer, Entry, Writer
from sheetgpt.model import Model
from sheetgpt.models.kinds import kind_of, model_steps
from sheetgpt.models.step import Role, Steps
from sheetgpt.run.follow import follow
from sheetgpt.run.forward import NO_OVERRIDES
from sheetgpt.run.trace import probabilities
from sheetgpt.training.loss import measure

TOKENS_AT_ONCE = 256  # of all prompts of a batch: enough that weights are read once for many, and each core has one
BYTES_AT_ONCE = 1 << 26  # of the stages that a batch keeps until they are written, and of its scores
CELLS_AT_ONCE = 1 << 16  # whose logarithms are taken while they are in the processor's cache


class Batches:
    """What one model does with prompts of equal length."""

    def __init__(self, model: Model, shapes: StageShapes):
        self.model, self.shapes = model, shapes
        self.itemsize = np.dtype(model.weights.dtype).itemsize

    @cached_property
    def every_row(self) -> Steps:
        """The steps that predict after every token."""
        return model_steps(self.model.config, untied=self.model.weights.untied, every_row=True)

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The stages from which those steps go on that differ from the run's own."""
        own = self.model.steps.by_name
        same = {step.name for step in self.every_row.computed if own.get(step.name) == step}
        readers = (step for step in self.every_row.computed if step.name not in same)
        return tuple({name: None for step in readers for name in step.inputs if name in same})

    def most(self, n_tokens: int) -> int:
        """How many prompts of so many tokens are computed at once."""
        kept = self.shapes.cells(n_tokens) * self.itemsize
        return max(1, min(TOKENS_AT_ONCE // n_tokens, BYTES_AT_ONCE // max(kept, 1)))

    def rows(self, entries: Sequence[Entry]) -> Iterator[list[int]]:
        """The rows of a shard that are computed together: prompts of equal length, the shortest first."""
        by_length: dict[int, list[int]] = {}
        for row, entry in enumerate(entries):
            if entry.error is None:
                by_length.setdefault(len(entry.token_ids), []).append(row)
        for length, rows in sorted(by_length.items()):
            most = self.most(length)
            yield from (rows[begin : begin + most] for begin in range(0, len(rows), most))

    def compute(self, ids: np.ndarray) -> tuple[Mapping[str, np.ndarray], list[Answer]]:  # [B, T]
        """(each kept stage [B, rows, columns], each prompt's answer)."""
        steps, weights, dtype = self.model.steps, self.model.weights, self.model.weights.dtype
        count, given = len(ids), steps.inputs(ids)
        logits, best = steps.name(Role.LOGITS), steps.name(Role.PREDICTION)
        is_scored = self.scores_every_row(ids)
        last = {} if is_scored else {logits: None, best: None}
        wanted = dict.fromkeys(
            [*(name for name in self.shapes.stages if name not in (logits, best)), *self.shared, *last]
        )
        values = follow(steps, weights, given, NO_OVERRIDES, wanted, dtype)
        if is_scored:
            values[logits], losses = self.scored(ids, {name: in_batch(values[name], count) for name in self.shared})
            values |= follow(steps, weights, given, {logits: values[logits]}, [best], dtype)
        else:
            losses = [self.mean_loss(row) for row in ids]
        whole = {name: in_batch(value, count) for name, value in values.items()}
        predicted = whole[best][:, 1, 0].astype(int)
        shares = [probabilities(row[:, -1])[i] for row, i in zip(whole[logits], predicted, strict=True)]
        answers = [Answer(int(i), float(share), loss) for i, share, loss in zip(predicted, shares, losses, strict=True)]
        return {name: whole[name] for name in self.shapes.stages}, answers

    def scores_every_row(self, ids: np.ndarray) -> bool:
        """Are the tokens' scores after every position computed at once? A loss in windows is not."""
        n_tokens = ids.shape[1]
        return n_tokens > 1 and not (n_tokens > self.model.config.n_ctx and kind_of(self.model.config).attends)

    def mean_loss(self, ids: np.ndarray) -> float:  # [T]
        """A prompt's loss in windows; none of one token."""
        return measure(self.model, ids.tolist()).mean if len(ids) > 1 else math.nan

    def scored(
        self, ids: np.ndarray, shared: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, list[float]]:  # -> [B, n_vocab, 1]
        """(the scores after each prompt's last token, its mean of -ln(probability) of the tokens after its first).

        The scores after all tokens are one product, so that those after the last are not computed a second time.
        """
        config, (count, n_tokens) = self.model.config, ids.shape
        name, dtype = self.every_row.name(Role.LOGITS), self.model.weights.dtype
        most = max(1, BYTES_AT_ONCE // (self.itemsize * config.n_vocab * n_tokens))
        last: list[np.ndarray] = []
        losses: list[float] = []
        for begin, end in pairwise([*range(0, count, most), count]):
            part = slice(begin, end)
            base = {name: value[part] for name, value in shared.items()} | self.every_row.inputs(ids[part])
            scores = follow(self.every_row, self.model.weights, base, NO_OVERRIDES, [name], dtype)[name]
            last.append(scores[..., -1:].copy())
            losses += mean_losses(np.moveaxis(scores, -2, -1)[:, :-1], ids[part, 1:])
        return np.concatenate(last), losses


def in_batch(value: np.ndarray, count: int) -> np.ndarray:  # [rows, columns] or [B, rows, columns] -> the latter
    """A stage that is the same for all prompts, for each of them."""
    return np.broadcast_to(value, (count, *value.shape[-2:])) if value.ndim < 3 else value


def mean_losses(scores: np.ndarray, targets: np.ndarray) -> list[float]:  # [B, T, n_vocab], [B, T]
    """Each prompt's mean of -ln(probability). One at a time: its scores lie together in memory."""
    return [float(penalties(*one).mean()) for one in zip(scores, targets, strict=True)]


def penalties(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:  # [T, n_vocab], [T] -> [T]
    """-ln of each target's probability: powers and their sum in the scores' own type, all else in float64."""
    found, most = np.empty(len(scores)), max(1, CELLS_AT_ONCE // scores.shape[1])
    for begin in range(0, len(scores), most):
        some = slice(begin, begin + most)
        greatest = scores[some].max(1, keepdims=True)
        powers = scores[some] - greatest
        sums = np.exp(powers, out=powers).sum(1).astype(np.float64)
        target = np.take_along_axis(scores[some], targets[some, None], 1) - greatest.astype(np.float64)
        found[some] = np.log(sums) - target[:, 0]
    return found


def compute_shard(batches: Batches, entries: Sequence[Entry], writer: Writer, threads: int = 1) -> None:
    """Compute what is kept of these prompts and put it in the writer."""
    from threadpoolctl import threadpool_limits

    def put(rows: list[int]) -> None:
        kept, answers = batches.compute(np.array([entries[row].token_ids for row in rows]))
        for name, value in kept.items():
            for begin, end in runs_of(rows):
                writer.stage(name, rows[begin], value[begin:end])
        for row, answer in zip(rows, answers, strict=True):
            writer.answer(row, answer)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(put, batches.rows(entries)):
            pass


def runs_of(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The slices of neighbours in a list of rows.

    >>> list(runs_of([3, 4, 5, 8, 9]))
    [(0, 3), (3, 5)]
    """
    cuts = [0, *(place for place in range(1, len(rows)) if rows[place] != rows[place - 1] + 1), len(rows)]
    return pairwise(cuts)


def cores() -> int:
    """How many batches of a shard are computed side by side in a process that has the machine to itself."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
