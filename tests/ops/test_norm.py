"""Normalised rows, and the constant that keeps them finite."""

from __future__ import annotations

import numpy as np

from sheetgpt import ops


def test_normalised_rows_have_mean_0_and_population_variance_1():
    rows = ops.Normalize().value(np.random.default_rng(2).normal(3, 5, (6, 40)))
    np.testing.assert_allclose(rows.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(rows.var(-1), 1, rtol=1e-5)


def test_rows_divided_by_their_root_mean_square_have_mean_square_1():
    x = np.random.default_rng(2).normal(3, 5, (6, 40))
    rows = ops.NormalizeRms().value(x)
    np.testing.assert_allclose(np.square(rows).mean(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(rows / rows[:, :1], x / x[:, :1])


def test_rows_of_zeros_stay_zeros():
    for op in (ops.Normalize(), ops.NormalizeRms()):
        np.testing.assert_array_equal(op.value(np.zeros((2, 5))), 0)


def test_the_epsilon_of_formulas_is_that_of_values():
    assert ops.LAYER_NORM_EPSILON_TEXT == "0.00001"
    assert float(ops.LAYER_NORM_EPSILON_TEXT) == ops.LAYER_NORM_EPSILON
