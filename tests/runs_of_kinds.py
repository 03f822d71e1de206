"""A run of every kind of model, and of the embedded one from a prompt."""

from __future__ import annotations

from functools import cache

from models import random_ids, random_matrices
from sheetgpt import load_model
from sheetgpt.model import Model
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.weights.folder import Weights

KINDS = {
    **{f"{name}, {position}": Config(1, 2, 8, 14, 30, position, name) for name in MODELS for position in POSITIONS},
    "many heads": Config(1, 20, 40, 16, 30),
    "wide heads": Config(2, 2, 64, 16, 30),
}


@cache
def run(kind: str, *, untied: bool = False, dtype: str = "float64"):
    """Embedded, or a random model of that kind; of more tokens than are shown, where it can read so many."""
    if kind == "embedded":
        return load_model(dtype=dtype).run("Mike is quick. He moves")
    config = KINDS[kind]
    matrices = random_matrices(config, untied=untied)
    if config.model == "die":
        matrices = {name: abs(matrix) for name, matrix in matrices.items()}
    weights = Weights({name: matrix.astype(dtype) for name, matrix in matrices.items()}, config, None, dtype)
    return Model(weights, None).run(token_ids=random_ids(config, 14))


RUNS = [
    *((kind, {}) for kind in ("embedded", *KINDS)),
    ("embedded", {"dtype": "float32"}),
    ("gpt2, learned", {"untied": True}),
]
