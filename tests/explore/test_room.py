"""What `explore` holds and reads: no more of a comparison than there is room for, no weight to count the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sheetgpt import load_model
from sheetgpt.diff import compared
from sheetgpt.diff.sides import open_side
from sheetgpt.explore import comparison, export, facts
from sheetgpt.models.sizes import Sizes
from sheetgpt.weights.folder import Weights

MODEL = load_model()


class Unread(Weights):
    def __getitem__(self, name):
        raise AssertionError(f"{name} is read")


def test_weights_are_counted_unread(monkeypatch):
    weights, config = MODEL.weights, MODEL.config
    count = sum(matrix.size for matrix in weights.values())
    assert facts.count_weights(Sizes(config, 1, untied=weights.untied)) == count
    unread = replace(MODEL, weights=Unread(dict(weights), config, weights.folder, weights.dtype))
    for most, computes in ((count, True), (count - 1, False)):
        monkeypatch.setattr(export, "MOST_COMPUTED", most)
        assert export.computes_by_itself(unread) is computes


@pytest.fixture
def sides():
    found = compared(*(open_side(f"run:{prompt}") for prompt in ("Mike is quick.", "Mike is slow.")))
    return comparison.Compared(*found)


def test_stages_are_read_once_where_there_is_room(sides):
    first = sides.cells("block_0_step_4")
    for name in ("block_0_step_12", "block_0_step_13", "block_1_step_4", "logits"):
        sides.cells(name)
    assert sides.cells("block_0_step_4") is first


@pytest.mark.parametrize("room", [0, 1, 2])
def test_no_more_stages_are_held_than_there_is_room_for(sides, monkeypatch, room):
    names = ("block_0_step_12", "block_0_step_13", "block_0_step_14")
    one = comparison.size(sides.comparison.cells(names[-1]))
    monkeypatch.setattr(comparison, "MOST_BYTES", room * one)
    for name in names:
        found = sides.cells(name)
        assert found is not None
        assert sides.cells(name) is found  # the last is held, however large
        held = sides._cells._cells.values()
        assert len(held) == 1 or sum(map(comparison.size, held)) <= room * one
