"""Lists of words: what an echo is, and that only a model which looks back beyond a window of three learns it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.training import words
from sheetgpt.training.loss_of_lines import measure_lines


def test_echoes_end_as_they_begin_and_none_is_held_out_and_learned():
    found = words.echoes()
    every = [*found.words, *found.held_out]
    assert all(word[0] == word[-1] and len(word) == words.BETWEEN + 2 for word in every)
    assert len(set(every)) == len(every) == words.N_ECHOES + words.N_HELD_OUT
    assert {letter for word in every for letter in word} == set(words.LETTERS)
    assert words.echoes(2).words != found.words == words.echoes().words


def test_the_floor_is_the_loss_of_who_knows_the_rule():
    found = words.echoes()
    by_rule = [[math.log(5)] * 5 + [0.0, 0.0] for _ in found.words]
    assert found.floor == pytest.approx(np.mean(by_rule))


def test_on_new_echoes_attention_is_better_than_the_window_of_the_mlp(tmp_path):
    made = sheetgpt_here("words", "echoes", "echoes.txt", "--held-out", "new.txt", cwd=tmp_path)
    assert made.code == 0, made.err
    assert "Floor 1.1496" in made.out
    new, losses = (tmp_path / "new.txt").read_text(encoding="utf-8"), {}
    for model in ("mlp", "attention"):
        options = ["--tokens", "chars", "--model", model, "--steps", 500]
        assert sheetgpt_here("train", "echoes.txt", model, *options, cwd=tmp_path).code == 0
        losses[model] = measure_lines(load_model(tmp_path / model), new).mean
    assert losses["attention"] + 0.3 < losses["mlp"]
    assert words.echoes().floor < losses["attention"]


def test_the_command_writes_the_names_and_refuses_in_one_line(tmp_path):
    assert sheetgpt_here("words", "names", "n.txt", cwd=tmp_path).code == 0
    assert (tmp_path / "n.txt").read_text(encoding="utf-8").split() == words.NAMES
    assert "nothing is held out" in sheetgpt_here("words", "names", "n.txt", "--held-out", "x", cwd=tmp_path).error
    (tmp_path / "file").write_text("")
    assert "can't write" in sheetgpt_here("words", "names", "file/n.txt", cwd=tmp_path).error


@pytest.mark.parametrize("other", ["n.txt", "new.txt"])
def test_another_text_is_replaced_only_by_force_and_the_same_one_stays(other, tmp_path):
    arguments = ("words", "echoes", "n.txt", "--held-out", "new.txt")
    (tmp_path / other).write_text("a book\n")
    refused = sheetgpt_here(*arguments, cwd=tmp_path).error
    assert refused == f"{other} exists, and is another text: name another file, or give --force"
    assert [file.name for file in tmp_path.iterdir()] == [other]
    assert (tmp_path / other).read_text() == "a book\n"
    assert [sheetgpt_here(*arguments, *force, cwd=tmp_path).code for force in (["--force"], [])] == [0, 0]
    assert (tmp_path / "n.txt").read_text().split() == words.echoes().words
