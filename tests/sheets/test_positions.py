"""The position's row beside token + position: both make the sum, in values and, after a change, in formulas."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest

from sheetgpt import load_model
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.names import areas_of, name_texts

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def areas(path, names, count):
    texts = dict(name_texts(path))
    return [areas_of(texts[name], {"n_tokens": count})[0] for name in names]


def cells(path, area):
    sheet = openpyxl.load_workbook(path, data_only=True)[area.tab]
    rows = sheet.iter_rows(
        area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns, values_only=True
    )
    return np.array(list(rows), float)


def parts(path, trace):
    """(token, what stands beside the sum, the sum), as a workbook shows them."""
    count = len(trace.token_ids)
    token, total = areas(path, ["token_embeddings", "position_embeddings"], count)
    beside = Area(total.tab, total.row, total.column + total.columns + 1, total.rows, total.columns)
    return [cells(path, area) for area in (token, beside, total)]


@pytest.mark.parametrize("formulas", [False, True])
def test_token_and_position_are_the_sum(formulas, trace, tmp_path):
    token, beside, total = parts(trace.to_excel(tmp_path / "x.xlsx", formulas=formulas), trace)
    assert np.array_equal(beside, trace.weights["model_wpe"][: len(token)])
    assert np.array_equal(token + beside, total)


@pytest.mark.office
def test_a_changed_parameter_and_fewer_words_are_followed(trace, tmp_path, recalculate):
    path = trace.to_excel(tmp_path / "x.xlsx", formulas=True)
    (wpe,) = areas(path, ["model_wpe"], 6)
    book = openpyxl.load_workbook(path)
    book[wpe.tab].cell(wpe.row + 2, wpe.column + 3).value = 5.5
    for row in range(5, 20):
        if book["words"].cell(row, 2).value == " moves":
            book["words"].cell(row, 2).value = None
    book.save(path)
    fewer = load_model().run("Mike is quick. He")
    token, beside, total = parts(recalculate(path), fewer)
    assert beside[1, 2] == 5.5
    np.testing.assert_allclose(token + beside, total, atol=1e-12)
    assert len(beside) == 5
    sheet = openpyxl.load_workbook(recalculate(path), data_only=True)["embeddings"]
    assert beside.shape[1] == fewer.config.n_embd
    _, position = areas(path, ["token_embeddings", "position_embeddings"], 5)
    below = sheet.cell(position.row + 6, position.column + position.columns + 2).value
    assert below in (None, "")


def test_without_such_a_table_nothing_stands_there(tmp_path):
    from models import write_random_model
    from sheetgpt.models.config import Config

    write_random_model(tmp_path / "m", Config(1, 2, 8, 8, 20, "rotary"))
    path = load_model(tmp_path / "m").run(token_ids=[1, 2, 3]).to_excel(tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(path)["embeddings"]
    assert "which is added" not in str(list(sheet.iter_rows(values_only=True)))
