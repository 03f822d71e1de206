"""nanoGPT's checkpoints: heads that are not given, biases that are missing, a head of its own."""

import numpy as np
import pytest

from checkpoints import CONFIG, MATRICES, MODEL_ARGS, contents, fault, linear_tensors, nanogpt, write_csvs
from conftest import require
from models import random_matrices
from sheetgpt.convert import open_source, write
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import write_weights


@pytest.mark.oracle
def test_heads_that_a_checkpoint_does_not_tell_are_asked_for(tmp_path):
    folder = nanogpt(tmp_path / "source", model_args={}, config={})
    message = "SOURCE/ckpt.pt does not tell how many heads its n_embd of 12 is split into: give --n-head N"
    assert fault(folder) == message
    assert open_source(str(folder), n_head=4).config.n_head == 4
    assert fault(folder, n_head=5) == "SOURCE/ckpt.pt: 5 heads do not divide its n_embd of 12: give another --n-head"


@pytest.mark.oracle
def test_a_checkpoint_without_biases_gets_zeros_and_a_padded_vocabulary_stays(tmp_path):
    torch = require("torch", "oracle")
    matrices = {name: m for name, m in MATRICES.items() if not name.endswith("_b")}
    matrices["model_wte"] = np.vstack([matrices["model_wte"], np.full((2, 12), 0.5, np.float32)])
    state = {name: torch.from_numpy(t) for name, t in linear_tensors(matrices).items()}
    folder = nanogpt(tmp_path / "source", model=state, model_args=MODEL_ARGS | {"bias": False, "vocab_size": 264})
    checkpoint = open_source(str(folder))
    assert any("2 of 264 ids have no token in vocab.json: padding" in remark for remark in checkpoint.remarks)
    assert any("nanoGPT computes GELU exactly" in remark for remark in checkpoint.remarks)
    config = Config(2, 3, 12, 16, 264)
    write(checkpoint, tmp_path / "csv")
    zeros = {name: np.zeros_like(m) for name, m in MATRICES.items() if name.endswith("_b")}
    write_weights(tmp_path / "expected", config, matrices | zeros)
    expected = contents(tmp_path / "expected")
    assert {name: data for name, data in contents(tmp_path / "csv").items() if "bpe" not in name} == expected


@pytest.mark.oracle
def test_an_untied_head_of_a_checkpoint_is_kept(tmp_path):
    torch = require("torch", "oracle")
    matrices = random_matrices(CONFIG, untied=True)
    state = {name: torch.from_numpy(t) for name, t in linear_tensors(matrices).items()}
    write(open_source(str(nanogpt(tmp_path / "source", model=state))), tmp_path / "csv")
    assert contents(tmp_path / "csv") == contents(write_csvs(tmp_path / "expected", matrices))
