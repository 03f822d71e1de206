"""A decoding step's one row is judged, a stale cache named; so are swapped blocks, however few stages are dumped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ports import PORTS, arrays_of, write
from sheetgpt.diff import diff
from sheetgpt.diff.mistakes import known_mistakes, of_whole_blocks
from sheetgpt.diff.sides import RunSide
from sheetgpt.model import load_model
from sheetgpt.models.step import Axis

PROMPT = "Mike is quick. He moves"
STALE = [
    "stale cache: each token's own keys are 0",
    "stale cache: each token's own keys are those of the token before",
    "stale cache: each token's own values are 0",
    "stale cache: each token's own values are those of the token before",
]


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def good(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def left(model, good):
    return RunSide(good, model.weights)


def decoding_row(good, arrays):
    """What a port with a cache holds of its newest token alone."""
    by_token = [name for name, step in good.steps.by_name.items() if step.rows is Axis.TOKENS and name in arrays]
    return {name: arrays[name][-1:].copy() for name in by_token} | {"logits": arrays["logits"]}


def wrong_run(good, model, name, stage, port):
    mistake = next(one for one in known_mistakes(good.sizes) if one.name == name and one.change(stage, good.steps))
    steps = [mistake.change(step, good.steps) if step == stage else step for step in good.steps]
    return arrays_of(good, model, steps, port)


@pytest.mark.parametrize("port", PORTS)
def test_a_right_decoding_step_has_no_errors(port, model, good, left, tmp_path):
    row = decoding_row(good, arrays_of(good, model, good.steps, port))
    report = diff(left, write(row, port, tmp_path / "row.npz"))
    assert not report.own_errors
    assert report.first is None or report.diagnosis.cause == "rounding", report.diagnosis


@pytest.mark.parametrize("mistake", STALE)
@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("port", ["float64", "float32", "%.6f"])
def test_a_stale_cache_is_named_in_a_decoding_steps_row(port, block, mistake, model, good, left, tmp_path):
    number = 6 if "keys" in mistake else 8
    stage = good.steps.in_block(block, number)
    row = decoding_row(good, wrong_run(good, model, mistake, stage, port))
    report = diff(left, write(row, port, tmp_path / "row.npz"))
    assert {one.stage: one.cause.split(" reproduces")[0] for one in report.own_errors} == {stage.name: mistake}


@pytest.mark.parametrize(
    "name", ["exact (erf) GELU", "scale 1/sqrt(head size) missing", "bias left out", "sample variance"]
)
def test_other_mistakes_are_named_in_a_decoding_steps_row_too(name, model, good, left, tmp_path):
    for stage in good.steps:
        change = next((m for m in known_mistakes(good.sizes) if m.name == name and m.change(stage, good.steps)), None)
        if change is None or stage.block != 1:
            continue
        row = decoding_row(good, wrong_run(good, model, name, stage, "float64"))
        report = diff(left, write(row, "float64", tmp_path / "row.npz"))
        assert [one.stage for one in report.own_errors] == [stage.name]
        assert name in report.own_errors[0].cause


def test_an_edited_cell_of_a_decoding_step_is_addressed_in_its_one_row(model, good, left, tmp_path):
    row = decoding_row(good, arrays_of(good, model, good.steps, "float64"))
    row["block_1_step_13"][0, 3] += 1
    report = diff(left, write(row, "float64", tmp_path / "row.npz"))
    assert report.first.stage == "block_1_step_13"
    assert "all but 1 of 256 cells follow" in report.first.cause
    assert "block_1_step_13[0,3]" in report.first.cause


# ------------------------------------------------------------------------------------------------ blocks


def swapped(good, model, port="float64"):
    """The run of a port that takes block 1's weights in block 0, and block 0's in block 1."""
    mistake = next(one for one in of_whole_blocks(2) if one.name == "blocks 0 and 1 are swapped")
    return arrays_of(good, model, [mistake.change(step, good.steps) or step for step in good.steps], port)


DUMPS = {
    "all stages": lambda _name: True,
    "ends of blocks": lambda name: name.endswith(("_embeddings", "step_16")),
    "ends of blocks alone": lambda name: name.endswith("step_16"),
    "the last block's end": lambda name: name in ("position_embeddings", "block_1_step_16", "logits"),
}


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("port", ["float64", "float32", "%.6f"])
def test_swapped_blocks_are_called_so_however_few_stages_are_dumped(port, dump, model, good, left, tmp_path):
    arrays = swapped(good, model, port)
    report = diff(left, write(arrays, port, tmp_path / "port.npz", DUMPS[dump]))
    assert report.own_errors
    assert all("blocks 0 and 1 are swapped" in one.cause for one in report.own_errors)


def test_one_block_with_anothers_weights_is_not_called_swapped(model, good, left, tmp_path):
    every = next(one for one in of_whole_blocks(2) if one.name == "block 0's weights")
    steps = [every.change(step, good.steps) or step for step in good.steps]
    for only in (DUMPS["all stages"], DUMPS["ends of blocks"]):
        report = diff(left, write(arrays_of(good, model, steps, "float64"), "float64", tmp_path / "p.npz", only))
        assert report.own_errors
        assert all("block 0's weights reproduces it" in one.cause for one in report.own_errors)
        assert not any("swapped" in one.cause for one in report.own_errors)


def test_stages_under_another_blocks_name_are_recognised(model, good):
    names = {f"block_{a}_step_{n}": f"block_{1 - a}_step_{n}" for a in (0, 1) for n in (4, 9, 13)}
    port = replace(good, arrays={**good.arrays, **{name: good.array(other) for name, other in names.items()}})
    report = diff(RunSide(good, model.weights), RunSide(port), weights=model.weights)
    causes = {one.stage: one.cause for one in report.own_errors}
    for name, other in names.items():
        assert f"it is LEFT's {other}: blocks are named, or run, in another order" in causes[name], causes
