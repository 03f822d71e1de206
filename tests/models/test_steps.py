"""The list of steps: its order, its names, its inputs."""

from __future__ import annotations

import re

import pytest

from models import ODD_HEADS, ONE_BLOCK, SMALL
from sheetgpt import ops
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.models.kinds import kind, known_names, matrix_shapes, model_steps, training_steps, weights_of
from sheetgpt.models.step import POSITIONS as POSITIONS_INPUT
from sheetgpt.models.step import TARGETS, Axis, Part, Role

CONFIGS = pytest.mark.parametrize("config", [SMALL, ONE_BLOCK, ODD_HEADS], ids=["small", "one block", "odd heads"])
TIES = pytest.mark.parametrize("untied", [False, True], ids=["tied", "untied"])


@CONFIGS
@TIES
def test_every_input_is_a_weight_a_given_or_an_earlier_step(config, untied):
    steps = model_steps(config, untied=untied)
    known = {steps.name(Role.TOKENS), POSITIONS_INPUT, *matrix_shapes(config, untied)}
    for step in steps.computed:
        assert set(step.inputs) <= known, step.name
        known.add(step.name)


@CONFIGS
@TIES
def test_the_steps_use_every_weight_of_the_folder(config, untied):
    steps, weights = model_steps(config, untied=untied), weights_of(config, untied=untied)
    made = {*steps.by_name, POSITIONS_INPUT}
    assert {name for step in steps.computed for name in step.inputs} - made == set(weights)


@CONFIGS
def test_names_are_unique_and_may_be_defined_names_of_a_workbook(config):
    names = [step.name for step in model_steps(config)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_][a-z_0-9]*", name) for name in names)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("position", POSITIONS)
def test_every_step_of_every_kind_says_in_one_short_sentence_why_it_is_there(name, position):
    config = Config(2 if name in ("gpt2", "microgpt") else 1, 2, 8, 16, 30, position, name)
    for step in [*model_steps(config), *training_steps(config)]:
        assert 20 <= len(step.why) <= 120, step.name
        assert not re.search(r"\. |\.$|^\s|\s$", step.why), step.name
        assert step.why != step.words


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
    assert [step.name for step in model_steps(SMALL)] == expected


def test_predicting_after_every_token_changes_only_the_head():
    last, every = model_steps(SMALL), model_steps(SMALL, every_row=True)
    differing = [a.name for a, b in zip(last, every, strict=False) if a != b]
    assert differing == ["last_hidden_state", "last_layernorm", "predicted_embedding", "logits"]
    assert {type(step.op) for step in every} <= {type(step.op) for step in last} | {ops.Copy}


SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_ctx": 6, "n_vocab": 11}


def every_model():
    """Every model of ours with every kind of positions."""
    for model in MODELS:
        for position in POSITIONS:
            yield pytest.param(Config(**SIZES, model=model, position=position), id=f"{model}, {position}")


ALL = pytest.mark.parametrize("config", [*every_model()])


@ALL
def test_every_model_takes_tokens_and_gives_logits_and_a_prediction(config):
    steps = model_steps(config)
    assert all(steps.has(role) for role in (Role.WORDS, Role.MERGES, Role.TOKENS, Role.LOGITS, Role.PREDICTION))
    assert steps.of(Role.LOGITS).rows is Axis.VOCABULARY
    assert steps[-1].role is Role.PREDICTION


@ALL
def test_every_model_learns_from_penalties_made_of_its_own_steps(config):
    steps = training_steps(config)
    known = {steps.name(Role.TOKENS), POSITIONS_INPUT, TARGETS, *weights_of(config)}
    for step in steps.computed:
        assert set(step.inputs) <= known, step.name
        known.add(step.name)
    assert steps[-1].role is Role.PENALTIES
    assert not steps.has(Role.PREDICTION)


@ALL
def test_a_steps_block_and_number_are_those_of_its_part(config):
    for step in model_steps(config):
        assert (step.part is Part.BLOCK) == (step.block is not None) == (step.number is not None), step.name


@ALL
def test_names_of_stages_and_weights_are_known_as_such_and_others_are_not(config):
    steps, weights = model_steps(config), weights_of(config)
    names = [*steps.by_name, *weights]
    known = known_names([*names, "block_1_step_17", "score", "block_one_step_1"])
    assert known.among([*names, "block_1_step_17", "score", "block_one_step_1"]) == names


def test_a_kind_is_found_under_its_own_name():
    assert [kind(name).name for name in MODELS] == list(MODELS)


def test_steps_are_found_by_place_name_role_and_number():
    steps = model_steps(SMALL)
    assert steps["logits"] is steps.of(Role.LOGITS) is steps[-2]
    assert steps.in_block(1, 5).name == "block_1_step_5_queries"
    assert [step.name for step in steps.readers("block_0_step_16")] == ["block_1_step_1"]
    assert "logits" in steps
    assert "penalties" not in steps
    with pytest.raises(KeyError):
        steps.in_block(2, 1)


def test_the_constants_in_words_are_those_of_the_operations():
    words = {step.name: step.words for step in model_steps(SMALL)}
    assert ops.LAYER_NORM_EPSILON_TEXT in words["block_0_step_2"]
    assert str(ops.GELU_CUBIC) in words["block_0_step_14"]
    assert f"{float(ops.MASKED_TEXT):g}" == f"{ops.MASKED:g}"
