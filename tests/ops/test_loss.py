"""From a penalty back to the probability of the token that came."""

from __future__ import annotations

import numpy as np
import pytest

from sheetgpt import ops


@pytest.mark.parametrize("op", [ops.LogLoss(), ops.Missed(), ops.Surprise()], ids=lambda op: type(op).__name__)
def test_the_penalty_gives_the_probability_back(op):
    rng = np.random.default_rng(3)
    scores, targets = rng.standard_normal((7, 4)), rng.integers(0, 7, 4)
    probabilities = ops.SoftmaxColumns().value(scores)
    penalties = op.value(scores if isinstance(op, ops.LogLoss) else probabilities, targets)
    found = [op.probability(penalty) for penalty in penalties[0].tolist()]
    np.testing.assert_allclose(found, probabilities[targets, np.arange(4)], rtol=1e-12)
    assert op.probability_formula("B3") == ("1-B3" if isinstance(op, ops.Missed) else "EXP(-B3)")
