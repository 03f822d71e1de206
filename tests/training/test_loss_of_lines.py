"""The loss of a file of words: each line as training sees it, one number for all, and how low it can get."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt.errors import PromptError
from sheetgpt.training import loss_of_lines
from sheetgpt.training.loss import measure
from sheetgpt.training.loss_of_lines import measure_lines
from training_books import LIVE, write_model

LINES = "anna\nlea\n\nlilianelanaili\nan\n.nena.\nan\n"


@pytest.mark.parametrize("at_once", [1, 3, 256])
@pytest.mark.parametrize("model", LIVE)
def test_a_line_has_the_loss_of_the_same_text_between_end_tokens(model, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(loss_of_lines, "AT_ONCE", at_once)
    loaded = write_model(tmp_path, model)
    found = measure_lines(loaded, LINES)
    assert [line.text for line in found.lines] == ["anna", "lea", "lilianelanaili", "an", "nena", "an"]
    for line in found.lines:  # one of them is longer than the context
        alone = measure(loaded, loaded.ids_of(f".{line.text}.", None))
        assert line.mean == pytest.approx(alone.mean, rel=1e-9)
        assert line.predictions == len(alone.tokens)
    every = [
        one.penalty for line in found.lines for one in measure(loaded, loaded.ids_of(f".{line.text}.", None)).tokens
    ]
    assert found.mean == pytest.approx(np.mean(every))
    assert found.bits_per_byte == pytest.approx(np.sum(every) / math.log(2) / len(every))


@pytest.fixture(scope="module")
def die(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("die"), "die")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ailen", min_size=1, max_size=6), min_size=1, max_size=12), st.data())
def test_no_distribution_over_words_is_below_the_floor_and_their_own_is_on_it(die, lines, data):
    found, often = measure_lines(die, "\n".join(lines)), Counter(lines)
    assert found.predictions == sum(len(line) + 1 for line in lines)
    parts = [data.draw(st.floats(0.01, 1)) for _ in often]
    others = dict(zip(often, (part / sum(parts) for part in parts), strict=True))

    def mean(shares: Mapping[str, float]) -> float:
        return -sum(math.log(shares[line]) for line in lines) / found.predictions

    assert found.floor == pytest.approx(mean({line: count / len(lines) for line, count in often.items()}))
    assert found.floor <= mean(others) + 1e-9


def test_the_floor_of_thirteen_names_is_that_of_the_page(tmp_path):
    from sheetgpt.training.words import NAMES

    found = measure_lines(write_model(tmp_path, "die"), "\n".join(NAMES))
    assert found.lines[0].floor == pytest.approx(math.log(13) / 5)
    assert found.floor == pytest.approx(13 * math.log(13) / found.predictions)


def test_the_command_prints_lines_one_loss_and_the_floor(tmp_path):
    write_model(tmp_path / "m", "bigram")
    (tmp_path / "n.txt").write_text("anna\r\nlea\r\n", encoding="utf-8")
    done = sheetgpt_here("loss", "--file", "n.txt", "--weights", "m", "--top", 1, cwd=tmp_path)
    assert done.code == 0, done.err
    assert '"anna"' in done.out
    assert "and 1 more (--top)" in done.out
    assert "mean of -ln p over 9 predictions in 2 lines" in done.out
    assert f"Floor {2 * math.log(2) / 9:.4f}" in done.out
    data = json.loads(sheetgpt_here("loss", "--file", "n.txt", "--weights", "m", "--json", cwd=tmp_path).out)
    assert data["predictions"] == 9
    assert [line["text"] for line in data["lines"]] == ["anna", "lea"]


@pytest.mark.parametrize("option", [["--stride", 2], ["--token-ids", "1,2"], ["--special"]])
def test_what_lines_have_no_use_for_is_refused(option, tmp_path):
    write_model(tmp_path / "m", "bigram")
    (tmp_path / "n.txt").write_text(LINES)
    error = sheetgpt_here("loss", "--file", "n.txt", "--weights", "m", *option, cwd=tmp_path).error
    assert error.endswith(f"leave {option[0]} out")


def test_bad_files_are_one_line(tmp_path):
    write_model(tmp_path / "m", "bigram")
    (tmp_path / "n.txt").write_text("anna\nbob\n", encoding="utf-8")
    error = sheetgpt_here("loss", "--file", "n.txt", "--weights", "m", cwd=tmp_path).error
    assert error.startswith("line 2 (bob): ")
    assert "has no token for 'b'" in error
    with pytest.raises(PromptError, match="holds no word"):
        measure_lines(write_model(tmp_path / "k", "die"), ".\n\n")
