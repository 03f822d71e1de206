"""ReLU at its bend."""

from __future__ import annotations

import numpy as np

from sheetgpt import ops


def test_relu_keeps_what_is_above_0_without_negative_zeros():
    x = np.array([[-2.0, -0.0, 0.0, 3.0, np.inf, -np.inf]])
    value = ops.Relu().value(x)
    np.testing.assert_array_equal(value, [[0, 0, 0, 3, np.inf, 0]])
    (slope,) = ops.Relu().gradient(np.full_like(x, -1.0), value, x)
    np.testing.assert_array_equal(slope, [[0, 0, 0, -1, -1, 0]])
    assert not np.signbit(slope[slope == 0]).any()
