"""Training steps that are no dump of ours: computed on the spot (`train-step:TEXT`), and llm.c's debug state.

`train-step:` without a text is a step on the batch that the other side holds. Comparing belongs in `training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.diff.sides.run import ids_in
from sheetgpt.errors import DumpError, PromptError
from sheetgpt.files.paths import existing
from sheetgpt.fixtures import llmc
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import training_steps
from sheetgpt.models.step import Role
from sheetgpt.training.matrices import LOSS, What

if TYPE_CHECKING:
    from sheetgpt.model import Model

STEP, STEP_IDS = "train-step:", "train-step-ids:"
Readers = Mapping[str, Callable[[], np.ndarray]]


def is_typed(side: str) -> bool:
    """Is it a training step that is computed on the spot?"""
    return side.startswith((STEP, STEP_IDS))


def state_at(side: str) -> llmc.State | None:
    """llm.c's debug state, where a side is one."""
    path = existing(side)
    return llmc.open_state(path) if path is not None and llmc.recognises(path) else None


@dataclass(frozen=True)
class Batch:
    """What is learned from."""

    ids: np.ndarray  # [B, T]
    targets: np.ndarray  # [B, T]


@dataclass(frozen=True)
class Spot:
    """What a step is computed with: a model, and the other side's batch, where it has one."""

    weights: str | Path | None
    batch: Batch | None

    @cached_property
    def model(self) -> Model:
        from sheetgpt.model import load_model  # only now: most sides are dumps, and starting takes time

        return load_model(self.weights)

    def step(self, side: str) -> Readers:
        """The matrices of a step as it is typed. Raises PromptError where there is nothing to learn from."""
        text = side.removeprefix(STEP)
        if side.startswith(STEP_IDS):
            return on_text(self.model, None, ids_in(side, STEP_IDS))
        if text:
            return on_text(self.model, text)
        if self.batch is None:
            remedy = f"give {STEP}TEXT or {STEP_IDS}3,1,2; only llm.c's debug state holds a batch of its own"
            raise PromptError(f"{STEP} has no text, and the other side no batch", remedy=remedy)
        return on_batch(self.model, self.batch)


def on_text(model: Model, text: str | None, token_ids: list[int] | None = None) -> Readers:
    """Every matrix of one step, as `train-step` has them."""
    from sheetgpt.training.example import example
    from sheetgpt.training.optimizers import Settings
    from sheetgpt.training.step import train_steps

    (step,) = train_steps(model, example(model, text, token_ids), Settings(steps=1), text).steps
    return readers({**step.matrices, LOSS: np.full((1, 1), step.loss)})


def on_batch(model: Model, batch: Batch) -> Readers:
    """The logits, the mean penalty and every weight's gradient."""
    from sheetgpt.run.backward import backward
    from sheetgpt.training.gradients import Loss

    n_tokens = batch.ids.shape[1]
    if n_tokens > model.room(n_tokens):
        what = f"the batch has rows of {n_tokens} tokens and the model's context holds {model.config.n_ctx}"
        raise DumpError(what, remedy="name the folder of its own model with --weights")
    steps = training_steps(model.config, untied=model.weights.untied)
    loss, logits = Loss.of(steps, batch.ids, batch.targets), steps.name(Role.LOGITS)
    weights = {name: np.asarray(matrix, np.float64) for name, matrix in model.weights.items()}
    values = loss.values(weights)
    found = backward(steps, values, weights, {loss.penalties: loss.share}, keep_stages=False)
    gradients = {What.GRADIENT.name_of(name): found[name] for name in reversed(weights)}
    rows = values[logits].reshape(-1, n_tokens)
    return readers({logits: rows, LOSS: np.full((1, 1), loss.total(values)), **gradients})


def readers(matrices: Mapping[str, np.ndarray]) -> Readers:
    return {name: partial(np.asarray, matrix) for name, matrix in matrices.items()}


def require_same(state: llmc.State, ids: list[int], targets: list[int], label: str) -> None:
    """Raises DumpError where a dump's step learned from another text than the state's batch."""
    if state.ids.tolist() != [ids] or state.targets.tolist() != [targets]:
        what = f"{label} and {state.path} learn from different tokens"
        raise DumpError(what, remedy=f"compare {state.path.name} with `{STEP}`, a step on its own batch")


def constants(config: Config | None, weights: str | Path | None) -> Config | None:
    """The constants that a dump has, else those of the model that is named."""
    if config is not None or weights is None:
        return config
    from sheetgpt.weights.folder import named_folder, read_config

    return read_config(named_folder(weights))
