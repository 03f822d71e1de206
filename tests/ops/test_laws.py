"""Laws over every operation: the gradient is the slope, shapes are the values', inputs stay untouched, batches are rows
of single runs, and arrays of scalar Values give the same.
"""

from __future__ import annotations

import numpy as np
import pytest

from op_cases import CASES, HEADS
from sheetgpt import ops
from sheetgpt.training.scalar import as_value, to_values

BATCHES = [(), (2,), (2, 3)]
SAME_FOR_ALL = (ops.CausalMask, ops.Sinusoids)  # for a whole batch
BATCHED = [case for case in CASES if not isinstance(case.op, SAME_FOR_ALL)]
every_op = pytest.mark.parametrize("case", CASES, ids=str)


def read_only(arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


def test_every_operation_has_a_case():
    defined = {one for one in vars(ops).values() if isinstance(one, type) and issubclass(one, ops.Op)}
    assert {type(case.op) for case in CASES} == defined - {ops.Op, ops.Given, ops.Penalty}


@every_op
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_shape_is_the_values_shape(case, batch):
    inputs = case.draw(np.random.default_rng(11), batch)
    assert case.op.shape(*(x.shape for x in inputs)) == case.op.value(*inputs).shape


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


@every_op
def test_arrays_of_values_give_the_same_value_and_gradient(case):
    rng = np.random.default_rng(13)
    inputs = case.draw(rng, ())
    leaves = [to_values(x) if x.dtype.kind == "f" else x for x in inputs]
    out, made = case.op.value(*inputs), case.op.value(*leaves)
    numbers = np.frompyfunc(lambda one: as_value(one).data, 1, 1)(made).astype(float)
    np.testing.assert_allclose(numbers, out, rtol=1e-12, atol=1e-12)
    upstream = rng.standard_normal(out.shape)
    as_value((made * upstream).sum()).backward()
    for leaf, gradient in zip(leaves, case.op.gradient(upstream, out, *inputs), strict=True):
        if gradient is not None:
            found = np.frompyfunc(lambda one: one.gradient, 1, 1)(leaf).astype(float)
            np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case.op.shares], ids=str)
@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_shares_add_up_to_1(case, batch):
    out = case.op.value(*case.draw(np.random.default_rng(17), batch))
    if case.op.piece == ops.Piece.COLUMN:
        sums = out.sum(-2)
    else:
        sums = out.reshape(*out.shape[:-1], case.op.groups, -1).sum(-1)
    np.testing.assert_allclose(sums, 1, rtol=1e-12)


def test_who_adds_up_to_1_and_who_may_be_masked():
    assert {type(case.op) for case in CASES if case.op.shares} == {ops.Softmax, ops.Shares, ops.SoftmaxColumns}
    assert {type(case.op) for case in CASES if case.op.masked} == {ops.CausalMask, ops.AttentionScores}


@every_op
def test_only_operations_that_say_so_have_groups(case):
    by_head = (ops.Rotate, ops.AttentionScores, ops.Softmax, ops.AttentionMix)
    assert case.op.groups == (HEADS if isinstance(case.op, by_head) else 1)
