"""Labels that fit, and the reference's padded head layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetgpt.errors import StageError
from sheetgpt.models.gpt2 import Step
from sheetgpt.ops import Copy
from sheetgpt.run.frames import Labels, from_reference_heads, to_reference_heads


@given(n_head=st.integers(1, 5), head_size=st.integers(1, 8), data=st.data())
def test_the_references_head_layout_and_back_is_the_same_matrix(n_head, head_size, data):
    n_tokens = data.draw(st.integers(1, head_size))
    matrix = np.random.default_rng(0).standard_normal((n_tokens, n_head * n_tokens))
    padded = to_reference_heads(matrix, n_head, head_size)
    assert padded.shape == (n_tokens, n_head * head_size)
    np.testing.assert_array_equal(from_reference_heads(padded, n_head), matrix)
    assert np.count_nonzero(padded) == matrix.size


def test_more_tokens_than_the_head_size_do_not_fit_the_references_layout():
    with pytest.raises(StageError, match="holds 4 tokens .* and the prompt has 5"):
        to_reference_heads(np.ones((5, 10)), 2, 4)


def test_labels_that_do_not_fit_are_refused():
    labels = Labels(["a", " b"], 2, lambda: ["a", " b"])
    step = Step("s", "t", Copy(), (), "")
    assert labels.rows(step, 2).flat() == ["0 a", "1  b"]
    with pytest.raises(StageError, match="s has 3 rows but 2 labels"):
        labels.rows(step, 3)
    with pytest.raises(StageError, match="s has 9 rows but 2 labels"):
        labels.rows(Step("s", "t", Copy(), (), "", rows="vocabulary"), 9)
