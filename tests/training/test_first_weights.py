"""Models before any training, weights that somebody chose, and what train and train-step print of losses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import VOCABULARY
from sheetgpt import load_model
from sheetgpt.errors import TrainingError
from sheetgpt.models.config import MODELS
from sheetgpt.training import checkpoint
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import Training
from sheetgpt.training.train import NewModel, prepare
from training_books import LIVE, trained, write_model

CHOSEN = "a=0.62 i=0.45 l=0.85 e=0.67 n=0.17 .=0.53"


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("anna\nlilie\n", encoding="utf-8")
    return file


def train(names, dest, *options):
    return sheetgpt_here("train", names, dest, "--tokens", "chars", *options)


@pytest.mark.parametrize("model", MODELS)
def test_no_step_leaves_the_first_weights_those_from_which_training_begins(model, names, tmp_path):
    done = train(names, tmp_path / "m", "--model", model, "--steps", 0, "--json")
    assert done.code == 0, done.err
    data = json.loads(done.out)
    assert (data["steps"], data["loss"], data["first_loss"]) == (0, None, None)
    assert not (tmp_path / "m" / "checkpoint.npz").exists()
    trained_a_bit = train(names, tmp_path / "n", "--model", model, "--steps", 1, "--learning-rate", 1e-12)
    assert trained_a_bit.code == 0, trained_a_bit.err
    first, after = load_model(tmp_path / "m"), load_model(tmp_path / "n")
    for name, matrix in first.weights.items():
        np.testing.assert_allclose(after.weights[name], matrix, atol=1e-9)
    assert "first weights" in train(names, tmp_path / "m", "--model", model, "--steps", 0, "--force").out


def test_chosen_weights_have_the_sources_numbers(names, tmp_path):
    assert train(names, tmp_path / "m", "--model", "die", "--steps", 0, "--first", CHOSEN).code == 0
    done = sheetgpt_here("train-step", "ann", "--weights", tmp_path / "m")
    rows = [line.split() for line in done.out.splitlines() if line.startswith("model_logits")]
    assert "Loss 0.88678 (mean of 1 - p)" in done.out
    assert rows[0] == ["model_logits", "0,0", '"a"', "0.6200", "0.88636", "-0.04145", "-0.0416", "0.6242"]
    assert [row[2].strip('"') for row in rows] == [*sorted(VOCABULARY[:-1]), "."]


@pytest.mark.parametrize(
    ("model", "first", "error"),
    [
        ("die", "a=0.62", "--first has no weight for 'e'"),
        ("die", f"{CHOSEN} b=1", "the model has no token 'b'"),
        ("die", CHOSEN.replace("0.17", "-0.17"), "must be above 0"),
        ("die", CHOSEN.replace("0.17", "1e-60"), "must be above 0"),
        ("die", CHOSEN.replace("0.17", "nan"), "gives 'n' the weight nan, which is no finite number"),
        ("softmax", CHOSEN.replace("0.17", "nan"), "gives 'n' the weight nan, which is no finite number"),
        ("softmax", CHOSEN.replace("0.17", "-inf"), "gives 'n' the weight -inf, which is no finite number"),
        ("softmax", CHOSEN.replace("0.17", "1e39"), "gives 'n' the weight 1e+39, which is no finite number"),
        ("softmax", f"{CHOSEN} a=0.62", "gives a token two weights"),
        ("die", "a:0.62", "no list of TOKEN=NUMBER"),
        ("die", "", "no list of TOKEN=NUMBER"),
        ("bigram", CHOSEN, "give it for the die or softmax"),
    ],
)
def test_weights_that_cant_be_chosen_are_refused_and_leave_nothing(model, first, error, names, tmp_path):
    assert error in train(names, tmp_path / "m", "--model", model, "--steps", 0, "--first", first).error
    assert not (tmp_path / "m").exists()


def test_a_training_goes_on_from_a_checkpoint_of_the_same_chosen_weights_only(names, tmp_path):
    first = {token: float(number) for token, number in (pair.split("=") for pair in CHOSEN.split())}

    def prepared(dest, first):
        new, settings = NewModel(model="softmax", tokens="chars", n_ctx=8), Settings(steps=8, batch=2)
        return prepare(names, tmp_path / dest, new, settings, first=first)

    whole, stopped = prepared("whole", first), prepared("stopped", first)
    list(whole.run())
    for row in stopped.run():
        if row.step == 3:
            checkpoint.save(stopped, tmp_path / "stopped" / checkpoint.FILE)
    for other in (None, {**first, "n": 0.18}):
        with pytest.raises(TrainingError, match="was made with another choice of first weights"):
            prepared("stopped", other)
    again = prepared("stopped", first)
    assert len(again.log) == 3
    list(again.run())
    np.testing.assert_array_equal(again.state.vector, whole.state.vector)


@pytest.mark.parametrize("model", ["die", "softmax", "bigram"])
def test_train_says_what_its_loss_is_the_mean_of(model, names, tmp_path):
    out = train(names, tmp_path / "m", "--model", model, "--steps", 3).out
    assert ("(mean of 1 - p;" in out) == (model == "die")
    assert ("(mean of -ln p;" in out) == (model != "die")
    assert ("compare by sheetgpt loss --file" in out) == (model == "die")


def test_of_many_weights_those_with_the_largest_gradients_are_shown(tmp_path):
    training: Training = trained(tmp_path, "mlp")
    gradients = np.concatenate([training.steps[0].gradients[name].ravel() for name in training.steps[0].weights])
    largest = sorted(np.abs(gradients), reverse=True)[:30]
    out = sheetgpt_here("train-step", "ann", "--weights", tmp_path).out
    rows = [line.split() for line in out.splitlines() if line.startswith("model_")]
    head = next(line.split() for line in out.splitlines() if line.startswith("weight"))
    place = head.index("gradient") - len(head)
    assert len(rows) == 30
    assert [abs(float(row[place])) for row in rows] == pytest.approx(largest, abs=1e-4)
    assert "with smaller gradients" in out


@pytest.mark.parametrize("model", LIVE[:3])
def test_a_dump_without_a_name_has_its_models_and_replaces_none(model, tmp_path):
    for folder in ("one", "two"):
        write_model(tmp_path / folder, model)
        done = sheetgpt_here("train-step", "ann", "--weights", folder, "--dump-xlsx", cwd=tmp_path)
        assert done.code == 0, done.err
    files = {file.name for file in (tmp_path / "exports").iterdir()}
    assert files == {"ann-train-step-one.xlsx", "ann-train-step-two.xlsx"}


def test_run_says_that_it_replaces_the_workbook_of_another_model(tmp_path):
    errors = []
    for folder in ("one", "two"):
        write_model(tmp_path / folder, "bigram")
        errors.append(sheetgpt_here("run", ".an", "--weights", folder, "--dump-xlsx", cwd=tmp_path).err)
    assert "is replaced" not in errors[0]
    assert "an.xlsx was there already and is replaced; --name keeps" in errors[1]
    named = sheetgpt_here("run", ".an", "--weights", "one", "--dump-xlsx", "--name", "an", cwd=tmp_path)
    assert named.code == 0
    assert "is replaced" not in named.err
    for _ in range(2):
        assert sheetgpt_here("run", "Mike is quick. He moves", "--dump-xlsx", cwd=tmp_path).err == ""


def test_the_curve_of_the_steps_is_drawn(tmp_path):
    require("matplotlib", "plot")
    write_model(tmp_path / "m", "softmax")
    options = ["--weights", "m", "--steps", 5, "--plot", "curve.png"]
    done = sheetgpt_here("train-step", "ann", *options, cwd=tmp_path)
    assert "Wrote curve.png" in done.out
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "can't write" in sheetgpt_here("train-step", "ann", *options[:-1], "curve.png/c.png", cwd=tmp_path).error


@pytest.mark.parametrize(
    "command",
    [["train-step", "ann", "--weights", "m"], ["train", "n.txt", "new", "--tokens", "chars", "--model", "softmax"]],
    ids=["train-step", "train"],
)
def test_a_curve_is_of_the_kind_that_its_name_says(command, tmp_path):
    require("matplotlib", "plot")
    write_model(tmp_path / "m", "softmax")
    (tmp_path / "n.txt").write_text("anna\nlea\n")
    assert sheetgpt_here(*command, "--steps", 2, "--plot", "curve.svg", cwd=tmp_path).code == 0
    assert (tmp_path / "curve.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert "ends in .png or .svg" in sheetgpt_here(*command, "--steps", 2, "--plot", "c.pdf", cwd=tmp_path).error
