"""A run of every model of ours, and of one whose stages all have strange names."""

from __future__ import annotations

import numpy as np
import pytest

from sheetgpt.bpe import Tokenizer
from sheetgpt.model import Model
from sheetgpt.models import kinds
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.weights.folder import Weights, embedded_folder
from strange_model import KINDS, NAME

SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_ctx": 16, "n_vocab": 592}
PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def strange_kind():
    """The strange model, known to every reader."""
    MODELS[NAME] = "strange_model"
    kinds._known.cache_clear()
    yield NAME
    del MODELS[NAME]
    kinds._known.cache_clear()


@pytest.fixture(
    scope="module",
    params=[
        (one.name, position)
        for one in [*map(kinds.kind, MODELS), *KINDS]
        for position in (POSITIONS if one.attends else POSITIONS[:1])
    ],
    ids=", ".join,
)
def model(request, strange_kind, tmp_path_factory):
    """A random model of each kind, with each kind of positions where it knows positions, and a tokenizer."""
    name, position = request.param
    config = Config(**SIZES, model=name, position=position)
    rng = np.random.default_rng(3)
    matrices = {name: 0.3 * rng.standard_normal(shape) for name, shape in kinds.matrix_shapes(config).items()}
    if kinds.kind_of(config).plain_shares:
        matrices = {name: np.abs(matrix) for name, matrix in matrices.items()}
    weights = Weights(matrices, config, tmp_path_factory.mktemp("none"), "float64")
    return Model(weights, Tokenizer.read(embedded_folder()))


@pytest.fixture(scope="module")
def trace(model):
    return model.run(PROMPT)
