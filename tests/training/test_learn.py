"""docs/learn.md: its commands run as they stand there and print what it says, and its table says what they give."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from command_line import sheetgpt
from sheetgpt import load_model
from sheetgpt.training.loss import measure
from sheetgpt.training.loss_of_lines import measure_lines

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"
LEFT_OUT = "..."
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
TOLERANCE = 0.03  # trained numbers differ a little where sums are added in another order


def commands() -> Iterator[tuple[str, list[str]]]:
    """(a command as it is typed, the lines that the page shows of what it prints)."""
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield command, lines


def stated() -> dict[str, tuple[int, float, float]]:
    """Of each model: its number of weights, the loss of `.anna.`, the loss of all names."""
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\d,]+) \|.*\| ([\d.]+) \| ([\d.]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {model: (int(weights.replace(",", "")), float(one), float(every)) for model, weights, one, every in rows}


def are_alike(stated: str, printed: str) -> bool:
    """The same words, and about the same numbers."""
    numbers = [[float(one.replace(",", "")) for one in NUMBER.findall(line)] for line in (stated, printed)]
    words = [" ".join(NUMBER.sub("#", line).split()) for line in (stated, printed)]
    if words[0] != words[1] or len(numbers[0]) != len(numbers[1]):
        return False
    return all(math.isclose(a, b, abs_tol=TOLERANCE, rel_tol=TOLERANCE) for a, b in zip(*numbers, strict=True))


def assert_prints(command: str, stated: list[str], printed: list[str]) -> None:
    """Line by line; `...` stands for any number of lines."""
    parts: list[list[str]] = [[]]
    for line in stated:
        parts.append([]) if line == LEFT_OUT else parts[-1].append(line)
    assert len(parts) > 1 or len(stated) == len(printed), (command, printed)
    last = len(printed) - len(parts[-1])
    for part, begin in ((parts[0], 0), (parts[-1], last) if len(parts) > 1 else ([], 0)):
        for line, found in zip(part, printed[begin:], strict=False):
            assert are_alike(line, found), (command, line, found)
    for part in parts[1:-1]:
        places = range(len(printed) - len(part) + 1)
        assert any(all(map(are_alike, part, printed[at:])) for at in places), (command, part, printed)


def test_what_is_printed_is_compared_by_words_and_numbers():
    assert are_alike("Loss 1.77 (mean of 5 tokens)", "Loss 1.7741 (mean of 5 tokens)")
    assert not are_alike("Loss 1.77 (mean of 5 tokens)", "Loss 1.87 (mean of 5 tokens)")
    assert not are_alike("Loss 1.77", "Loss of 1.77")
    assert_prints("", ["a", LEFT_OUT, "b"], ["a", "x", "b"])
    with pytest.raises(AssertionError):
        assert_prints("", ["a", LEFT_OUT, "b"], ["a", "b", "x"])
    with pytest.raises(AssertionError):
        assert_prints("", ["a"], ["a", "b"])


def test_every_picture_is_there():
    pictures = re.findall(r"\]\((images/[\w.]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 6
    assert all((PAGE.parent / picture).is_file() for picture in pictures)


@pytest.mark.slow
def test_the_walk_can_be_walked(tmp_path):
    for command, lines in commands():
        program, *arguments = shlex.split(command)
        assert program == "sheetgpt"
        assert lines, f"the page doesn't show what {command} prints"
        done = sheetgpt(*arguments, cwd=tmp_path, PYTHONPATH=str(PAGE.parents[1]), PYTHONWARNINGS="error")
        assert done.code == 0, (command, done.err)
        assert_prints(command, lines, done.out.rstrip("\n").split("\n"))
    assert set(stated()) == {"die", "softmax", "bigram", "mlp", "attention", "microgpt", "gpt2"}
    names = (tmp_path / "names.txt").read_text(encoding="utf-8")
    for name, (count, one, every) in stated().items():
        model = load_model(tmp_path / name)
        assert sum(matrix.size for matrix in model.weights.values()) == count
        assert measure(model, model.ids_of(".anna.", None)).mean == pytest.approx(one, abs=TOLERANCE), name
        assert measure_lines(model, names).mean == pytest.approx(every, abs=TOLERANCE), name
    assert_no_dump_was_replaced(tmp_path / "exports")
    assert_attention_looks_at_the_first_letter(load_model(tmp_path / "echo_attention"))


def assert_no_dump_was_replaced(exports: Path) -> None:
    dumps = [command for command, _ in commands() if "--dump-xlsx" in command]
    assert len(dumps) == len(list(exports.glob("*.xlsx")))


def assert_attention_looks_at_the_first_letter(model) -> None:
    looks = model.run(".anlie").array("block_0_step_7")[-1]
    assert int(np.argmax(looks)) == 1
