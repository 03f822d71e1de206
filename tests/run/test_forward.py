"""The forward run against the reference's own numbers, and what a trace promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import ODD_HEADS, ONE_BLOCK, SMALL, random_ids, write_random_model
from sheetgpt import load_model
from sheetgpt.errors import PromptError, StageError
from sheetgpt.models import heads

REFERENCE_TOLERANCE = 1e-11


@pytest.fixture(scope="module")
def reference(reference_run):
    folder, expected, tokens = reference_run
    return load_model(folder).run(tokens["prompt"]), expected, tokens


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_random_model(folder / "w", SMALL)
    return load_model(folder / "w")


def test_every_stage_equals_the_references_within_1e_11(reference):
    trace, expected, _tokens = reference
    for name, matrix in expected.items():
        ours = trace.array(name)
        theirs = matrix
        if trace.step(name).by_head:
            theirs = heads.unpadded(matrix, trace.config.n_head)
        masked = theirs < -1e9
        np.testing.assert_array_equal(ours < -1e9, masked, err_msg=name)
        np.testing.assert_allclose(ours[~masked], theirs[~masked], rtol=0, atol=REFERENCE_TOLERANCE, err_msg=name)


def test_words_merges_tokens_and_prediction_equal_the_references(reference):
    trace, _expected, tokens = reference
    assert trace["separated_into_words"].to_numpy().tolist() == tokens["separated_into_words"]
    assert trace["prompt_to_tokens"].to_numpy().tolist() == tokens["prompt_to_tokens"]
    texts, ids = tokens["final_tokens"]
    assert trace["final_tokens"].to_numpy().tolist() == [texts, [int(i) for i in ids]]
    (_, logit), (_, token_id), (_, token) = tokens["predicted_token"]
    ours = trace["predicted_token"].iloc[:, 1].tolist()
    assert ours == [pytest.approx(logit, abs=REFERENCE_TOLERANCE), token_id, token]


def test_a_trace_gives_every_stage_in_order_as_a_labelled_frame(reference):
    trace, _expected, _tokens = reference
    assert list(trace) == [step.name for step in trace.steps]
    weights = trace["block_0_step_7"]
    assert weights.shape == (10, 120)
    assert weights.index.get_level_values("token").tolist() == trace.tokens
    assert weights.columns.names == ["head", "key", "token"]
    assert weights[3].shape == (10, 10)  # head 3
    assert trace["logits"].index[44] == (44, "M")


def test_a_frame_shares_the_matrix_and_neither_can_be_changed(small):
    trace = small.run(token_ids=[1, 2, 3])
    for name in trace:
        if not trace.step(name).is_text:
            assert np.shares_memory(trace[name].to_numpy(), trace.array(name)), name
            assert not trace.array(name).flags.writeable


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_stage_has_the_runs_type(small, dtype):
    trace = load_model(small.weights.folder, dtype).run(token_ids=[1, 2, 3])
    assert {trace.array(name).dtype for name in trace if name != "final_tokens"} == {np.dtype(dtype)}


@pytest.mark.parametrize("config", [SMALL, ONE_BLOCK, ODD_HEADS], ids=["small", "one block", "odd heads"])
@pytest.mark.parametrize("untied", [False, True], ids=["tied", "untied"])
def test_every_prompt_length_runs_and_a_longer_prompt_leaves_the_earlier_rows_alone(config, untied, tmp_path):
    write_random_model(tmp_path / "w", config, untied=untied)
    model = load_model(tmp_path / "w")
    ids = random_ids(config, config.n_ctx)
    whole = model.run(token_ids=ids)
    for count in range(1, config.n_ctx + 1):
        part = model.run(token_ids=ids[:count])
        name = f"block_{config.n_layer - 1}_step_16"
        np.testing.assert_allclose(part.array(name), whole.array(name)[:count], rtol=1e-10, atol=1e-10)
        assert part.array("logits").shape == (config.n_vocab, 1)


def test_an_untied_head_is_what_makes_the_logits(tmp_path):
    matrices = write_random_model(tmp_path / "w", SMALL, untied=True)
    trace = load_model(tmp_path / "w").run(token_ids=[3, 1, 4])
    expected = matrices["model_lm_head"].astype(float) @ trace.array("predicted_embedding").T
    np.testing.assert_allclose(trace.array("logits"), expected, rtol=1e-6)


def test_setting_any_stage_to_its_own_value_changes_no_bit(small):
    ids = [5, 6, 7, 8]
    base = small.run(token_ids=ids)
    for name in base:
        if name == "final_tokens":
            continue
        again = small.run(token_ids=ids, overrides={name: base.array(name)})
        for stage in base:
            np.testing.assert_array_equal(again.array(stage), base.array(stage), err_msg=f"{name} -> {stage}")


def test_with_a_base_run_only_what_depends_on_the_override_is_computed(small):
    ids = [5, 6, 7, 8]
    base = small.run(token_ids=ids)
    changed = base.array("block_1_step_4") + 1
    again = small.run(token_ids=ids, overrides={"block_1_step_4": changed}, base=base)
    shared = [name for name in base if np.shares_memory(again.array(name), base.array(name))]
    names = list(base)
    assert shared == names[1 : names.index("block_1_step_4")]
    fresh = small.run(token_ids=ids, overrides={"block_1_step_4": changed})
    np.testing.assert_array_equal(again.array("logits"), fresh.array("logits"))


def test_each_rank_counts_the_logits_before_it_and_is_found_once(small):
    logits = np.array([[1.0], [3.0], [1.0], [3.0], [2.0]])
    trace = small.run(token_ids=[1, 2])
    trace = replace(trace, arrays={**trace.arrays, "logits": logits})
    assert trace.ranks.tolist() == [4, 1, 5, 2, 3]
    shares, best = trace.ranking()
    np.testing.assert_array_equal(shares, np.exp(logits - 3)[:, 0] / np.exp(logits - 3).sum())
    assert trace.ranks[best].tolist() == [1, 2, 3, 4, 5]
    assert trace.ranking()[0] is shares
    assert not any(array.flags.writeable for array in (shares, best, trace.ranks))


def test_predictions_come_in_order_and_add_up_to_one(small):
    predictions = small.run(token_ids=[1, 2]).predictions(SMALL.n_vocab)
    assert sum(p.probability for p in predictions) == pytest.approx(1)
    assert [p.logit for p in predictions] == sorted((p.logit for p in predictions), reverse=True)
    assert predictions[0].id == small.run(token_ids=[1, 2]).array("predicted_token")[1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"token_ids": []}, "the prompt is empty: give at least one token"),
        ({"token_ids": [1] * 17}, "the prompt has 17 tokens and the model's context holds 16: shorten it"),
        ({"token_ids": [0, 40]}, "token id 40 (position 1) is not in the model: ids are 0 to 39"),
        ({"token_ids": [-1]}, "token id -1 (position 0) is not in the model: ids are 0 to 39"),
        ({}, "give either a prompt or token ids"),
    ],
)
def test_a_prompt_that_does_not_fit_is_said_in_one_line(small, arguments, message):
    with pytest.raises(PromptError) as error:
        small.run(**arguments)
    assert str(error.value) == message


def test_an_unknown_stage_names_those_like_it(small):
    trace = small.run(token_ids=[1])
    with pytest.raises(StageError, match="no stage is called 'block_0_step_77'; did you mean block_0_step_7"):
        trace["block_0_step_77"]
    assert trace.get("nothing") is None
