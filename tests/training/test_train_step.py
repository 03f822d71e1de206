"""A training step to look at: its numbers, its dumps, and the live workbook recalculated by LibreOffice."""

from __future__ import annotations

import csv
import json

import numpy as np
import openpyxl
import pytest

from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.bpe import write_tables
from sheetgpt.errors import DumpError, SheetGPTError
from sheetgpt.models.config import Config
from sheetgpt.training.example import example
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.step import train_steps
from sheetgpt.training.trainer import initial_weights
from sheetgpt.training.workbook.write import write_training
from sheetgpt.weights.folder import write_weights
from sheetgpt.workbook.reading.names import defined_names
from training_books import LIVE, assert_shows, trained, with_word, write_model

every_live = pytest.mark.parametrize("model", LIVE)


# ------------------------------------------------------------------------------------------------ numbers


def test_the_dies_step_has_the_golden_numbers(tmp_path):
    training = trained(tmp_path, "die")
    (step,) = training.steps
    assert round(step.loss, 4) == 0.8868
    np.testing.assert_array_equal(step.new["model_logits"][:, 0].round(3), [0.624, 0.447, 0.847, 0.667, 0.182, 0.534])
    assert round(step.matrices["nudged_loss"][0, 0], 4) == 0.8864
    np.testing.assert_array_equal(step.matrices["nudged_slope"][:, 0].round(2), [-0.04, 0.03, 0.03, 0.03, -0.12, -0.04])
    assert [(row.context, row.target) for row in training.loss_table(step)] == [*zip(".ann", "ann.", strict=True)]
    assert round(trained(tmp_path, "die", steps=2).steps[1].loss, 4) == 0.8847


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("model", LIVE)
def test_every_stage_and_weight_has_its_gradient_and_the_loss_falls(model, optimizer, tmp_path):
    training = trained(tmp_path, model, optimizer=optimizer, steps=5, learning_rate=0.02)
    names = set(training.steps[0].matrices)
    without = {"triangle_matrix", "target_share", "nudged_loss", "nudged_slope"}
    plain = {name for name in names if not name.startswith(("d_", "new_", "mean_", "square_"))} - without
    assert {f"d_{name}" for name in plain} == {name for name in names if name.startswith("d_")}
    assert ("mean_" + next(iter(training.steps[0].weights)) in names) == (optimizer == "adamw")
    assert training.steps[-1].loss < training.steps[0].loss


def test_adamw_is_pytorchs(tmp_path):
    from conftest import require

    torch = require("torch", "oracle")
    training = trained(tmp_path, "softmax", optimizer="adamw", steps=4, learning_rate=0.1, weight_decay=0.3)
    w = torch.tensor(training.steps[0].weights["model_logits"], requires_grad=True)
    adamw = torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.99), weight_decay=0.3)
    for step in training.steps:
        loss = torch.nn.functional.cross_entropy(w.T.expand(4, -1), torch.tensor([0, 4, 4, 5]))
        assert step.loss == pytest.approx(loss.item())
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        np.testing.assert_allclose(step.new["model_logits"], w.detach().numpy(), rtol=1e-6)


def test_a_text_is_seen_as_training_sees_it(tmp_path):
    seen = example(write_model(tmp_path, "bigram"), "ann", room=6)
    assert "".join(seen.context) == ".ann"
    assert seen.coming == ["a", "n", "n", ".", "", ""]
    assert seen.share.tolist() == [0.25] * 4 + [0, 0]
    embedded = load_model()
    seen = example(embedded, "Mike is quick.")
    assert seen.coming == [*seen.context[1:], "<|endoftext|>"]
    with pytest.raises(SheetGPTError, match="nothing to learn"):
        example(embedded, "")


# ------------------------------------------------------------------------------------------------ workbooks


@pytest.mark.parametrize("model", LIVE)
def test_the_workbook_of_values_holds_every_matrix_under_its_name(model, tmp_path):
    training = trained(tmp_path / "m", model, optimizer="adamw", steps=2)
    assert_shows(write_training(training, tmp_path / "step.xlsx"), training)


def test_a_larger_models_step_stands_on_tabs(tmp_path):
    model = load_model()
    training = train_steps(
        model, example(model, "Mike is quick."), Settings(steps=1, optimizer="sgd"), "Mike is quick."
    )
    shown = defined_names(write_training(training, tmp_path / "step.xlsx"))
    assert set(training.steps[0].matrices) <= set(shown)
    assert shown["d_block_1_step_7"][0].tab == "d_block_1"
    assert shown["new_model_h0_ln_1_g"][0].tab == "weights_0"
    with pytest.raises(DumpError, match="too large for gradients as formulas"):
        write_training(training, tmp_path / "step.xlsx", live=True)


@pytest.mark.office
def test_live_workbooks_recalculated_give_the_same_losses_gradients_and_weights(tmp_path, recalculate):
    trainings = {}
    for model in LIVE:
        for optimizer in ("sgd", "adamw"):
            options = {"optimizer": optimizer, "steps": 3, "room": 6, "weight_decay": 0.1 * (optimizer == "adamw")}
            training = trained(tmp_path / model, model, **options)
            file = write_training(training, tmp_path / f"{model}_{optimizer}.xlsx", live=True)
            assert_shows(file, training)  # the cached values
            trainings[file] = training
    for file, training in zip(recalculate(*trainings), trainings.values(), strict=True):
        assert_shows(file, training)


@pytest.mark.office
def test_another_word_retrains_the_whole_sheet(tmp_path, recalculate):
    files, expected = [], []
    for model in LIVE:
        file = write_training(trained(tmp_path / model, model, steps=4, room=8), tmp_path / f"{model}.xlsx", live=True)
        files.append(with_word(file, tmp_path / f"{model} lilie.xlsx", "lilie"))
        expected.append(trained(tmp_path / model, model, "lilie", steps=4, room=8))
    for file, training in zip(recalculate(*files), expected, strict=True):
        assert_shows(file, training)
        rows = openpyxl.load_workbook(file, data_only=True)["loss"].iter_rows(4, 9, 1, 5, values_only=True)
        assert [row[2] for row in rows] == [*"lilie."]


@pytest.mark.office
def test_a_word_of_characters_with_several_bytes_can_be_typed(tmp_path, recalculate):
    from sheetgpt.training.documents import character_tables

    folder, text = tmp_path / "m", "zoë\nAa*?"  # small and large letters are two; signs are no wildcards
    merges, tokens = character_tables(text)
    config = Config(1, 1, 1, 8, len(tokens), model="softmax")
    write_weights(folder, config, initial_weights(config, np.random.default_rng(1)))
    write_tables(folder, merges, tokens)
    model, settings = load_model(folder), Settings(steps=2, optimizer="sgd", weight_decay=0.0)
    training = train_steps(model, example(model, "zoë", room=8), settings, "zoë")
    file = write_training(training, tmp_path / "z.xlsx", live=True)
    other = with_word(file, tmp_path / "other.xlsx", "ë*aA?")
    assert_shows(recalculate(other), train_steps(model, example(model, "ë*aA?", room=8), settings, "ë*aA?"))


def test_several_steps_have_a_curve(tmp_path):
    from zipfile import ZipFile

    file = write_training(trained(tmp_path / "m", "die", steps=3), tmp_path / "step.xlsx", live=True)
    charts = [name for name in ZipFile(file).namelist() if "charts/chart" in name]
    assert len(charts) == 2


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_dumps_workbook_csv_and_tables(tmp_path):
    write_model(tmp_path / "m", "softmax")
    dumps = ["--dump-xlsx", "--formulas", "--dump-csv", "--exports", tmp_path, "--name", "ann"]
    done = sheetgpt_here(
        "train-step", "ann", "--weights", tmp_path / "m", "--steps", 3, "--gradient", "backprop", *dumps
    )
    assert done.code == 0, done.err
    assert "differ by at most" in done.out
    assert (tmp_path / "ann.xlsx").exists()
    files = {file.name for file in (tmp_path / "ann" / "step_3").iterdir()}
    assert {"model_logits.csv", "d_model_logits.csv", "new_model_logits.csv", "d_probabilities.csv"} <= files
    with (tmp_path / "ann" / "gradient_check.csv").open(encoding="utf-8") as file:
        checks = list(csv.DictReader(file))
    assert len(checks) == 6
    assert all(abs(float(row["backprop"]) - float(row["numeric"])) < 1e-5 for row in checks)


def test_diff_names_the_first_matrix_that_diverges(tmp_path):
    write_model(tmp_path / "m", "mlp")
    for name, rate in (("a", 0.1), ("b", 0.2)):
        dumps = ["--dump-xlsx", "--dump-csv", "--exports", tmp_path, "--name", name, "--steps", 2]
        assert (
            sheetgpt_here("train-step", "ann", "--weights", tmp_path / "m", "--learning-rate", rate, *dumps).code == 0
        )
    a, b = tmp_path / "a", tmp_path / "b"
    for left, right in ((a, b), (f"{a}.xlsx", f"{b}.xlsx"), (a, f"{b}.xlsx")):
        done = sheetgpt_here("diff", left, right, "--json")
        assert done.code == 1, done.err
        assert json.loads(done.out)["first"].startswith("new_model_")
        assert not any("d_" in m["name"][:2] and m["cells_out"] for m in json.loads(done.out)["matrices"])
    same = sheetgpt_here("diff", a, f"{a}.xlsx")
    assert same.code == 0, same.out
    d_out = np.loadtxt(a / "step_1" / "d_mlp_hidden.csv", delimiter=",")
    np.savez(tmp_path / "port.npz", d_mlp_hidden=d_out + 1e-3)
    assert sheetgpt_here("diff", a, tmp_path / "port.npz").out.startswith("d_mlp_hidden diverges first.")
    np.savez(tmp_path / "port.npz", other=d_out)
    assert "no matrix of one name" in sheetgpt_here("diff", a, tmp_path / "port.npz").error


def test_the_graph_of_values_is_a_table(tmp_path):
    write_model(tmp_path / "m", "die")
    options = ["--gradient", "value", "--dump-csv", "--dump-xlsx", "--exports", tmp_path, "--name", "ann"]
    done = sheetgpt_here("train-step", "ann", "--weights", tmp_path / "m", *options, "--json")
    assert done.code == 0, done.err
    assert round(json.loads(done.out)["losses"][0], 4) == 0.8868
    with (tmp_path / "ann" / "value_graph.csv").open(encoding="utf-8") as file:
        nodes = list(csv.DictReader(file))
    assert [node["name"] for node in nodes if node["name"]] == [f"model_logits[{i},0]" for i in range(6)]
    assert float(nodes[-1]["value"]) == pytest.approx(0.8868, abs=1e-4)
    assert float(nodes[-1]["gradient"]) == 1
    for node in nodes:
        for child in node["children"].split():
            assert int(child) < int(node["node"])
    assert "value_graph" in openpyxl.load_workbook(tmp_path / "ann.xlsx").sheetnames


def test_the_embedded_model_shows_a_step_and_says_what_formulas_it_lacks(tmp_path):
    done = sheetgpt_here("train-step", "Mike is quick.", "--formulas", "--exports", tmp_path)
    assert done.code == 0, done.err
    assert "they are dumped as values" in done.err
    assert "weights more" in done.out


def test_bad_input_is_one_line(tmp_path):
    write_model(tmp_path, "bigram")
    weights = ("--weights", tmp_path)
    assert "give either" in sheetgpt_here("train-step", *weights).error
    assert "must be above 0" in sheetgpt_here("train-step", "ann", *weights, "--learning-rate", 0).error
    assert (
        "are those of backprop"
        in sheetgpt_here("train-step", "ann", *weights, "--formulas", "--gradient", "value").error
    )
