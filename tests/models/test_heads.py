"""The layouts of attention heads: each is turned into ours and back without losing a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetgpt.errors import StageError
from sheetgpt.models import heads


@given(n_head=st.integers(1, 5), head_size=st.integers(1, 8), data=st.data())
def test_the_references_head_layout_and_back_is_the_same_matrix(n_head, head_size, data):
    n_tokens = data.draw(st.integers(1, head_size))
    matrix = np.random.default_rng(0).standard_normal((n_tokens, n_head * n_tokens))
    padded = heads.padded(matrix, n_head, head_size)
    assert padded.shape == (n_tokens, n_head * head_size)
    np.testing.assert_array_equal(heads.unpadded(padded, n_head), matrix)
    assert np.count_nonzero(padded) == matrix.size


def test_more_tokens_than_the_head_size_do_not_fit_the_references_layout():
    with pytest.raises(StageError, match="holds 4 tokens .* and the prompt has 5"):
        heads.padded(np.ones((5, 10)), 2, 4)


@given(n_head=st.integers(1, 4), head_size=st.integers(1, 7), n_tokens=st.integers(1, 9))
def test_every_layout_that_is_written_is_read_as_the_same_matrix(n_head, head_size, n_tokens):
    matrix = np.random.default_rng(1).standard_normal((n_tokens, n_head * n_tokens))
    ours, *others = heads.writings(matrix, n_head, head_size)
    assert ours is matrix
    readings = heads.readings(n_head, n_tokens, head_size)
    for array in others:
        np.testing.assert_array_equal(readings[array.shape](array), matrix)


def test_heads_apart_side_by_side_and_under_each_other_hold_the_same_cells():
    matrix = np.arange(24.0).reshape(3, 8)  # 2 heads of 4 keys
    array = heads.apart(matrix, 2).swapaxes(0, 1)
    np.testing.assert_array_equal(heads.side_by_side(array), matrix)
    np.testing.assert_array_equal(heads.under_each_other(matrix, 2), array.reshape(6, 4))
