"""docs/learn.md: its table says what its commands give, and they leave what it speaks of."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import doc_sessions
from sheetgpt import load_model
from sheetgpt.training.loss import measure
from sheetgpt.training.loss_of_lines import measure_lines

PAGE = Path(__file__).parents[2] / "docs" / "learn.md"
LEAST = 1e-5  # probability of a name that a model may make
TOLERANCE = 0.03  # trained numbers differ a little where sums are added in another order


@dataclass(frozen=True)
class Stated:
    """A row of the page's table."""

    n_weights: int
    name: str  # that the model may make
    loss: float  # of `.anna.`
    loss_of_all: float


def stated() -> dict[str, Stated]:
    row = re.compile(r"^\| `(\w+)` \|.*\| ([\d,]+) \| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)
    rows = row.findall(PAGE.read_text(encoding="utf-8"))
    return {
        model: Stated(int(count.replace(",", "")), name, float(one), float(every))
        for model, count, name, one, every in rows
    }


def test_every_picture_is_there():
    pictures = re.findall(r"\]\((images/[\w.]+)\)", PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 6
    assert all((PAGE.parent / picture).is_file() for picture in pictures)


@pytest.mark.slow
def test_the_walk_leaves_what_the_page_says(walked):
    folder = walked("docs/learn").folder
    assert set(stated()) == {"die", "softmax", "bigram", "mlp", "attention", "microgpt", "gpt2"}
    names = (folder / "names.txt").read_text(encoding="utf-8")
    for name, row in stated().items():
        model = load_model(folder / name)
        assert sum(matrix.size for matrix in model.weights.values()) == row.n_weights
        assert measure(model, model.ids_of(".anna.", None)).mean == pytest.approx(row.loss, abs=TOLERANCE), name
        assert measure_lines(model, names).mean == pytest.approx(row.loss_of_all, abs=TOLERANCE), name
        made = measure(model, model.ids_of(f".{row.name}.", None))
        assert made.mean * len(made.tokens) < -math.log(LEAST), name
    assert_no_dump_was_replaced(folder / "exports")
    assert_attention_looks_at_the_first_letter(load_model(folder / "echo_attention"))


def assert_no_dump_was_replaced(exports: Path) -> None:
    commands = doc_sessions.commands(PAGE.read_text(encoding="utf-8"))
    dumps = [command for command in commands if "--dump-xlsx" in command.typed]
    assert len(dumps) == len(list(exports.glob("*.xlsx")))


def assert_attention_looks_at_the_first_letter(model) -> None:
    assert model.run(".anlie").array("block_0_step_7")[-1] == pytest.approx([0, 1, 0, 0, 0, 0], abs=0.05)
