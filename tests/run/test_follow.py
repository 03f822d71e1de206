"""What follows from changed stages: the same as a whole run with them, many at once; nothing else is computed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models import SMALL, random_ids, random_matrices
from sheetgpt.models.config import POSITIONS, Config
from sheetgpt.models.kinds import model_steps
from sheetgpt.models.step import Role
from sheetgpt.run.follow import follow, to_compute
from sheetgpt.run.forward import forward


def run(config, count, seed=0):
    """(the steps, the weights, every stage)."""
    weights = {name: matrix.astype(float) for name, matrix in random_matrices(config, seed).items()}
    steps = model_steps(config)
    return steps, weights, forward(steps, weights, steps.inputs(random_ids(config, count, seed)))


@st.composite
def changes(draw):
    """A run, and some matrices that are to stand in the place of one of its stages."""
    config = Config(draw(st.integers(1, 2)), 2, 8, 9, 11, position=draw(st.sampled_from(POSITIONS)))
    steps, weights, base = run(config, draw(st.integers(1, 5)), draw(st.integers(0, 50)))
    step = draw(st.sampled_from([step for step in steps.computed if not step.is_text]))
    shape = (draw(st.integers(1, 4)), *base[step.name].shape)
    matrices = np.random.default_rng(draw(st.integers(0, 50))).standard_normal(shape)
    return steps, weights, base, step.name, matrices


@given(changes())
@settings(max_examples=40, deadline=None)
def test_each_of_many_changes_gives_what_a_run_with_it_alone_does(case):
    steps, weights, base, name, matrices = case
    logits = steps.name(Role.LOGITS)
    together = follow(steps, weights, base, {name: matrices}, (logits,))[logits]
    for matrix, found in zip(matrices, together, strict=True):
        alone = forward(steps, weights, base, overrides={name: matrix}, base=base)[logits]
        np.testing.assert_allclose(found, alone, atol=1e-9)


def test_only_what_lies_between_a_change_and_what_is_wanted_is_computed():
    steps, _, base = run(SMALL, 5)
    names = [step.name for step in to_compute(steps, base, {"block_1_step_15": 0}, ("logits",))]
    assert names == ["block_1_step_16", "last_hidden_state", "last_layernorm", "predicted_embedding", "logits"]
    assert to_compute(steps, base, {"block_1_step_15": 0}, ("block_0_step_16",)) == []


def test_without_a_base_what_is_wanted_is_computed_from_the_tokens():
    steps, weights, base = run(SMALL, 5)
    given, ids = {"positions": base["positions"]}, {"final_tokens": base["final_tokens"]}
    found = follow(steps, weights, given, ids, ("block_0_step_8", "block_1_step_15"))
    for name, matrix in found.items():
        np.testing.assert_array_equal(matrix, base[name])


def test_a_stage_that_no_change_reaches_is_the_bases_own():
    steps, weights, base = run(SMALL, 5)
    found = follow(steps, weights, base, {"block_1_step_8": base["block_1_step_8"]}, ("block_0_step_16",))
    assert found["block_0_step_16"] is base["block_0_step_16"]
