"""Weights that are shares of their sum: where one is none, the folder is no model."""

from __future__ import annotations

import pytest

from command_line import sheetgpt_here

NONE = ["-1", "0", "-0.0", "-1e-300"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "names.txt").write_text("ann\nlea\n", encoding="utf-8")
    for model in ("die", "softmax"):
        trained = ["train", "names.txt", model, "--tokens", "chars", "--model", model, "--steps", 0]
        assert sheetgpt_here(*trained, cwd=tmp_path).code == 0
    return tmp_path


def put(folder, model, number):
    file = folder / model / "model_logits.csv"
    _, *others = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([number, *others, ""]), encoding="utf-8")


@pytest.mark.parametrize("number", NONE)
@pytest.mark.parametrize("command", [["run", "an"], ["loss", "ann"], ["train-step", "ann"]])
def test_a_die_with_a_side_that_is_no_share_is_refused(folder, command, number):
    put(folder, "die", number)
    done = sheetgpt_here(*command, "--weights", "die", cwd=folder)
    assert "model_logits.csv holds " in done.error
    assert "share of their sum" in done.error


@pytest.mark.parametrize("number", NONE)
def test_check_says_it_too(folder, number):
    put(folder, "die", number)
    done = sheetgpt_here("check", "die", cwd=folder)
    assert done.code == 1
    assert "model_logits.csv: holds " in done.out


@pytest.mark.parametrize("number", NONE)
def test_scores_may_be_any_number(folder, number):
    put(folder, "softmax", number)
    assert sheetgpt_here("run", "an", "--weights", "softmax", cwd=folder).code == 0
