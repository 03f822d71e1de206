"""The law that a stage says what it is, in training: under strange names a step's workbook holds the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import VOCABULARY
from sheetgpt import load_model
from sheetgpt.bpe import write_tables
from sheetgpt.models.config import MODELS, Config
from sheetgpt.training.example import example
from sheetgpt.training.matrices import are_of_training
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import Training, train_steps
from sheetgpt.training.trainer import initial_weights
from sheetgpt.training.workbook.layout import matrix_names
from sheetgpt.training.workbook.write import write_training
from sheetgpt.weights.folder import write_weights
from sheetgpt.workbook.reading.names import defined_names
from strange_model import NAME, strange
from training_books import assert_shows

CONFIG = Config(1, 2, 4, 8, 6)


@pytest.fixture
def trainings(tmp_path, monkeypatch) -> list[Training]:
    """The same two steps of GPT-2 and of the same list with every stage renamed."""
    monkeypatch.setitem(MODELS, NAME, "strange_model")
    found = []
    for model in ("gpt2", NAME):
        config = replace(CONFIG, model=model)
        write_weights(tmp_path / model, config, initial_weights(CONFIG, np.random.default_rng(1)))
        write_tables(tmp_path / model, [], list(VOCABULARY))
        loaded = load_model(tmp_path / model)
        settings = Settings(steps=2, learning_rate=0.1)
        found.append(train_steps(loaded, example(loaded, "ann", room=6), settings, "ann"))
    return found


def test_every_matrix_is_the_same_under_its_strange_name(trainings):
    plain, other = trainings
    for one, renamed in zip(plain.steps, other.steps, strict=True):
        names = [
            matrix.what.name_of(matrix.of if matrix.step is None else strange(matrix.of))
            for matrix in one.described.values()
        ]
        assert list(renamed.described) == names
        for matrix, theirs in zip(one.described.values(), renamed.described.values(), strict=True):
            np.testing.assert_array_equal(matrix.numbers, theirs.numbers)
            assert (matrix.title, matrix.rows, matrix.columns) == (theirs.title, theirs.rows, theirs.columns)
    assert plain.loss_table(plain.steps[0]) == other.loss_table(other.steps[0])


@pytest.mark.parametrize("live", [False, True], ids=["values", "live"])
def test_matrices_are_found_in_the_workbook_by_their_place(trainings, live, tmp_path):
    for number, training in enumerate(trainings):
        areas = defined_names(write_training(training, tmp_path / f"{number}.xlsx", live=live))
        assert are_of_training(set(areas))
        made = {f"{prefix}{name}" for prefix in ("", "step_2_") for name in training.steps[0].matrices}
        assert set(matrix_names(areas)) == made
        assert matrix_names(areas)[: len(made) // 2] == list(training.steps[0].matrices)


@pytest.mark.office
def test_its_formulas_recalculate_to_the_same_numbers(trainings, tmp_path, recalculate):
    _, other = trainings
    assert_shows(recalculate(write_training(other, tmp_path / "strange.xlsx", live=True)), other)
