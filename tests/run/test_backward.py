"""The gradients of a whole model: against its slope, and against PyTorch's own."""

from __future__ import annotations

import numpy as np
import pytest

from models import ODD_HEADS, ONE_BLOCK, SMALL, random_matrices
from sheetgpt.models.kinds import training_steps
from sheetgpt.run.backward import backward
from sheetgpt.run.forward import forward


def run(config, weights, ids, targets):
    """(mean penalty, gradient of every stage and weight) of a batch."""
    model = training_steps(config)
    values = forward(model, weights, model.inputs(ids, targets=targets))
    penalties = values["penalties"]
    seeds = {"penalties": np.full_like(penalties, 1 / penalties.size)}
    return penalties.mean(), backward(model, values, weights, seeds), values


@pytest.fixture(params=[SMALL, ONE_BLOCK, ODD_HEADS], ids=["small", "one block", "odd heads"])
def case(request):
    config = request.param
    rng = np.random.default_rng(3)
    weights = {name: matrix.astype(float) for name, matrix in random_matrices(config).items()}
    ids, targets = rng.integers(0, config.n_vocab, (2, 3, config.n_ctx))
    return config, weights, ids, targets


def test_the_gradient_of_every_weight_is_the_slope_along_a_random_direction(case):
    config, weights, ids, targets = case
    rng = np.random.default_rng(4)
    _loss, gradients, _values = run(config, weights, ids, targets)
    step = 1e-6
    for name, weight in weights.items():
        direction = rng.standard_normal(weight.shape)
        ahead = run(config, weights | {name: weight + step * direction}, ids, targets)[0]
        behind = run(config, weights | {name: weight - step * direction}, ids, targets)[0]
        slope = (ahead - behind) / (2 * step)
        assert np.sum(gradients[name] * direction) == pytest.approx(slope, rel=1e-5, abs=1e-7), name


def test_every_float_stage_and_every_weight_has_a_gradient_of_its_own_shape(case):
    config, weights, ids, targets = case
    _loss, gradients, values = run(config, weights, ids, targets)
    without = {"final_tokens", "positions", "targets", "triangle_matrix"}
    assert set(gradients) == {*weights, *values} - without
    for name, gradient in gradients.items():
        assert gradient.shape == (weights | values)[name].shape


def test_dropping_the_stages_gradients_changes_no_weights_gradient(case):
    config, weights, ids, targets = case
    model = training_steps(config)
    _loss, gradients, values = run(config, weights, ids, targets)
    seeds = {"penalties": np.full_like(values["penalties"], 1 / values["penalties"].size)}
    lean = backward(model, values, weights, seeds, keep_stages=False)
    assert set(lean) == set(weights)
    for name in weights:
        np.testing.assert_array_equal(lean[name], gradients[name])
