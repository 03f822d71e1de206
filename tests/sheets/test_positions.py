"""The position's row beside token + position: both make the sum, in values and, after a change, in formulas."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest

from engines import of_file, with_typed
from live_books import address_in
from sheetgpt import load_model
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.names import areas_of, name_texts
from sheetgpt.workbook.reading.open import Workbook

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def areas(path, names, count):
    texts = dict(name_texts(path))
    return [areas_of(texts[name], {"n_tokens": count})[0] for name in names]


def parts(path, trace):
    """(token, what stands beside the sum, the sum), as a workbook shows them."""
    count = len(trace.token_ids)
    token, total = areas(path, ["token_embeddings", "position_embeddings"], count)
    beside = Area(total.tab, total.row, total.column + total.columns + 1, total.rows, total.columns)
    book = Workbook(path)
    return [book.part([area])[0] for area in (token, beside, total)]


@pytest.mark.parametrize("formulas", [False, True])
def test_token_and_position_are_the_sum(formulas, trace, embedded_book):
    token, beside, total = parts(embedded_book(formulas=True) if formulas else embedded_book(), trace)
    assert np.array_equal(beside, trace.weights["model_wpe"][: len(token)])
    assert np.array_equal(token + beside, total)


@pytest.mark.office
def test_a_changed_parameter_and_fewer_words_are_followed(embedded_book, tmp_path, recalculate):
    path = embedded_book(formulas=True)
    (wpe,) = areas(path, ["model_wpe"], 6)
    (words,) = areas(path, ["words"], 6)
    typed = {address_in(wpe, 1, 2): 5.5, address_in(words, 5, 0): None}
    fewer = load_model().run("Mike is quick. He")
    made = recalculate(with_typed(path, tmp_path / "y.xlsx", typed))
    token, beside, total = parts(made, fewer)
    assert beside[1, 2] == 5.5
    np.testing.assert_allclose(token + beside, total, atol=1e-12)
    assert len(beside) == 5
    assert beside.shape[1] == fewer.config.n_embd
    _, position = areas(path, ["token_embeddings", "position_embeddings"], 5)
    below = Area(position.tab, position.row + 5, position.column + position.columns + 1, 1, 1)
    assert of_file(made)(below)[0][0] in ("", pytest.approx(np.nan, nan_ok=True))


def test_without_such_a_table_nothing_stands_there(tmp_path):
    from models import write_random_model
    from sheetgpt.models.config import Config

    write_random_model(tmp_path / "m", Config(1, 2, 8, 8, 20, "rotary"))
    path = load_model(tmp_path / "m").run(token_ids=[1, 2, 3]).to_excel(tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(path)["embeddings"]
    assert "which is added" not in str(list(sheet.iter_rows(values_only=True)))
