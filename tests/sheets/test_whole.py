"""A model as wide as GPT-2 small, with its vocabulary and two of its blocks, in LibreOffice: the prediction is `run`'s.

The weights are random and have four decimals. All twelve blocks: `benchmarks/whole_gpt2.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from conftest import libreoffice
from office import session
from sheetgpt.bpe import Tokenizer
from sheetgpt.model import Model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import matrix_shapes
from sheetgpt.models.step import Role
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.words import words_area
from sheetgpt.sheets.live.write import writer_of
from sheetgpt.weights.folder import Weights

CONFIG = Config(n_layer=2, n_head=12, n_embd=768, n_ctx=1024, n_vocab=50257)
PROMPT, OTHER = "Mike is quick. He moves", "Mike is quick. He runs"


@pytest.fixture(scope="module")
def model(gpt2_tables) -> Model:
    rng, weights = np.random.default_rng(0), {}
    for name, shape in matrix_shapes(CONFIG).items():
        numbers = rng.standard_normal(shape, np.float32).astype(np.float64)
        weights[name] = np.round(0.02 * numbers + name.endswith("_g"), 4)
    return Model(Weights(weights, CONFIG, gpt2_tables, "float64"), Tokenizer.read(gpt2_tables))


@pytest.mark.slow
@pytest.mark.office
def test_a_changed_word_in_gpt2_s_own_width_and_vocabulary_gives_the_prediction_of_run(model, tmp_path):
    office = libreoffice()
    trace = model.run(PROMPT)
    writer = writer_of(plan(trace))
    assert writer.plan.by_token
    file = writer.write(tmp_path / "wide.xlsx")
    shown, last = writer.places[trace.steps.name(Role.PREDICTION)].area, len(trace.merges.words) - 1
    typed = words_area(writer.plan).part(row=last, rows=1)
    read = [(shown.tab, shown.part(row, 1, 1, 1).range()) for row in (0, 2)]
    word = OTHER.removeprefix(PROMPT[:-6])
    done = session(office, file, [((typed.tab, typed.range()), word)], read, timeout=900)
    best = [model.run(prompt).predictions(1)[0] for prompt in (PROMPT, OTHER)]
    assert done.shown == [[f"{one.logit:.3f}", one.token] for one in best]
    assert done.shown[0] != done.shown[1]
