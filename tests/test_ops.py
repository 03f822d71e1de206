"""Laws over every operation: the gradient is the slope, inputs stay untouched, batches are rows of single runs."""

from __future__ import annotations

import numpy as np
import pytest

from op_cases import CASES
from sheetgpt import ops

BATCHES = [(), (2,), (2, 3)]
SAME_FOR_ALL = (ops.CausalMask, ops.Sinusoids)  # for a whole batch
BATCHED = [case for case in CASES if not isinstance(case.op, SAME_FOR_ALL)]
every_op = pytest.mark.parametrize("case", CASES, ids=str)


def read_only(arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


def test_every_operation_has_a_case():
    defined = {op for op in ops.Op.__subclasses__() if op.__module__ == ops.__name__}
    assert {type(case.op) for case in CASES} == defined - {ops.Given}


@every_op
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_the_gradient_is_the_slope_along_a_random_direction(case, batch):
    rng = np.random.default_rng(5)
    inputs = read_only(case.draw(rng, batch))
    out = case.op.value(*inputs)
    upstream = rng.standard_normal(out.shape)
    upstream.flags.writeable = False
    gradients = case.op.gradient(upstream, out, *inputs)
    assert len(gradients) == len(inputs)
    step = 1e-6
    for i, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        if gradient is None:
            continue
        assert gradient.shape == x.shape
        direction = rng.standard_normal(x.shape)
        ahead = case.op.value(*inputs[:i], x + step * direction, *inputs[i + 1 :])
        behind = case.op.value(*inputs[:i], x - step * direction, *inputs[i + 1 :])
        slope = np.sum(upstream * (ahead - behind)) / (2 * step)
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-6, abs=1e-7)


@every_op
def test_float_inputs_have_a_gradient_and_whole_numbers_have_none(case):
    inputs = case.draw(np.random.default_rng(0), ())
    out = case.op.value(*inputs)
    gradients = case.op.gradient(np.ones_like(out), out, *inputs)
    constant = {ops.BestToken: [0], ops.Sinusoids: [0], ops.Window: [0], ops.AttentionScores: [2]}.get(
        type(case.op), []
    )  # a maximum's place; the mask
    for i, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        assert (gradient is None) == (x.dtype.kind == "i" or i in constant)


@pytest.mark.parametrize("case", BATCHED, ids=str)
@pytest.mark.parametrize("batch", BATCHES[1:], ids=str)
def test_a_batch_is_its_members_one_by_one(case, batch):
    rng = np.random.default_rng(7)
    inputs = case.draw(rng, batch)
    out = case.op.value(*inputs)
    batched = [x.ndim > single.ndim for x, single in zip(inputs, case.draw(rng, ()), strict=True)]
    assert any(batched)
    for member in np.ndindex(batch):
        alone = [x[member] if in_batch else x for x, in_batch in zip(inputs, batched, strict=True)]
        np.testing.assert_allclose(out[member], case.op.value(*alone), rtol=1e-12, atol=1e-12)


@every_op
def test_float32_in_is_float32_out(case):
    inputs = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in case.draw(np.random.default_rng(3), ())]
    out = case.op.value(*inputs)
    if any(x.dtype.kind == "f" for x in inputs):
        assert out.dtype == np.float32
    for gradient in case.op.gradient(np.ones_like(out), out, *inputs):
        assert gradient is None or gradient.dtype == np.float32


def test_attention_ignores_masked_keys_exactly():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((4, 8))
    mask = np.tile(ops.CausalMask().value(np.arange(4), np.arange(4)), 2)
    weights = ops.Softmax(2).value(scores + mask)
    assert (weights[mask == ops.MASKED] == 0).all()
    np.testing.assert_allclose(weights.reshape(4, 2, 4).sum(-1), 1)


def test_softmax_is_unmoved_by_a_shift_and_does_not_overflow():
    x = np.array([[1000.0, 1001.0, 999.0]])
    np.testing.assert_allclose(ops.Softmax().value(x), ops.Softmax().value(x - 1000))


def test_normalised_rows_have_mean_0_and_population_variance_1():
    rows = ops.Normalize().value(np.random.default_rng(2).normal(3, 5, (6, 40)))
    np.testing.assert_allclose(rows.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(rows.var(-1), 1, rtol=1e-5)
