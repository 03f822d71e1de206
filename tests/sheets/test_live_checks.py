"""The live workbook names the cell that holds no number: a deleted weight, a word typed over an attention weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from conftest import libreoffice
from engines import with_typed
from live_books import address_in
from models import SMALL, random_ids, write_random_model
from office import session
from sheetgpt.model import load_model
from sheetgpt.models.step import Role
from sheetgpt.sheets.live import checks
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.workbook.grid import cell

PROMPT, ROOM = "Mike is quick. He moves", 12


@pytest.fixture(scope="module")
def model():
    """The embedded model."""
    return load_model()


def written(trace, path: Path, **options) -> Writer:
    writer = Writer(plan(trace, **options))
    writer.write(path)
    return writer


def faults(path: Path) -> list[str]:
    """What the index, and the words where there are any, say of numbers."""
    book = CalamineWorkbook.from_path(path)
    rows = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
    told = next(row[2] for row in rows["index"] if row[1] == "Message")
    return [told, *([rows["words"][2][3]] if "words" in rows else [])]


SPOILT = {  # where a cell is no number: (matrix, row, column) of the workbook's own layout, and what stands there
    "weight deleted": ("model_h1_mlp_c_fc_w", 7, 100, None),
    "weight a text": ("model_wte", 300, 2, "o.5"),
    "bias deleted": ("model_h0_attn_c_attn_b", 0, 9, None),
    "attention deleted": ("block_0_step_7", 5, 2, None),
    "attention a text": ("block_1_step_7", 3, 2 * ROOM + 1, "much"),
    "mask deleted": ("triangle_matrix", 0, 0, None),
    "the first of two": ("block_0_step_7", 0, 0, None),
    "beyond the tokens": ("block_0_step_7", 7, 1, "idle"),  # nothing depends on it
}


@pytest.mark.office
def test_the_first_cell_that_is_no_number_is_named_by_its_matrix_and_address(model, tmp_path, recalculate):
    path, expected = tmp_path / "written.xlsx", {}
    areas = {name: source.area for name, source in written(model.run(PROMPT), path).sources.items()}
    for case, (name, row, column, value) in SPOILT.items():
        typed = {(at := address_in(areas[name], row, column)): value}
        expected[case] = f"{name}: {'!'.join(at)} holds no number: type one there"
        if case == "the first of two":
            typed[address_in(areas["block_1_step_7"], 0, 0)] = "x"
        if case == "beyond the tokens":
            expected[case] = "ready"
        with_typed(path, tmp_path / f"{case}.xlsx", typed)
    found = recalculate(*(tmp_path / f"{case}.xlsx" for case in expected))
    for (case, told), path in zip(expected.items(), found, strict=True):
        assert faults(path) == [told, "" if told == "ready" else told], case


@pytest.mark.office
def test_it_is_named_at_once_when_the_cell_is_deleted_in_an_open_workbook(model, tmp_path):
    trace = model.run(PROMPT)
    writer = written(trace, tmp_path / "live.xlsx")
    area = writer.sources["block_0_step_7"].area
    at = cell(area.row + 5, area.column + 2)
    message = next(
        row[2].coordinate
        for row in openpyxl.load_workbook(tmp_path / "live.xlsx")["index"].iter_rows()
        if row[1].value == "Message"
    )
    done = session(libreoffice(), tmp_path / "live.xlsx", [((area.tab, at), "")], [("index", message)], timeout=300)
    assert done.shown == [["ready"], [f"block_0_step_7: {area.tab}!{at} holds no number: type one there"]]


@pytest.mark.office
def test_it_is_named_in_models_without_words_too_and_in_large_matrices_by_name(tmp_path, recalculate, monkeypatch):
    write_random_model(tmp_path / "small", replace(SMALL, position="rotary"))
    trace = load_model(tmp_path / "small").run(token_ids=random_ids(SMALL, 5))
    monkeypatch.setattr(checks, "SEARCHED", trace.weights["model_wte"].size - 1)
    names, told = ("model_wte", "block_0_step_7"), {}
    for name in names:
        writer = written(trace, tmp_path / "written.xlsx", max_tokens=7)
        area = writer.sources[name].area
        with_typed(tmp_path / "written.xlsx", tmp_path / f"{name}.xlsx", {address_in(area, 1, 0): "?"})
        told[name] = f"{name}: {area.tab}!{cell(area.row + 1, area.column)} holds no number: type one there"
    told["model_wte"] = f"model_wte: a cell of weights_wte!{writer.sources['model_wte'].area.range()} holds no number"
    found = recalculate(*(tmp_path / f"{name}.xlsx" for name in names))
    assert [faults(path)[0] for path in found] == list(told.values())


def test_as_many_numbers_are_due_as_the_run_has(model, tmp_path):
    trace = model.run(PROMPT)
    writer = Writer(plan(trace))
    for check in writer.checks:
        name = check.source.name
        matrix = trace.array(name) if name in trace else np.asarray(model.weights[name])
        assert check.due(len(trace.token_ids)) == matrix.size, name
    assert trace.steps.name(Role.LOGITS) in {check.source.name for check in writer.checks}
