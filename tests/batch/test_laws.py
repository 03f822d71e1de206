"""Each prompt's run in a batch is its own run: of every kind of model, in both types, whatever lies beside it."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import SMALL, random_matrices
from sheetgpt import Model, batch, load_model
from sheetgpt.batch import computing
from sheetgpt.batch.batching import Batch
from sheetgpt.batch.prompts import Prompt
from sheetgpt.models.config import MODELS, POSITIONS
from sheetgpt.training.loss import measure
from sheetgpt.weights.folder import Weights

WITHIN = {"float64": 1e-12, "float32": 1e-5}  # of a stage's largest number
CONFIGS = [replace(SMALL, position=position) for position in POSITIONS]
CONFIGS += [replace(SMALL, model=model) for model in MODELS if model != "gpt2"]


def model_of(config, *, dtype="float64", untied=False) -> Model:
    matrices = {name: np.abs(one) + 0.1 for name, one in random_matrices(config).items()}  # a die's are parts of a sum
    if config.model == "gpt2":
        matrices = random_matrices(config, untied=untied)
    return Model(Weights({name: one.astype(dtype) for name, one in matrices.items()}, config, Path(), dtype), None)


MODELS_TRIED = {f"{one.model}, {one.position}": one for one in CONFIGS}


def written(model, prompts, folder, stages="*", shard=4):
    return Batch(model, prompts, Path(folder) / "runs", stages, shard=shard).write()


def assert_as_alone(runs, model, prompts):
    """Every run of the folder is the prompt's own."""
    for number, trace in runs.items():
        own = model.run(prompts[number].text, token_ids=prompts[number].token_ids)
        for stage in runs.stages:
            expected = own.array(stage)
            np.testing.assert_allclose(
                trace.array(stage), expected, rtol=0, atol=WITHIN[runs.dtype] * max(1, np.abs(expected).max())
            )
        answer = runs.answer(number)
        assert answer.probability == pytest.approx(own.predictions(1)[0].probability, rel=20 * WITHIN[runs.dtype])
        if len(own.tokens) == 1:
            assert math.isnan(answer.mean_loss)
        else:
            assert answer.mean_loss == pytest.approx(measure(model, own.token_ids).mean, rel=20 * WITHIN[runs.dtype])


@pytest.mark.parametrize("dtype", WITHIN)
@pytest.mark.parametrize("config", MODELS_TRIED.values(), ids=MODELS_TRIED)
def test_a_run_of_a_batch_is_the_prompts_own(config, dtype, tmp_path):
    model, rng = model_of(config, dtype=dtype), np.random.default_rng(1)
    counts = [3, 1, 5, 3, 16, 3, 5, 2, 3]
    prompts = [Prompt(token_ids=tuple(rng.integers(0, config.n_vocab, count).tolist())) for count in counts]
    runs = written(model, prompts, tmp_path)
    assert [number for number, _ in runs.items()] == [*range(len(counts))]
    assert set(runs.stages) == {step.name for step in model.steps.computed if not step.is_text}
    assert_as_alone(runs, model, prompts)


@pytest.mark.parametrize("weights", ["embedded", "rotary", "sinusoidal"])
def test_texts_are_read_and_labelled_as_alone(weights, tmp_path):
    model = load_model(weights)
    prompts = [
        Prompt(text) for text in ["Mike is quick. He moves", "They are calm.", "Hé 🙂", " ", "Anna is quick. She moves"]
    ]
    runs = written(model, prompts, tmp_path, shard=10)
    assert_as_alone(runs, model, prompts)
    for number, trace in runs.items():
        own = model.run(prompts[number].text)
        for stage in runs.stages:
            assert trace[stage].index.equals(own[stage].index)
            assert trace[stage].columns.equals(own[stage].columns)


def test_an_untied_head_and_a_prompt_longer_than_trained_are_as_alone(tmp_path):
    untied = model_of(SMALL, untied=True)
    prompts = [Prompt(token_ids=(3, 1, 2)), Prompt(token_ids=(9, 9, 9))]
    assert_as_alone(written(untied, prompts, tmp_path / "untied"), untied, prompts)
    rotary = model_of(replace(SMALL, position="rotary"))
    longer = [Prompt(token_ids=tuple(range(20))), Prompt(token_ids=tuple(range(20, 40)))]
    assert_as_alone(written(rotary, longer, tmp_path / "longer"), rotary, longer)


PROMPTS = st.lists(
    st.one_of(
        st.builds(Prompt, st.text("Mike is qu.é🙂\n\x00\u2028", min_size=1, max_size=12)),
        st.builds(lambda ids: Prompt(token_ids=tuple(ids)), st.lists(st.integers(-1, 600), min_size=1, max_size=8)),
        st.just(Prompt("", error="the prompt is empty")),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=25, deadline=None)
@given(PROMPTS, st.integers(1, 5))
def test_any_prompts_in_shards_of_any_size_are_as_alone(prompts, shard):
    model = load_model()
    with tempfile.TemporaryDirectory() as folder:
        runs = written(model, prompts, folder, "block_0_step_7,block_1_step_16,logits", shard)
        assert_as_alone(runs, model, prompts)
        index = batch.open(runs.folder).index
        good = {number for number, _ in runs.items()}
        assert set(index.index[index["error"].isna()]) == good
        for number, prompt in enumerate(prompts):
            known = prompt.error is None and all(0 <= i < model.config.n_vocab for i in prompt.token_ids or ())
            assert (number in good) == known


@pytest.mark.parametrize(("name", "value"), [("TOKENS_AT_ONCE", 6), ("BYTES_AT_ONCE", 1), ("CELLS_AT_ONCE", 1)])
def test_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, name, value):
    model = model_of(SMALL)
    prompts = [Prompt(token_ids=(i, 1, 2)) for i in range(9)]
    whole = written(model, prompts, tmp_path / "whole", shard=9)
    monkeypatch.setattr(computing, name, value)
    pieces = written(model, prompts, tmp_path / "pieces", shard=9)
    for (_, one), (_, other) in zip(whole.items(), pieces.items(), strict=True):
        for stage in whole.stages:
            np.testing.assert_allclose(one.array(stage), other.array(stage), rtol=0, atol=1e-12)
    assert_as_alone(pieces, model, prompts)


@pytest.mark.parametrize("dtype", WITHIN)
def test_scores_are_computed_at_once_where_their_bytes_fit(tmp_path, monkeypatch, dtype):
    model, pieces, losses = model_of(SMALL, dtype=dtype), [], computing.mean_losses
    prompts = [Prompt(token_ids=(i, 1, 2)) for i in range(8)]
    monkeypatch.setattr(computing, "mean_losses", lambda scores, ids: pieces.append(len(ids)) or losses(scores, ids))
    for fitting in (8, 4):
        pieces.clear()
        monkeypatch.setattr(computing, "BYTES_AT_ONCE", fitting * 3 * SMALL.n_vocab * np.dtype(dtype).itemsize)
        written(model, prompts, tmp_path / str(fitting), "none", shard=8)
        assert pieces == [fitting] * (8 // fitting)
