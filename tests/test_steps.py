"""The list of steps: its order, its names, its inputs."""

from __future__ import annotations

import re

import pytest

from models import ODD_HEADS, ONE_BLOCK, SMALL
from sheetgpt import ops
from sheetgpt.models import gpt2 as steps
from sheetgpt.weights.folder import matrix_shapes

CONFIGS = pytest.mark.parametrize("config", [SMALL, ONE_BLOCK, ODD_HEADS], ids=["small", "one block", "odd heads"])
TIES = pytest.mark.parametrize("untied", [False, True], ids=["tied", "untied"])


@CONFIGS
@TIES
def test_every_input_is_a_weight_a_given_or_an_earlier_step(config, untied):
    known = {*steps.INPUTS, *matrix_shapes(config, untied)}
    for step in steps.matrix_steps(steps.gpt2(config, untied=untied)):
        assert set(step.inputs) <= known, step.name
        known.add(step.name)


@CONFIGS
@TIES
def test_the_steps_use_every_weight_of_the_folder(config, untied):
    used = {name for step in steps.gpt2(config, untied=untied) for name in step.inputs if name.startswith("model_")}
    assert used == set(matrix_shapes(config, untied))


@CONFIGS
def test_names_are_unique_and_may_be_defined_names_of_a_workbook(config):
    names = [step.name for step in steps.gpt2(config)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_][a-z_0-9]*", name) for name in names)


def test_the_stages_stand_in_the_order_of_the_reference():
    numbers = [*range(1, 5), "5_queries", "5_keys", "5_values", *range(6, 17)]
    expected = [
        "separated_into_words",
        "prompt_to_tokens",
        "final_tokens",
        "token_embeddings",
        "position_embeddings",
        "triangle_matrix",
        *(f"block_{block}_step_{number}" for block in range(2) for number in numbers),
        "last_hidden_state",
        "last_layernorm",
        "predicted_embedding",
        "logits",
        "predicted_token",
    ]
    assert [step.name for step in steps.gpt2(SMALL)] == expected


def test_predicting_after_every_token_changes_only_the_head():
    last, every = steps.gpt2(SMALL), steps.gpt2(SMALL, every_row=True)
    differing = [a.name for a, b in zip(last, every, strict=False) if a != b]
    assert differing == ["last_hidden_state", "last_layernorm", "predicted_embedding"]
    assert {type(step.op) for step in every} <= {type(step.op) for step in last} | {ops.Copy}
