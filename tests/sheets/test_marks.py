"""Cells that were set are marked alike in every workbook of a run, whatever their stage and however it is laid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sheetgpt.model import Model, load_model
from sheetgpt.run.edit import parse
from sheetgpt.run.trace import Trace
from sheetgpt.sheets.live.write import write_live_workbook
from sheetgpt.sheets.marks import MARKED, MOST_NOTES, SetCells

PROMPT = "Mike is quick. He moves"
CELLS = {  # what is set, and its value
    "block_0_step_7[1,5,2]": 0.875,
    "block_1_step_6[3,4,1]": 5.25,
    "token_embeddings[2,1]": 0.375,
    "block_1_step_14[0,7]": -2.5,
    "model_wte[3,4]": 1.625,
    "final_tokens[1,2]": 40,
}
KINDS = {
    "values": lambda trace, path: trace.to_excel(path, with_weights=True),
    "reference": lambda trace, path: trace.to_excel(path, head_layout="reference", with_weights=True),
    "live": write_live_workbook,
}
LOOK = tuple("FF" + MARKED[name][1:] for name in ("bg_color", "font_color"))


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def run_with(model: Model, *assignments: str) -> Trace:
    before = model.run(PROMPT)
    return model.run_edited(before, [parse(text, before.sizes) for text in assignments])


def marked_cells(path: Path) -> set[tuple[str, str]]:
    """The tab and address of each cell that has the marks' look."""
    found = set()
    for sheet in openpyxl.load_workbook(path):
        for ranges in sheet.conditional_formatting:
            styles = [rule.dxf for rule in ranges.rules if rule.dxf and rule.dxf.fill and rule.dxf.font]
            if LOOK in [(one.fill.bgColor.rgb, one.font.color and one.font.color.rgb) for one in styles]:
                for one in ranges.sqref.ranges:
                    found |= {(sheet.title, sheet.cell(*at).coordinate) for at in one.cells}
    return found


def notes(path: Path) -> dict[tuple[str, str], tuple[object, str]]:
    """The value and the note of each cell that has one, by tab and address."""
    book = openpyxl.load_workbook(path)
    cells = [(sheet.title, cell) for sheet in book for row in sheet.iter_rows() for cell in row if cell.comment]
    return {(tab, cell.coordinate): (cell.value, cell.comment.text) for tab, cell in cells}


@pytest.mark.parametrize("kind", KINDS)
def test_each_set_cell_and_no_other_is_marked_and_says_what_was_there(kind, model, tmp_path):
    path = KINDS[kind](run_with(model, *(f"{at}={value}" for at, value in CELLS.items())), tmp_path / "x.xlsx")
    found = notes(path)
    assert found.keys() == marked_cells(path)
    assert sorted(value for value, _ in found.values()) == sorted(CELLS.values())
    for value, text in found.values():
        was = "before" if value == CELLS["model_wte[3,4]"] else "computed"
        assert text.startswith(f"set: {value:.12g}, {was}: ")


def test_a_set_id_is_marked_where_special_tokens_were_read_as_one(model, tmp_path):
    before = model.run("Mike is quick.<|endoftext|>", special=True)
    trace = model.run_edited(before, [parse("final_tokens[1,1]=40", before.sizes)])
    [(value, text)] = notes(trace.to_excel(tmp_path / "x.xlsx")).values()
    assert (value, text) == (40, f"set: 40, computed: {before.token_ids[1]}")


def test_the_same_cells_have_the_same_notes_in_every_workbook(model, tmp_path):
    trace = run_with(model, *(f"{at}={value}" for at, value in CELLS.items()))
    texts = [
        sorted(text for _, text in notes(write(trace, tmp_path / f"{kind}.xlsx")).values())
        for kind, write in KINDS.items()
    ]
    assert texts[0] == texts[1] == texts[2]


@given(arrays(float, (3, 4), elements=st.floats(-9, 9)), st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3))))
def test_the_set_cells_are_those_that_changed_whatever_stands_there(before, places):
    now = before.copy()
    for number, at in enumerate(sorted(places)):
        now[at] = (np.nan, np.inf, -np.inf, before[at] + 1)[number % 4]
    assert {(i, j) for i, j in np.argwhere(SetCells(now, before).cells).tolist()} == places
    assert {(row, column) for row, column, _ in SetCells(now, before).notes()} == places


def test_more_set_cells_than_notes_have_one_together():
    now = np.ones((MOST_NOTES + 1, 1))
    [(row, column, text)] = SetCells(now, now - 1).notes()
    assert (row, column) == (0, 0)
    assert f"{MOST_NOTES + 1:,} cells" in text
