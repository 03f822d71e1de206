"""docs/learn.md: its commands run as they stand there, and its table says what they give."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from command_line import sheetgpt
from sheetgpt import load_model
from sheetgpt.training.loss import measure

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def stated() -> dict[str, tuple[int, float]]:
    """Of each model: its number of weights, and the loss of `.anna.`."""
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\d,]+) \|.*\| ([\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {model: (int(weights.replace(",", "")), float(loss)) for model, weights, loss in rows}


def test_every_picture_is_there():
    pictures = re.findall(r"\]\((images/[\w.]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 6
    assert all((PAGE.parent / picture).is_file() for picture in pictures)


@pytest.mark.slow
def test_the_walk_can_be_walked(tmp_path):
    for command in commands():
        if command.startswith("printf"):
            subprocess.run(command, shell=True, check=True, cwd=tmp_path, timeout=60)
            continue
        program, *arguments = shlex.split(command)
        assert program == "sheetgpt"
        done = sheetgpt(*arguments, cwd=tmp_path, PYTHONPATH=str(PAGE.parents[1]), PYTHONWARNINGS="error")
        assert done.code == 0, (command, done.err)
    assert set(stated()) == {"die", "softmax", "bigram", "mlp", "attention", "microgpt", "gpt2"}
    for name, (count, loss) in stated().items():
        model = load_model(tmp_path / name)
        assert sum(matrix.size for matrix in model.weights.values()) == count
        assert measure(model, model.ids_of(".anna.", None)).mean == pytest.approx(loss, abs=0.03), name
