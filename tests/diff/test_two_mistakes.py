"""Two known mistakes in one operation, or between two stages that a port holds, are named together, or not at all."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from sheetgpt.diff import diff
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.diff.pairs import in_order, merged
from sheetgpt.diff.sides import ArraysSide, RunSide
from sheetgpt.model import load_model
from sheetgpt.run.forward import forward

PROMPT = "Mike is quick. He moves"
PAIRS = int(os.environ.get("SHEETGPT_PAIRS", "16"))  # a seeded sample of this size
UNSEEN = 1e-4  # a mistake that moves the stage by less on top of the other one can't be told from float32 rounding


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def good(model):
    return model.run(PROMPT)


def run(good, model, changes, dtype):
    """The stages of a port that takes these steps; None where its shapes don't allow it."""
    weights = {name: model.weights[name].astype(dtype) for name in model.weights}
    steps = [changes.get(step.name, step) for step in good.steps]
    try:
        with np.errstate(all="ignore"):
            made = forward(steps, weights, good.steps.inputs(good.token_ids), dtype=dtype)
    except (ValueError, IndexError, TypeError):
        return None
    return {name: array for name, array in made.items() if good.sizes.shapes.get(name) == array.shape}


def two_of(good, *, same_step):
    """Pairs of mistakes of one step, or of two steps of one block: (names, the last step, its single changes, both)."""
    found = [
        (mistake.name, step, change)
        for mistake in known_mistakes(good.sizes)
        for step in good.steps
        if step.block is not None and (change := mistake.change(step, good.steps)) is not None
    ]
    order = [step.name for step in good.steps]
    for at, (name, step, change) in enumerate(found):
        for other_name, other_step, other in found[at + 1 :]:
            if name == other_name or step.block != other_step.block or (step == other_step) is not same_step:
                continue
            one, two = {step.name: change}, {other_step.name: other}
            last = max(step.name, other_step.name, key=order.index)
            yield from (((name, other_name), last, (one, two), both) for both in merged(one, two, good.steps))


def is_seen(good, model, stage, singles, both, dtype):
    """Does each mistake move the stage on top of the other one?"""
    made = run(good, model, both, dtype)
    others = [run(good, model, changes, dtype) for changes in (*singles, {})]
    if made is None or stage not in made or any(one is None or stage not in one for one in others):
        return None
    if not np.isfinite(made[stage]).all() or any(np.abs(made[stage] - o[stage]).max() < UNSEEN for o in others):
        return None
    return made


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("same_step", [True, False], ids=["in one operation", "on the way to one stage"])
def test_two_mistakes_are_named_together_and_never_two_others(same_step, dtype, model, good, tmp_path):
    named, tried = 0, 0
    ends = {name for name in good if name.endswith(("embeddings", "_step_16"))}
    cases = list(two_of(good, same_step=same_step))
    for at in np.random.default_rng(12).choice(len(cases), PAIRS if same_step else PAIRS // 2, replace=False):
        names, stage, singles, both = cases[at]
        shown = stage if same_step else f"block_{good.steps[stage].block}_step_16"
        made = is_seen(good, model, shown, singles, both, dtype)
        if made is None:
            continue
        np.savez(tmp_path / "port.npz", **{n: a for n, a in made.items() if same_step or n in ends})
        report = diff(RunSide(good, model.weights), ArraysSide(tmp_path / "port.npz"), weights=model.weights)
        (own,) = [one for one in report.own_errors if one.stage == shown]
        if "two mistakes, " in own.cause:
            assert all(name in own.cause for name in names), (names, stage, own.cause)
            named += 1
        assert "not a bug" not in own.cause
        tried += 1
    assert tried >= PAIRS // 4
    assert named >= 0.7 * tried, f"{named} of {tried}"


def test_one_mistake_and_noise_is_no_pair(model, good):
    """What is left beside a mistake must be explained to the last digit before a second one is named."""
    mistake = next(one for one in known_mistakes(good.sizes) if one.name == "sample variance")
    made = mistake.change(good.steps["block_0_step_2"], good.steps).op.value(good.array("block_0_step_1"))
    noise = 1e-3 * np.random.default_rng(0).standard_normal(made.shape)
    right = replace(good, arrays={**good.arrays, "block_0_step_2": made + noise})
    cause = diff(RunSide(good, model.weights), RunSide(right), weights=model.weights).first.cause
    assert "two mistakes" not in cause


def test_pairs_come_each_once_and_all_of_them():
    for count in range(40):
        found = list(in_order(count))
        assert sorted(found) == [(i, j) for i in range(count) for j in range(i + 1, count)]
