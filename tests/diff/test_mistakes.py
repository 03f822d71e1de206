"""Each known mistake, injected into a run, is found and named; rounding is called rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import models
from sheetgpt.diff import diff
from sheetgpt.diff.grain import Kind, rounded
from sheetgpt.diff.mistakes import MISTAKES, known_mistakes
from sheetgpt.diff.sides import FolderSide, RunSide
from sheetgpt.model import Model, load_model
from sheetgpt.models.sizes import Sizes
from sheetgpt.run.forward import forward
from sheetgpt.weights.folder import Weights

CONFIG = models.SMALL
IDS = [3, 1, 4, 1, 5, 9, 2]
SIZES = Sizes(CONFIG, len(IDS))


OVERFLOW = "softmax without its maximum"  # shows in large scores only: a test of its own
TWINS = {"epsilon 1e-12", "no epsilon"}  # no numbers tell one from the other


CASES = [
    pytest.param(number, step.name, id=f"{number} {mistake.name} {step.name}")
    for number, mistake in enumerate(known_mistakes(SIZES))
    for step in SIZES.steps
    if step.block in (None, 1) and mistake.change(step, SIZES.steps) and mistake.name != OVERFLOW
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    matrices = {name: matrix.astype(float) for name, matrix in models.random_matrices(CONFIG, seed=5).items()}
    return Model(Weights(matrices, CONFIG, tmp_path_factory.mktemp("none"), "float64"), None)


@pytest.fixture(scope="module")
def good(model):
    return model.run(token_ids=IDS)


def run_with(model, steps, good, dtype="float64"):
    """A port's run: the same prompt through other steps."""
    weights = {name: model.weights[name].astype(dtype) for name in model.weights}
    with np.errstate(all="ignore"):  # a port's NaN
        return _run(model, steps, good, weights, dtype)


def _run(model, steps, good, weights, dtype):
    return replace(good, arrays=forward(steps, weights, model.steps.inputs(IDS), dtype=dtype))


def inject(mistake, stage, model):
    return [(step.name == stage and mistake.change(step, SIZES.steps)) or step for step in model.steps]


def compare(model, good, port, **options):
    return diff(RunSide(good, model.weights), RunSide(port), weights=model.weights, **options)


@pytest.mark.parametrize(("number", "stage"), CASES)
def test_an_injected_mistake_is_found_and_named(number, stage, model, good):
    mistake = known_mistakes(SIZES)[number]
    port = run_with(model, inject(mistake, stage, model), good)
    report = compare(model, good, port)
    assert report.first.stage == stage
    assert report.diagnosis.stage == stage
    assert report.diagnosis.cause == "mistake", report.diagnosis.sentence
    assert mistake.name in report.diagnosis.mistakes
    assert {mistake.name, *report.diagnosis.mistakes} in ({mistake.name}, TWINS)
    assert report.diagnosis.within < 1e-11
    assert mistake.name in report.diagnosis.sentence


def test_every_mistake_of_the_list_is_injected_somewhere():
    injected = {known_mistakes(SIZES)[case.values[0]].name for case in CASES}
    assert {mistake.name for mistake in MISTAKES} - {OVERFLOW} <= injected


def test_a_softmax_that_overflows_is_named(model, good):
    mistake = next(m for m in MISTAKES if m.name == OVERFLOW)
    louder = [replace(step, op=Louder(step.op)) if step.name == "block_0_step_6" else step for step in model.steps]
    with np.errstate(all="ignore"):
        good = run_with(model, louder, good)
        wrong = [(step.name == "block_0_step_7" and mistake.change(step, SIZES.steps)) or step for step in louder]
        port = run_with(model, wrong, good)
    report = compare(model, good, port)
    assert np.isnan(port.array("block_0_step_7")).any()
    assert report.diagnosis.stage == "block_0_step_7"
    assert report.diagnosis.mistakes == (OVERFLOW,)


class Louder:
    """Scores that are a thousand times as large."""

    def __init__(self, op):
        self.op = op

    def value(self, *inputs):
        return 1000 * self.op.value(*inputs)


@pytest.mark.parametrize(("number", "stage"), [case for case in CASES if "epsilon" not in case.id][::7])
def test_a_mistake_in_a_float32_port_is_named_too(number, stage, model, good):
    mistake = known_mistakes(SIZES)[number]
    report = compare(model, good, run_with(model, inject(mistake, stage, model), good, "float32"), atol=1e-5, rtol=1e-5)
    assert report.diagnosis.stage == stage
    assert mistake.name in report.diagnosis.mistakes


def test_a_correct_float32_run_is_equal_within_the_default_tolerance(model, good):
    report = compare(model, good, run_with(model, model.steps, good, "float32"))
    assert report.precision == ("float64", "float32")
    assert report.equal


@pytest.mark.parametrize("atol", [0, 1e-9, 1e-6])
def test_a_correct_float32_run_is_called_rounding_and_not_a_bug(atol, model, good):
    report = compare(model, good, run_with(model, model.steps, good, "float32"), atol=atol, rtol=0)
    assert not report.equal
    assert report.diagnosis.cause == "rounding", report.diagnosis
    assert report.diagnosis.sentence.startswith("float32 rounding, not a bug")
    assert report.diagnosis.within < 1e-5


def test_a_run_rounded_to_float16_at_each_step_is_called_float16_rounding(model, good):
    class Rounding:
        def __init__(self, op):
            self.op = op

        def value(self, *inputs):
            return rounded(self.op.value(*inputs), Kind.FLOAT16)

    steps = [replace(step, op=Rounding(step.op)) if not step.is_text else step for step in model.steps]
    port = run_with(model, steps, good, "float32")
    report = compare(model, good, port, atol=1e-4, rtol=1e-4)
    assert report.diagnosis.cause == "rounding"
    assert "float16" in report.diagnosis.sentence


def test_a_mistake_within_the_tolerance_is_found_behind_the_first_divergent_stage(model, good):
    mistake = next(m for m in MISTAKES if m.name == "epsilon 1e-6")
    steps = [mistake.change(step, SIZES.steps) or step for step in model.steps]
    port = run_with(model, steps, good)
    first_difference = np.abs(port.array("block_0_step_2") - good.array("block_0_step_2")).max()
    report = compare(model, good, port, atol=2 * first_difference, rtol=0)
    assert report.first is not None
    assert report.first.stage != "block_0_step_2"  # the differences grow
    assert report.diagnosis.stage == "block_0_step_2"
    assert report.diagnosis.mistakes == ("epsilon 1e-6",)


def test_one_edited_cell_is_called_a_cell_and_not_a_mistake(model, good):
    matrix = good.array("block_1_step_9").copy()
    matrix[2, 3] += 0.25
    report = compare(model, good, replace(good, arrays={**good.arrays, "block_1_step_9": matrix}))
    assert report.first.stage == "block_1_step_9"
    assert report.diagnosis.cause == "cells"
    assert "block_1_step_9[2,3]" in report.diagnosis.sentence


def test_where_left_is_the_one_that_is_wrong_it_is_said(model, good):
    matrix = good.array("block_1_step_9").copy()
    matrix[2, 3] += 0.25
    edited = replace(good, arrays={**good.arrays, "block_1_step_9": matrix})
    report = diff(RunSide(edited), RunSide(good), weights=model.weights)
    assert report.diagnosis.cause == "inputs"


def test_something_that_no_known_mistake_makes_is_called_unknown(model, good):
    matrix = 1.5 * good.array("block_1_step_9")
    report = compare(model, good, replace(good, arrays={**good.arrays, "block_1_step_9": matrix}))
    assert report.diagnosis.cause == "stale"
    assert "every cell is 1.5 times what it should be" in report.diagnosis.sentence
    assert "block_1_step_10 follows from the right one" in report.diagnosis.sentence


def test_a_mistake_is_found_where_the_port_dumped_the_ends_of_blocks_only(model, good):
    mistake = next(m for m in MISTAKES if m.name == "exact (erf) GELU")
    port = run_with(model, [mistake.change(step, SIZES.steps) or step for step in model.steps], good)
    source = RunSide(port)
    source.names = [name for name in source.names if name.endswith(("embeddings", "_step_16", "logits"))]
    report = diff(RunSide(good, model.weights), source, weights=model.weights)
    assert report.first.stage == "block_0_step_16"
    assert report.diagnosis.mistakes == ("exact (erf) GELU",)


@pytest.mark.parametrize("masked", [-1e10, np.finfo(np.float32).min, -np.inf, np.nan])
def test_a_mistake_after_other_masks_is_named(masked, model, good):
    mistake = next(m for m in MISTAKES if m.name == "scale 1/sqrt(n_embd) instead of 1/sqrt(head size)")
    port = run_with(model, inject(mistake, "block_0_step_6", model), good)
    scores = port.array("block_0_step_6").copy()
    scores[scores < -1e9] = masked
    report = compare(model, good, replace(port, arrays={**port.arrays, "block_0_step_6": scores}))
    assert report.diagnosis.mistakes == (mistake.name,)


def test_the_embedded_model_with_the_exact_gelu_is_diagnosed_in_one_sentence():
    model = load_model()
    good = model.run("Mike is quick. He moves")
    mistake = next(m for m in MISTAKES if m.name == "exact (erf) GELU")
    steps = [mistake.change(step, model.steps) or step for step in model.steps]
    port = replace(good, arrays=forward(steps, model.weights, model.steps.inputs(good.token_ids)))
    report = diff(RunSide(good, model.weights), RunSide(port), weights=model.weights)
    assert report.first.stage == "block_0_step_14"
    assert report.diagnosis.mistakes == ("exact (erf) GELU",)
    assert report.diagnosis.sentence.startswith("exact (erf) GELU reproduces it ")


def test_without_weights_stages_that_need_none_are_still_diagnosed(model, good):
    mistake = next(m for m in MISTAKES if m.name == "exact (erf) GELU")
    port = run_with(model, [mistake.change(step, SIZES.steps) or step for step in model.steps], good)
    report = diff(RunSide(good), RunSide(port), weights={})
    assert report.diagnosis.mistakes == ("exact (erf) GELU",)


def test_a_language_head_of_its_own_is_recomputed_with_its_own_matrix(tmp_path):
    models.write_random_model(tmp_path / "weights", CONFIG, untied=True)
    good = load_model(tmp_path / "weights").run(token_ids=IDS)
    logits = good.array("logits") - np.log(np.exp(good.array("logits")).sum())
    port = replace(good, arrays={**good.arrays, "logits": logits})
    sides = (FolderSide(trace.to_csv(tmp_path / str(number))) for number, trace in enumerate((good, port)))
    report = diff(*sides)
    assert report.diagnosis.mistakes == ("log-probabilities instead of logits",)
