"""Random models in several shapes, as CSV folders, for tests that need a model and not a particular one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sheetgpt.bpe import learn, write_tables
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import matrix_shapes
from sheetgpt.weights.folder import write_weights

VOCABULARY = "ailen."  # of the smallest models
DIE = {"model_logits": np.array([0.62, 0.45, 0.85, 0.67, 0.17, 0.53])[:, None]}  # with golden numbers

SMALL = Config(n_layer=2, n_head=3, n_embd=12, n_ctx=16, n_vocab=40)
ONE_BLOCK = Config(n_layer=1, n_head=1, n_embd=8, n_ctx=9, n_vocab=17)
ODD_HEADS = Config(n_layer=3, n_head=5, n_embd=35, n_ctx=20, n_vocab=101)
WIDE_HEADS = Config(n_layer=2, n_head=2, n_embd=128, n_ctx=32, n_vocab=300)


def random_matrices(config: Config, seed: int = 0, *, untied: bool = False) -> dict[str, np.ndarray]:
    """float32 matrices of a size that makes every stage lively: gains around 1, the rest around 0."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in matrix_shapes(config, untied).items():
        mean, deviation = (1.0, 0.2) if name.endswith("_g") else (0.0, 0.3)
        made[name] = (mean + deviation * rng.standard_normal(shape)).astype(np.float32)
    return made


def write_random_model(folder: Path, config: Config, seed: int = 0, *, untied: bool = False) -> dict[str, np.ndarray]:
    """Write a model without a tokenizer to a folder; its matrices."""
    matrices = random_matrices(config, seed, untied=untied)
    write_weights(folder, config, matrices)
    return matrices


def random_ids(config: Config, count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, config.n_vocab, count).tolist()


def write_model_with_words(folder: Path, text: str, n_layer: int = 1) -> None:
    """A small random model whose tokens are learned from a text."""
    merges, known = learn(text, 280)
    write_tables(folder, merges, known)
    write_random_model(folder, Config(n_layer, 2, 6, 40, len(known)))
