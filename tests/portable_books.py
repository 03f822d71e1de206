"""Portable live workbooks for tests: of the embedded model, and of a tiny random one of each kind with words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import Cells, numbers
from models import random_matrices
from sheetgpt.bpe import learn, write_tables
from sheetgpt.model import Model, load_model
from sheetgpt.models.config import MODELS, Config
from sheetgpt.sheets.live import plan
from sheetgpt.sheets.live.portable import write_portable_workbook
from sheetgpt.weights.folder import write_weights
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.names import areas_of, name_texts

PROMPT = "Mike is quick. He moves"
EMBEDDED = "embedded"
TINY_WORD = 7  # characters of a word in the tiny models' layout
TINY = {
    **{name: Config(1, 2, 6, 40, 1, model=name) for name in MODELS},
    "rotary": Config(2, 2, 8, 40, 1, position="rotary"),
    "sinusoidal": Config(1, 2, 6, 40, 1, position="sinusoidal"),
}


def models(folder: Path) -> dict[str, Model]:
    merges, known = learn((PROMPT + " quickly. ") * 3, 280)
    for name, config in TINY.items():
        own = replace(config, n_vocab=len(known), n_ctx=3 if name == "mlp" else config.n_ctx)  # its window
        (folder / name).mkdir()
        write_tables(folder / name, merges, known)
        matrices = random_matrices(own)
        if name == "die":  # plain division wants numbers above 0
            matrices = {key: np.abs(matrix) + 0.1 for key, matrix in matrices.items()}
        write_weights(folder / name, own, matrices)
    return {EMBEDDED: load_model(), **{name: load_model(folder / name) for name in TINY}}


def written(models: dict[str, Model], folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"{name}.xlsx" for name in models}
    with pytest.MonkeyPatch.context() as patch:
        for name, path in paths.items():
            patch.setattr(plan, "LONGEST_WORD", 12 if name == EMBEDDED else TINY_WORD)
            write_portable_workbook(models[name].run(PROMPT), path)
    return paths


def name_areas(path: Path) -> dict[str, Area]:
    """Its names, each a plain range."""
    return {name: areas_of(text)[0] for name, text in name_texts(path)}


def differences(cells: Cells, areas: dict[str, Area], trace, stages=None) -> dict[str, float | str]:
    """The stages that aren't the run's: name -> the largest difference."""
    wrong: dict[str, float | str] = {}
    for name in stages or trace:
        if not trace.step(name).is_text:
            found, matrix = numbers(cells(areas[name])), trace.array(name)
            error = np.max(np.abs(found - matrix) / np.maximum(1, np.abs(matrix)))
            if not error <= 1e-9:
                wrong[name] = float(error)
    return wrong
