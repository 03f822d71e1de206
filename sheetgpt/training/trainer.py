"""Training: batches, the loss, its gradient through `backward`, and the update of the weights, step by step.

The model is the same list of steps as everywhere; nothing here knows what a layer is. Drawing batches, initial weights
and the order of sums are fixed by the seed. Batches are made in `documents`, updates in `optimizers`; files that a
training reads and writes belong in `train` and `checkpoint`.

A batch is computed in two halves, each by its own thread: numpy's passes over matrices use one core only. The halves
are always the same, so how many cores there are changes nothing.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from threadpoolctl import threadpool_limits

from sheetgpt.bpe import Tokenizer
from sheetgpt.errors import TrainingError
from sheetgpt.files.decimals import keep_freed_memory
from sheetgpt.model import Model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import kind_of, training_steps, weights_of
from sheetgpt.models.step import Role
from sheetgpt.ops import Penalty
from sheetgpt.run.backward import backward
from sheetgpt.run.forward import forward
from sheetgpt.training import optimizers
from sheetgpt.training.documents import Corpus, Documents
from sheetgpt.training.gradients import Loss
from sheetgpt.training.optimizers import Packing, Settings
from sheetgpt.weights.folder import Weights

__all__ = ["LogRow", "Trainer", "initial_weights"]

HANDOVER = 1e-6  # seconds
HALVE_ABOVE = 256  # predictions in a batch: less work than this is done sooner than shared


@dataclass(frozen=True)
class LogRow:
    """What one step of training did."""

    step: int  #: from 1
    loss: float  #: the mean penalty of the batch, in nats where penalties are -ln p
    learning_rate: float  #: of this step
    gradient_norm: float  #: of all gradients together, before clipping
    tokens: int  #: of the batch
    seconds: float  #: that the step took
    held_out: float | None = None  #: the loss of what was held out, where this step looked

    @property
    def tokens_per_second(self) -> float:
        """How many tokens were learned from in a second."""
        return self.tokens / self.seconds


def initial_weights(config: Config, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every weight [rows, columns] before training, drawn in the files' order as suits the model."""
    kind = kind_of(config)
    return {name: kind.first_weight(weight, config, rng) for name, weight in weights_of(config).items()}


class Trainer:
    """The state of one training: weights, AdamW's moments, the random numbers' place, the log so far.

    All weights are views into one vector, so that an update is a few operations on vectors.
    """

    pool: ThreadPoolExecutor  #: of one thread, the second half's; there while training runs

    def __init__(
        self,
        config: Config,
        corpus: Corpus | Documents,
        settings: Settings,
        held_out: Corpus | Documents | None = None,
    ):
        self.config, self.corpus, self.settings, self.held_out = config, corpus, settings, held_out
        self.kind, self.steps = kind_of(config), training_steps(config)
        self.penalties = self.steps.name(Role.PENALTIES)
        self.in_short = cast("Penalty", self.steps.of(Role.PENALTIES).op).in_short  # what the loss is the mean of
        self.rng = np.random.default_rng(settings.seed)
        packing = Packing.of(weights_of(config))
        vector = packing.packed(initial_weights(config, self.rng))
        self.state = optimizers.State.of(vector, packing.n_decayed)
        self.weights = packing.views(vector)
        self.second_half = np.zeros_like(vector)  # the gradient of a batch's second half; the first's becomes the whole
        self.gradients = [packing.views(half) for half in (self.state.gradient, self.second_half)]
        self.log: list[LogRow] = []
        self.first: dict[str, float] | None = None  # first weights by token, where somebody chose them

    def loss_and_gradients(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """The mean penalty of a batch [B, T]; its gradient is left in `state.gradient`."""
        if self.settings.gradient != "backprop":
            return self._loss_and_gradients_to_look_at(ids, targets)
        count = int(np.count_nonzero(targets >= 0))
        if len(ids) < 2 or ids.size < HALVE_ABOVE:
            return self._part(0, ids, targets, count) / count
        middle = len(ids) // 2
        second = self.pool.submit(self._part, 1, ids[middle:], targets[middle:], count)
        total = self._part(0, ids[:middle], targets[:middle], count)
        total += second.result()
        gradient = self.state.gradient
        gradient += self.second_half
        return total / count

    @np.errstate(all="ignore")  # a loss that is no number ends in an error of one line
    def _part(self, half: int, ids: np.ndarray, targets: np.ndarray, count: int) -> float:
        """The sum of some windows' penalties; the gradient of that sum / count is left in `gradients[half]`."""
        values = forward(self.steps, self.weights, self.steps.inputs(ids, targets=targets), dtype=np.float32)
        counted = (targets >= 0)[:, None]
        seeds = {self.penalties: counted * np.float32(1 / count)}
        found = backward(self.steps, values, self.weights, seeds, keep_stages=False)
        for name, gradient in self.gradients[half].items():
            np.copyto(gradient, found[name])
        return float((values[self.penalties] * counted).sum(dtype=np.float64))

    def _loss_and_gradients_to_look_at(self, ids: np.ndarray, targets: np.ndarray) -> float:
        """The same by nudges or by the graph of Values, in float64."""
        loss = Loss.of(self.steps, ids, targets)
        weights = {name: weight.astype(np.float64) for name, weight in self.weights.items()}
        found = loss.gradients(weights, self.settings.gradient, self.settings.nudge)
        for name, gradient in self.gradients[0].items():
            np.copyto(gradient, found[name], casting="same_kind")
        return loss(weights)

    def update(self, step: int) -> tuple[float, float]:
        """The update of all weights: (learning rate, norm of the gradient before clipping)."""
        state, settings = self.state, self.settings
        norm = optimizers.clip(state.gradient, settings.clip)
        middle = len(state.vector) // 2
        rest = self.pool.submit(optimizers.update, state.part(middle, len(state.vector)), settings, step)
        rate = optimizers.update(state.part(0, middle), settings, step)
        rest.result()
        return rate, norm

    def held_out_loss(self, held_out: Corpus | Documents) -> float:
        """The mean penalty of what was held out."""
        total, count = 0.0, 0
        for ids, targets in held_out.all_windows():
            given = self.steps.inputs(ids, targets=targets)
            penalties = forward(self.steps, self.weights, given, dtype=np.float32)[self.penalties]
            total += float(penalties[targets[:, None] >= 0].sum(dtype=np.float64))
            count += int(np.count_nonzero(targets >= 0))
        return total / count

    def run(self) -> Iterator[LogRow]:
        """Train from where the state stands to the last step; what each step did."""
        keep_freed_memory()
        per_half = max(1, (os.cpu_count() or 1) // 2)
        with ThreadPoolExecutor(1) as self.pool, threadpool_limits(per_half, "blas"), quick_handover():
            for step in range(len(self.log), self.settings.steps):
                self.log.append(self._step(step))
                yield self.log[-1]

    def _step(self, step: int) -> LogRow:
        """The step of that number, from 0."""
        begun = time.perf_counter()
        ids, targets = self.corpus.windows(self.settings.batch, self.rng)
        loss = self.loss_and_gradients(ids, targets)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step + 1}", remedy="try a smaller --learning-rate")
        rate, norm = self.update(step)
        self._require_shares(step)
        seconds = time.perf_counter() - begun
        due = (step + 1) % self.settings.evaluate_every == 0 or step + 1 == self.settings.steps
        held_out = self.held_out_loss(self.held_out) if self.held_out and due else None
        return LogRow(step + 1, loss, rate, norm, ids.size, seconds, held_out)

    def _require_shares(self, step: int) -> None:
        """Raises TrainingError where a weight that is a part of a sum isn't above 0 any more."""
        if self.kind.plain_shares and self.state.vector.min() <= 0:
            raise TrainingError(
                f"a weight of the {self.kind.name} fell to 0 or below at step {step + 1}, "
                "so it is no share of a sum any more",
                remedy="give a smaller --learning-rate or fewer --steps, or climb to --model softmax",
            )

    def model(self, tokenizer: Tokenizer | None, folder: Path) -> Model:
        """The model as it stands, for samples on the way."""
        return Model(Weights(self.weights, self.config, folder, "float32"), tokenizer)


@contextmanager
def quick_handover() -> Iterator[None]:
    """Let a thread that waits for Python's lock look again soon: operations here take less than the usual 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(HANDOVER)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
