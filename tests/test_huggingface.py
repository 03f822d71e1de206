"""Hugging Face's GPT-2 with random weights against ours: logits, all hidden states, every head's attention."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import require
from models import ODD_HEADS, ONE_BLOCK, SMALL, WIDE_HEADS, random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights

pytestmark = pytest.mark.oracle
TOLERANCE = 1e-4
GPT2_SMALL = Config(n_layer=12, n_head=12, n_embd=768, n_ctx=1024, n_vocab=50257)


def huggingface_model(config: Config, matrices: dict):
    """The same weights in Hugging Face's own model, eager attention, in evaluation mode."""
    torch, transformers = require("torch", "oracle"), require("transformers", "oracle")
    settings = transformers.GPT2Config(
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        n_positions=config.n_ctx,
        vocab_size=config.n_vocab,
    )
    settings._attn_implementation = "eager"
    model = transformers.GPT2LMHeadModel(settings).eval()
    theirs = {"ln_1_g": "ln_1.weight", "ln_1_b": "ln_1.bias", "ln_2_g": "ln_2.weight", "ln_2_b": "ln_2.bias"}
    theirs |= {
        f"{part}_{letter}": f"{part.replace('_', '.', 1)}.{word}"
        for part in ("attn_c_attn", "attn_c_proj", "mlp_c_fc", "mlp_c_proj")
        for letter, word in (("w", "weight"), ("b", "bias"))
    }
    state = {"transformer.wte.weight": matrices["model_wte"], "transformer.wpe.weight": matrices["model_wpe"]}
    state |= {
        "transformer.ln_f.weight": matrices["model_ln_f_g"][0],
        "transformer.ln_f.bias": matrices["model_ln_f_b"][0],
    }
    for block in range(config.n_layer):
        for ours, name in theirs.items():
            matrix = matrices[f"model_h{block}_{ours}"]
            state[f"transformer.h.{block}.{name}"] = matrix if ours.endswith("_w") else matrix[0]
    state["lm_head.weight"] = matrices["model_wte"]
    model.load_state_dict({name: torch.tensor(matrix) for name, matrix in state.items()})
    return model


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (SMALL, 7),
        (ONE_BLOCK, 1),
        (ONE_BLOCK, 9),
        (ODD_HEADS, 20),
        (WIDE_HEADS, 32),
        pytest.param(GPT2_SMALL, 64, marks=pytest.mark.slow),
    ],
    ids=["small", "one token", "one block", "odd heads", "wide heads", "gpt2 small"],
)
def test_every_hidden_state_and_every_heads_attention_equals_huggingfaces(config, count, tmp_path):
    torch = require("torch", "oracle")
    matrices = random_matrices(config)
    if config is GPT2_SMALL:  # deviations of 0.3 would make logits of hundreds at this width
        matrices = {name: m if name.endswith(("_g", "_b")) else m * np.float32(0.1) for name, m in matrices.items()}
    write_weights(tmp_path / "w", config, matrices)
    ids = random_ids(config, count)
    with torch.no_grad():
        theirs = huggingface_model(config, matrices)(
            torch.tensor([ids]), output_hidden_states=True, output_attentions=True
        )
    trace = load_model(tmp_path / "w", "float32").run(token_ids=ids)

    def agree(ours, tensor):
        expected = tensor.numpy()
        np.testing.assert_allclose(ours, expected, rtol=TOLERANCE, atol=TOLERANCE * max(1, np.abs(expected).max()))

    agree(trace.array("position_embeddings"), theirs.hidden_states[0][0])
    for block in range(config.n_layer):
        if block < config.n_layer - 1:  # the last hidden state of theirs stands behind the final layer norm
            agree(trace.array(f"block_{block}_step_16"), theirs.hidden_states[block + 1][0])
        heads = trace.array(f"block_{block}_step_7").reshape(count, config.n_head, count).swapaxes(0, 1)
        agree(heads, theirs.attentions[block][0])
    agree(trace.array("predicted_embedding"), theirs.hidden_states[-1][0, -1:])
    agree(trace.array("logits")[:, 0], theirs.logits[0, -1])
