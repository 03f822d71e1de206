"""Masks, and the softmax of scores."""

from __future__ import annotations

import numpy as np

from sheetgpt import ops


def test_attention_ignores_masked_keys_exactly():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((4, 8))
    mask = np.tile(ops.CausalMask().value(np.arange(4), np.arange(4)), 2)
    weights = ops.Softmax(2).value(scores + mask)
    assert (weights[mask == ops.MASKED] == 0).all()
    np.testing.assert_allclose(weights.reshape(4, 2, 4).sum(-1), 1)


def test_scores_take_the_mask_along_and_any_ports_mark_is_known():
    rng, at = np.random.default_rng(1), np.arange(3)
    mask = ops.CausalMask().value(at, at)
    scores = ops.AttentionScores(2).value(*rng.standard_normal((2, 3, 4)), mask)
    np.testing.assert_array_equal(ops.masked_cells(scores), np.tile(ops.masked_cells(mask), 2))
    marks = np.array([[-1e10, -np.inf, np.nan, np.finfo(np.float32).min, -1e9, -1e8, 0.0]])
    assert ops.masked_cells(marks).tolist() == [[True, True, True, True, True, False, False]]


def test_heads_split_are_a_view_of_blocks_of_columns():
    x = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    heads = ops.split_heads(x, 4)
    assert heads.shape == (2, 4, 3, 2)
    assert heads.base is not None
    np.testing.assert_array_equal(heads[1, 2], x[1, :, 4:6])


def test_softmax_is_unmoved_by_a_shift_and_does_not_overflow():
    x = np.array([[1000.0, 1001.0, 999.0]])
    np.testing.assert_allclose(ops.Softmax().value(x), ops.Softmax().value(x - 1000))
