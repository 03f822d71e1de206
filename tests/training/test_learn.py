"""docs/learn.md: its table says what its commands give, and they leave what it speaks of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import doc_sessions
from sheetgpt import load_model
from sheetgpt.training.loss import measure
from sheetgpt.training.loss_of_lines import measure_lines

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"
TOLERANCE = 0.03  # trained numbers differ a little where sums are added in another order


def stated() -> dict[str, tuple[int, float, float]]:
    """Of each model: its number of weights, the loss of `.anna.`, the loss of all names."""
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\d,]+) \|.*\| ([\d.]+) \| ([\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {model: (int(weights.replace(",", "")), float(one), float(every)) for model, weights, one, every in rows}


def test_every_picture_is_there():
    pictures = re.findall(r"\]\((images/[\w.]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 6
    assert all((PAGE.parent / picture).is_file() for picture in pictures)


@pytest.mark.slow
def test_the_walk_leaves_what_the_page_says(walked):
    folder = walked("docs/learn").folder
    assert set(stated()) == {"die", "softmax", "bigram", "mlp", "attention", "microgpt", "gpt2"}
    names = (folder / "names.txt").read_text(encoding="utf-8")
    for name, (count, one, every) in stated().items():
        model = load_model(folder / name)
        assert sum(matrix.size for matrix in model.weights.values()) == count
        assert measure(model, model.ids_of(".anna.", None)).mean == pytest.approx(one, abs=TOLERANCE), name
        assert measure_lines(model, names).mean == pytest.approx(every, abs=TOLERANCE), name
    assert_no_dump_was_replaced(folder / "exports")
    assert_attention_looks_at_the_first_letter(load_model(folder / "echo_attention"))


def assert_no_dump_was_replaced(exports: Path) -> None:
    commands = doc_sessions.commands(PAGE.read_text(encoding="utf-8"))
    dumps = [command for command in commands if "--dump-xlsx" in command.typed]
    assert len(dumps) == len(list(exports.glob("*.xlsx")))


def assert_attention_looks_at_the_first_letter(model) -> None:
    looks = model.run(".anlie").array("block_0_step_7")[-1]
    assert int(np.argmax(looks)) == 1
