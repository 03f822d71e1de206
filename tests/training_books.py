"""What tests of training workbooks share: small models and their steps, and named matrices held against the steps'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import with_typed
from models import DIE, VOCABULARY
from sheetgpt import load_model
from sheetgpt.bpe import write_tables
from sheetgpt.models.config import Config
from sheetgpt.training.example import example
from sheetgpt.training.matrices import in_step
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import Training, train_steps
from sheetgpt.training.trainer import initial_weights
from sheetgpt.weights.folder import write_weights
from sheetgpt.workbook.grid import cell
from sheetgpt.workbook.reading.names import defined_names
from workbooks import contents

LIVE = ("die", "softmax", "bigram", "mlp", "attention", "microgpt", "gpt2", "gpt2 sinusoidal", "gpt2 rotary")


def write_model(folder, model: str, seed: int = 1):
    """A rung whose tokens are the letters `a i l e n .`, the die with the golden weights; `gpt2 rotary` is one too."""
    model, _, position = model.partition(" ")
    config = Config(1, 1, 1 if model != "mlp" else 2, 8 if model != "mlp" else 3, 6, model=model)
    if model in {"attention", "microgpt", "gpt2"}:
        config = Config(1, 2, 4, 8, 6, model=model, position=position or "learned")
    weights = DIE if model == "die" else initial_weights(config, np.random.default_rng(seed))
    write_weights(folder, config, {name: np.asarray(matrix, np.float32) for name, matrix in weights.items()})
    write_tables(folder, [], list(VOCABULARY))
    return load_model(folder)


def trained(folder, model: str, text: str = "ann", *, room: int = 0, **settings):
    loaded = write_model(folder, model)
    options = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0} | settings
    return train_steps(loaded, example(loaded, text, room=room), Settings(**{"steps": 1} | options), text)


def with_word(file: Path, copy: Path, word: str) -> Path:
    """A copy of a live workbook with another word typed, in which no formula has a value."""
    area = defined_names(file)["word"][0]
    return with_typed(file, copy, {(area.tab, cell(area.row, area.column)): word or None})


def numbers(path: Path) -> dict[str, np.ndarray]:
    """Every named area of a workbook that holds numbers only, as matrices."""
    tabs, found = contents(path), {}
    for name, (area, *_) in defined_names(path).items():
        rows = tabs[area.tab][area.row : area.row + area.rows]
        cells = [row[area.column : area.column + area.columns] for row in rows]
        if all(isinstance(value, int | float) for row in cells for value in row):
            found[name] = np.array(cells, float)
    return found


def assert_shows(path: Path, training: Training) -> None:
    """The workbook's named matrices are the training's, within 1e-9."""
    shown = numbers(path)
    for step in training.steps:
        for name, matrix in step.matrices.items():
            here = in_step(step.number, name)
            np.testing.assert_allclose(shown[here], matrix, rtol=1e-9, atol=1e-9, err_msg=here)
        assert shown[in_step(step.number, "loss")] == pytest.approx(step.loss, abs=1e-9)
