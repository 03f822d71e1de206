"""The models that ship, by name: each is a model like another, in every command; a path means a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.training.trainer import initial_weights
from sheetgpt.weights.check import check
from sheetgpt.weights.embedded import ABOUT, EMBEDDED, embedded_folder, folder_name, named_folder
from sheetgpt.weights.folder import load_weights, read_config

PROMPT = "Mike is quick. He moves"
BESIDE_THE_DEFAULT = [name for name in ABOUT if name != EMBEDDED]


@pytest.mark.parametrize("name", ABOUT)
def test_a_shipped_model_is_whole_sane_and_small(name):
    assert check(name).findings == []
    assert sum(file.stat().st_size for file in embedded_folder(name).glob("*.csv")) <= 3e6


@pytest.mark.parametrize("name", ABOUT)
def test_a_folders_name_is_the_models_and_back(name):
    assert named_folder(name) == embedded_folder(name)
    assert folder_name(embedded_folder(name)) == name


@pytest.mark.parametrize("name", BESIDE_THE_DEFAULT)
def test_the_others_have_the_defaults_sizes_and_tokens(name):
    other, default = read_config(embedded_folder(name)), read_config(embedded_folder())
    sizes = ("n_layer", "n_head", "n_embd", "n_ctx", "n_vocab")
    assert [getattr(other, size) for size in sizes] == [getattr(default, size) for size in sizes]
    assert load_model(name).tokenizer.tokens == load_model().tokenizer.tokens
    assert other.position == (name if name in ("rotary", "sinusoidal") else "learned")


def test_the_untrained_model_has_the_first_weights_of_a_training():
    config = read_config(embedded_folder("untrained"))
    weights = load_weights("untrained", "float32")
    first = initial_weights(config, np.random.default_rng(1))
    assert list(first) == list(weights)
    for name, matrix in first.items():
        assert np.array_equal(matrix.astype(np.float32), weights[name]), name


def test_a_path_means_the_folder_and_a_bare_name_the_shipped_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(embedded_folder("untrained"), tmp_path / "rotary")
    by_name = json.loads(sheetgpt_here("run", PROMPT, "--weights", "rotary", "--json", cwd=tmp_path).out)
    by_path = json.loads(sheetgpt_here("run", PROMPT, "--weights", "./rotary", "--json", cwd=tmp_path).out)
    untrained = json.loads(sheetgpt_here("run", PROMPT, "--weights", "untrained", "--json", cwd=tmp_path).out)
    assert by_path["predictions"] == untrained["predictions"] != by_name["predictions"]
    assert load_model(Path("rotary")).config.position == "learned"
    assert load_model("rotary").config.position == "rotary"


@pytest.mark.parametrize("name", ABOUT)
def test_a_folder_that_is_called_so_is_said_by_its_path(name, tmp_path):
    """What a command says to type next finds the folder that it has just written."""
    (tmp_path / "names.txt").write_text("anna\nann\n")
    made = [
        sheetgpt_here("train", "names.txt", name, "--tokens", "chars", "--model", "die", "--steps", 1, cwd=tmp_path),
        sheetgpt_here("convert-weights", "embedded", f"{name}", "--force", cwd=tmp_path),
    ]
    for done in made:
        assert done.code == 0, done.err
        assert f"--weights ./{name}" in done.out
        assert f"--weights {name}" not in done.out


@pytest.mark.parametrize("command", [["run", "a"], ["generate", "a"], ["tokenize", "a"], ["check"]])
def test_an_unknown_name_is_answered_with_those_that_ship(command, tmp_path):
    folder = ["nowhere"] if command == ["check"] else ["--weights", "nowhere"]
    done = sheetgpt_here(*command, *folder, cwd=tmp_path)
    assert done.code == 2
    assert all(name in done.error for name in ABOUT)


def test_the_models_are_listed(tmp_path):
    listed = sheetgpt_here("stages", "--models", cwd=tmp_path).out
    assert all(any(line.startswith(name) for line in listed.splitlines()) for name in ABOUT)
    assert [one["name"] for one in json.loads(sheetgpt_here("stages", "--models", "--json", cwd=tmp_path).out)] == list(
        ABOUT
    )


@pytest.mark.parametrize("name", ABOUT)
def test_a_shipped_model_goes_through_every_command(name, tmp_path):
    dumped = sheetgpt_here(
        "run", PROMPT, "--weights", name, "--dump-csv", "--dump-xlsx", "--formulas", "--name", "d", cwd=tmp_path
    )
    assert dumped.code == 0
    assert json.loads((tmp_path / "exports/d/manifest.json").read_text(encoding="utf-8"))["weights"] == name
    assert sheetgpt_here("diff", "exports/d", f"run:{PROMPT}", "--weights", name, cwd=tmp_path).code == 0
    for command in (
        ["diff", "exports/d", "exports/d.xlsx"],
        ["resume", "exports/d.xlsx"],
        ["generate", PROMPT, "-n", "3", "--weights", name],
        ["loss", f"{PROMPT} quickly.", "--weights", name],
        ["tokenize", PROMPT, "--weights", name],
        ["fixtures", PROMPT, "--weights", name, "-o", "f.npz"],
        ["check", name],
        ["convert-weights", name, "copy"],
        ["check", "copy"],
    ):
        done = sheetgpt_here(*command, cwd=tmp_path)
        assert done.code == 0, (command, done.err)


def test_converting_by_name_to_safetensors(tmp_path):
    assert sheetgpt_here("convert-weights", "untrained", "out", "--to", "safetensors", cwd=tmp_path).code == 0
    assert (tmp_path / "out/model.safetensors").exists()
    refused = sheetgpt_here("convert-weights", "rotary", "other", "--to", "safetensors", cwd=tmp_path)
    assert refused.code == 2
    assert "has rotary positions" in refused.error
