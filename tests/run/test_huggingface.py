"""Hugging Face's GPT-2 with random weights against ours: logits, all hidden states, every head's attention."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import require
from models import ODD_HEADS, ONE_BLOCK, SMALL, WIDE_HEADS, random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights
from transformers_model import huggingface_model

pytestmark = pytest.mark.oracle
TOLERANCE = 1e-4
GPT2_SMALL = Config(n_layer=12, n_head=12, n_embd=768, n_ctx=1024, n_vocab=50257)


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
