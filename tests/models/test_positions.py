"""Sinusoidal and rotary positions: against an independent PyTorch model with Hugging Face's GPT-J rotation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from command_line import sheetgpt_here
from conftest import require
from models import ODD_HEADS, SMALL, random_ids, random_matrices, write_random_model
from sheetgpt import load_model, ops
from sheetgpt.errors import SheetGPTError, WeightsError
from sheetgpt.generate.decode import Decoder
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import model_steps, training_steps
from sheetgpt.run.backward import backward
from sheetgpt.run.forward import forward

SINUSOIDAL = dataclasses.replace(ODD_HEADS, position="sinusoidal")
ROTARY = dataclasses.replace(SMALL, position="rotary")
BOTH = pytest.mark.parametrize("config", [SINUSOIDAL, ROTARY], ids=lambda config: config.position)


def torch_model(config: Config, matrices, ids):
    """(logits after every token, loss, gradients by name) of a GPT-2 written without sheetgpt, in float64."""
    torch = require("torch", "oracle")
    require("transformers", "oracle")
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    w = {name: torch.tensor(matrix, dtype=torch.float64, requires_grad=True) for name, matrix in matrices.items()}
    functional, count, size = torch.nn.functional, len(ids), config.head_size
    inputs, targets = torch.tensor(ids[:-1]), torch.tensor(ids[1:])
    count -= 1
    x = w["model_wte"][inputs]
    if config.position == "sinusoidal":
        place, pair = torch.arange(count, dtype=torch.float64)[:, None], torch.arange(0, config.n_embd, 2)
        width = config.n_embd + config.n_embd % 2
        angle = place * torch.exp(-np.log(10000.0) * pair / width)
        table = torch.zeros(count, width, dtype=torch.float64)
        table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle)
        x = x + table[:, : config.n_embd]
    turn = create_sinusoidal_positions(config.n_ctx, size).double()[:count]
    sin, cos = torch.split(turn[None], turn.shape[-1] // 2, dim=-1)

    def norm(x, name):
        return functional.layer_norm(x, (config.n_embd,), w[f"{name}_g"][0], w[f"{name}_b"][0], 1e-5)

    def linear(x, name):
        return x @ w[f"{name}_w"] + w[f"{name}_b"]

    for block in range(config.n_layer):
        h = f"model_h{block}_"
        parts = linear(norm(x, h + "ln_1"), h + "attn_c_attn").split(config.n_embd, -1)
        q, k, v = (part.view(1, count, config.n_head, size) for part in parts)
        if config.position == "rotary":
            q, k = apply_rotary_pos_emb(q, sin, cos), apply_rotary_pos_emb(k, sin, cos)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(mixed.transpose(1, 2).reshape(count, -1), h + "attn_c_proj")
        hidden = functional.gelu(linear(norm(x, h + "ln_2"), h + "mlp_c_fc"), approximate="tanh")
        x = x + linear(hidden, h + "mlp_c_proj")
    logits = norm(x, "model_ln_f") @ w["model_wte"].T
    loss = functional.cross_entropy(logits, targets)
    loss.backward()
    return logits.detach().numpy(), loss.item(), {name: one.grad.numpy() for name, one in w.items()}


@pytest.mark.oracle
@BOTH
def test_logits_and_gradients_equal_an_independent_torch_model(config):
    matrices, ids = random_matrices(config), random_ids(config, config.n_ctx)
    logits, loss, gradients = torch_model(config, matrices, ids)
    weights = {name: matrix.astype(float) for name, matrix in matrices.items()}
    model = training_steps(config)
    values = forward(model, weights, model.inputs(ids[:-1], targets=np.array(ids[1:])))
    penalties = values["penalties"]
    found = backward(model, values, weights, {"penalties": np.full_like(penalties, 1 / penalties.size)})
    np.testing.assert_allclose(values["logits"].T, logits, atol=1e-5)
    assert penalties.mean() == pytest.approx(loss, rel=1e-6)
    assert set(gradients) == set(weights)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-5, err_msg=name)


@BOTH
def test_the_cached_decoder_gives_the_uncached_logits_beyond_the_trained_length(config, tmp_path):
    write_random_model(tmp_path, config)
    model, ids = load_model(tmp_path), random_ids(config, config.n_ctx + 7)
    decoder = Decoder(model.steps, model.weights, "float64")
    for count, token_id in enumerate(ids, start=1):
        logits = decoder.feed([token_id])
        if count in {1, 2, config.n_ctx, len(ids)}:
            whole = model.run(token_ids=ids[:count]).array("logits")[:, -1]
            np.testing.assert_allclose(logits, whole, atol=1e-11)


@BOTH
def test_there_is_no_position_file_and_a_longer_context_is_read_with_a_notice(config, tmp_path):
    write_random_model(tmp_path, config)
    assert not (tmp_path / "model_wpe.csv").exists()
    ids = random_ids(config, config.n_ctx + 1)
    arguments = ["run", "--weights", str(tmp_path), "--token-ids", ",".join(map(str, ids))]
    done = sheetgpt_here(*arguments)
    assert done.code == 0
    assert f"more than the {config.n_ctx} that the model was trained with" in done.err
    done = sheetgpt_here("generate", *arguments[1:], "-n", "3", "--greedy")
    assert done.code == 0
    assert "positions go on" in done.err


def test_stages_say_where_positions_enter():
    names = [step.name for step in model_steps(ROTARY)]
    at = names.index("block_0_step_5_values")
    assert names[at + 1 : at + 4] == ["block_0_step_5_queries_rotated", "block_0_step_5_keys_rotated", "block_0_step_6"]
    assert "position_table" in [step.name for step in model_steps(SINUSOIDAL)]
    assert not any("rotated" in step.name for step in model_steps(SINUSOIDAL))


def test_rotation_keeps_lengths_and_depends_on_distance_only():
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 1, 8))
    rotate = ops.Rotate(2)

    def score(at, key_at):
        turned = rotate.value(query, np.array([at])) * rotate.value(key, np.array([key_at]))
        return turned.reshape(2, 4).sum(-1)

    np.testing.assert_allclose(score(3, 1), score(10, 8))
    np.testing.assert_allclose(np.linalg.norm(rotate.value(query, np.array([5]))), np.linalg.norm(query))
    np.testing.assert_array_equal(rotate.value(query, np.array([0])), query)


def test_odd_heads_cannot_rotate_and_a_learned_table_ends(tmp_path):
    with pytest.raises(WeightsError, match="choose an even head size"):
        dataclasses.replace(ODD_HEADS, position="rotary")
    write_random_model(tmp_path, SMALL)
    with pytest.raises(SheetGPTError, match="context holds 16"):
        load_model(tmp_path).run(token_ids=random_ids(SMALL, 17))
