"""What training says besides its result: another number of tokens than was asked for, a loss that rises."""

from __future__ import annotations

import re

from command_line import sheetgpt_here
from sheetgpt import load_model


def test_another_number_of_tokens_than_was_asked_for_is_said(tmp_path):
    (tmp_path / "few.txt").write_text("he moves. she moves.\n" * 3, encoding="utf-8")
    small = ["train", "few.txt", "m", "--n-layer", 1, "--n-embd", 4, "--n-ctx", 4, "--steps", 1, "--batch", 1]
    first = sheetgpt_here(*small, "--vocab-size", 500, cwd=tmp_path)
    count = load_model(tmp_path / "m").config.n_vocab
    assert f"{count} tokens, not 500: the text holds no more merges." in first.err
    again = sheetgpt_here(*small, "--vocab-size", 258, "--force", cwd=tmp_path)
    assert f"{count} tokens, not 258: those of the token table in m." in again.err
    assert "tokens, not" not in sheetgpt_here(*small, "--force", cwd=tmp_path).err


def test_a_loss_that_rises_is_said_with_a_rate_at_which_it_falls(tmp_path):
    steps = ["train-step", "Mike is quick.", "--steps", 4]
    said = sheetgpt_here(*steps, "--learning-rate", 0.5, cwd=tmp_path).err
    rate = float(re.search(r"The loss rose from .* to .*: try --learning-rate (.*)\.", said)[1])
    assert "The loss rose" not in sheetgpt_here(*steps, "--learning-rate", rate, cwd=tmp_path).err
