"""The cached decoder gives the uncached run's logits, for every model, prompt and length, across the slide as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest

from models import ODD_HEADS, ONE_BLOCK, SMALL, WIDE_HEADS, random_ids, random_matrices
from sheetgpt import ops
from sheetgpt.errors import PromptError
from sheetgpt.generate.decode import Decoder, kept_after_slide, leading_to
from sheetgpt.model import Model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import model_steps
from sheetgpt.models.step import Step, Steps
from sheetgpt.weights.folder import Weights

CONFIGS = [SMALL, ONE_BLOCK, ODD_HEADS, WIDE_HEADS, Config(n_layer=1, n_head=2, n_embd=4, n_ctx=2, n_vocab=5)]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=str)
every_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])


def random_model(config, dtype="float64", seed=0, *, untied=False):
    matrices = {name: m.astype(dtype) for name, m in random_matrices(config, seed, untied=untied).items()}
    for matrix in matrices.values():
        matrix.flags.writeable = False
    return Model(Weights(matrices, config, None, dtype), None)


def uncached_logits(model, ids):
    return model.run(token_ids=ids).array("logits")[:, 0]


@every_config
@every_dtype
@pytest.mark.parametrize("seed", range(3))
def test_every_logit_of_the_decoder_is_the_uncached_runs(config, dtype, tolerance, seed):
    model = random_model(config, dtype, seed)
    prompt_length = 1 + seed * (config.n_ctx - 2) // 3
    ids = random_ids(config, config.n_ctx, seed)
    decoder = Decoder(model.steps, model.weights, dtype)
    logits = decoder.feed(ids[:prompt_length])
    for length in range(prompt_length, config.n_ctx + 1):
        np.testing.assert_allclose(logits, uncached_logits(model, ids[:length]), rtol=0, atol=tolerance)
        assert logits.dtype == np.dtype(dtype)
        if length < config.n_ctx:
            logits = decoder.feed(ids[length : length + 1])


@every_config
def test_tokens_may_be_fed_in_portions_of_any_size(config):
    model = random_model(config)
    ids = random_ids(config, config.n_ctx)
    decoder = Decoder(model.steps, model.weights, "float64")
    start = 0
    for size in (1, 3, 2, 5, config.n_ctx):
        if ids[start : start + size]:
            logits = decoder.feed(ids[start : start + size])
        start += size
    np.testing.assert_allclose(logits, uncached_logits(model, ids), rtol=0, atol=1e-12)


@every_config
@every_dtype
def test_every_generated_token_is_picked_from_the_uncached_runs_logits_across_slides(config, dtype, tolerance):
    model = random_model(config, dtype, seed=1)
    text = random_ids(config, max(1, config.n_ctx - 3), seed=2)
    starts = set()
    for token in model.generate(n=3 * config.n_ctx, token_ids=text, temperature=1.5, seed=3):
        window = text[token.context_start :]
        assert len(window) <= config.n_ctx
        np.testing.assert_allclose(token.pick.logits, uncached_logits(model, window), rtol=0, atol=tolerance)
        assert token.logit == token.pick.logits[token.id]
        text.append(token.id)
        starts.add(token.context_start)
    assert len(starts) > 2  # it did slide


def test_a_full_context_goes_on_with_its_newest_half():
    model = random_model(SMALL)
    tokens = list(model.generate(n=30, token_ids=[1, 2, 3]))
    assert kept_after_slide(SMALL.n_ctx) == 8
    assert len(tokens) == 30
    # 16 tokens fill the context and the last of them predicts the 17th; the 18th sees the newest 8 of 17 alone
    assert [i for i in range(1, 30) if tokens[i].context_start != tokens[i - 1].context_start] == [14, 23]
    assert tokens[14].context_start == 9
    assert tokens[23].context_start == 18


def test_without_sliding_generation_ends_when_the_text_fills_the_context():
    model = random_model(SMALL)
    for length in (1, 7, SMALL.n_ctx - 1):
        tokens = list(model.generate(n=100, token_ids=random_ids(SMALL, length), slide=False))
        assert length + len(tokens) == SMALL.n_ctx
        assert tokens[-1].context_start == 0


@every_config
def test_greedy_generation_is_the_run_repeated(config):
    model = random_model(config, seed=4)
    ids = random_ids(config, 1, seed=4)
    for token in model.generate(n=config.n_ctx - 1, token_ids=ids, slide=False):
        best = model.run(token_ids=ids).predictions(1)[0]
        assert (token.id, token.rank) == (best.id, 1)
        assert token.logit == pytest.approx(best.logit, abs=1e-12)
        assert token.probability == pytest.approx(best.probability, abs=1e-12)
        ids.append(token.id)


@pytest.mark.parametrize("position", ["sinusoidal", "rotary"])
def test_positions_that_do_not_end_go_on_beyond_the_context_without_a_slide(position):
    config = Config(n_layer=2, n_head=2, n_embd=12, n_ctx=8, n_vocab=40, position=position)
    model = random_model(config)
    text = random_ids(config, 5)
    for token in model.generate(n=80, token_ids=text, temperature=1.2, seed=1):
        assert token.context_start == 0
        np.testing.assert_allclose(token.pick.logits, uncached_logits(model, text), rtol=0, atol=1e-12)
        text.append(token.id)
    assert len(text) == 85


def test_an_untied_language_head_is_used():
    model = random_model(SMALL, untied=True)
    assert model.steps[-2].inputs[0] == "model_lm_head"
    token = next(model.generate(n=1, token_ids=[3, 1]))
    np.testing.assert_allclose(token.pick.logits, uncached_logits(model, [3, 1]), atol=1e-12)


def test_tokens_can_be_forgotten_and_others_fed_in_their_place():
    model = random_model(SMALL)
    ids, others = random_ids(SMALL, 10), random_ids(SMALL, 6, seed=1)
    decoder = Decoder(model.steps, model.weights, "float64")
    decoder.feed(ids)
    decoder.rewind(4)
    np.testing.assert_allclose(decoder.feed(others), uncached_logits(model, ids[:4] + others), rtol=0, atol=1e-12)


def test_generation_is_lazy_and_the_same_each_time():
    model = random_model(SMALL)
    first = [token.id for token in islice(model.generate(n=10**9, token_ids=[1], seed=5), 20)]
    assert first == [token.id for token in model.generate(n=20, token_ids=[1], seed=5)]
    assert first != [token.id for token in model.generate(n=20, token_ids=[1], seed=6)]


def test_only_what_the_operations_need_whole_is_cached():
    decoder = Decoder(model_steps(SMALL), random_matrices(SMALL), "float32")
    per_block = {f"block_{i}_step_5_{part}" for i in range(SMALL.n_layer) for part in ("keys", "values")}
    assert decoder.cached == {"positions"} | per_block
    assert decoder.steps[-1].name == "logits"


@dataclass(frozen=True)
class Turn(ops.Op):
    """Stands for a step between the keys and the scores that depends on the position."""

    def value(self, x, positions):
        return x * np.cos(positions + x.dtype.type(1))[:, None]


def test_a_step_list_with_another_step_before_the_scores_decodes_like_its_forward_run():
    steps = []
    for step in model_steps(SMALL):
        if step.number == 6:
            queries, keys, mask = step.inputs
            steps.append(Step(f"{keys}_turned", "turned keys", Turn(), (keys, "positions"), "keys, turned"))
            steps.append(replace(step, inputs=(queries, f"{keys}_turned", mask)))
        else:
            steps.append(step)
    from sheetgpt.run.forward import forward

    weights, ids = random_matrices(SMALL), random_ids(SMALL, 12)
    decoder = Decoder(Steps(steps), weights, "float64")
    assert "block_0_step_5_keys_turned" in decoder.cached
    assert "block_0_step_5_keys" not in decoder.cached
    decoder.feed(ids[:4])
    for length in range(5, 13):
        logits = decoder.feed(ids[length - 1 : length])
        run = forward(steps, weights, Steps(steps).inputs(ids[:length]))
        np.testing.assert_allclose(logits, run["logits"][:, 0], rtol=0, atol=1e-5)


def test_only_the_steps_that_lead_to_a_stage_are_computed():
    steps = list(model_steps(SMALL).computed)
    assert [step.name for step in leading_to(steps, "token_embeddings")] == ["token_embeddings"]
    assert leading_to(steps, "logits") == steps[:-1]


@pytest.mark.parametrize(
    ("n", "length", "message"),
    [
        (0, 3, "n is 0: generate at least 1 token"),
        (-2, 3, "n is -2: generate at least 1 token"),
        (
            1,
            16,
            "the prompt has 16 tokens and the model's context holds 16: shorten it to 15, as a new token needs a place",
        ),
        (1, 17, "the prompt has 17 tokens and the model's context holds 16: shorten it"),
        (1, 0, "the prompt is empty: give at least one token"),
    ],
)
def test_a_wrong_length_is_told_at_once_in_one_line(n, length, message):
    model = random_model(SMALL)
    with pytest.raises(PromptError) as error:
        model.generate(n=n, token_ids=random_ids(SMALL, length))
    assert str(error.value) == message
