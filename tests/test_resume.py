"""Edited cells of a dumped workbook are found, stale ones are not edits, and the run goes on from them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt.cli import main
from sheetgpt.commands.resume import command
from sheetgpt.errors import DumpError, SheetGPTError, StageError
from sheetgpt.model import load_model
from sheetgpt.resume import resume
from sheetgpt.run import edit
from sheetgpt.workbook.grid import cell
from workbooks import areas_of, set_cell

PROMPT = "Mike is quick. He moves"
MODEL = load_model()
TRACE = MODEL.run(PROMPT)
MATRICES = [name for name in TRACE if not TRACE.step(name).is_text]


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return TRACE.to_excel(tmp_path_factory.mktemp("dump") / "dump.xlsx")


@pytest.fixture
def edited(dump, tmp_path):
    return shutil.copy(dump, tmp_path / "edited.xlsx")


def address(path, name, row, column):
    (area,) = areas_of(path)[name]
    return f"{area.tab}!{cell(area.row + row, area.column + column)}"


def set_in(path, name, row, column, value):
    where = address(path, name, row, column)
    set_cell(path, where, value)
    return where


def assert_run(found, *assignments):
    """The resumed run is the one that --set makes of the same cells."""
    expected = MODEL.run_edited(TRACE, [edit.parse(text, TRACE.sizes) for text in assignments])
    for name in MATRICES:
        assert np.array_equal(found.after.array(name), expected.array(name)), name


def test_without_an_edit_it_says_so_and_writes_nothing(edited):
    assert resume(edited).changes == []
    told = CliRunner().invoke(command, [str(edited)])
    assert told.exit_code == 0
    assert "No cell of" in told.output
    assert not edited.with_name("edited-resumed.xlsx").exists()


def test_edits_are_found_where_they_stand_and_the_run_follows(edited):
    where = [
        set_in(edited, "block_1_step_9", 0, 1, -2),
        set_in(edited, "block_0_step_7", 2, 1, 0.9),
        set_in(edited, "block_0_step_7", 5, 6, 0.25),
    ]
    found = resume(edited)
    assert [change.place for change in found.changes] == [where[1], where[2], where[0]]
    assert [change.after for change in found.changes] == [0.9, 0.25, -2]
    assert [change.at for change in found.changes] == [(2, 1), (5, 6), (0, 1)]
    assert_run(found, "block_0_step_7[2,1]=0.9", "block_0_step_7[5,6]=0.25", "block_1_step_9[0,1]=-2")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_edits_are_found_all_and_only_those(seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    arrays, assignments = dict(TRACE.arrays), {}
    for name in rng.choice(MATRICES, 4, replace=False).tolist():
        matrix = arrays[name].copy()
        row, column = (int(rng.integers(size)) for size in matrix.shape)
        matrix[row, column] += rng.choice([1e-6, 0.5, -3.0]) * (1 + abs(matrix[row, column]))
        if matrix[row, column] > -1e9:  # another number under a mask masks too
            assignments[name, (row, column)] = matrix[row, column].item()
        arrays[name] = matrix
    path = replace(TRACE, arrays=arrays).to_excel(tmp_path_factory.mktemp("any") / "edited.xlsx")
    found = resume(path)
    assert {(change.stage, change.at): change.after for change in found.changes} == assignments
    assert_run(found, *(f"{name}[{row},{column}]={value!r}" for (name, (row, column)), value in assignments.items()))


def test_a_resumed_workbook_marks_its_edits_and_can_be_resumed_again(edited):
    import openpyxl

    where = set_in(edited, "block_0_step_7", 2, 1, 0.9)
    told = CliRunner().invoke(command, [str(edited), "--top", "2"])
    assert told.exit_code == 0, told.output
    assert where in told.output
    resumed = edited.with_name("edited-resumed.xlsx")
    tab, _, place = where.partition("!")
    sheet = openpyxl.load_workbook(resumed)[tab]
    assert "edited: 0.9, computed: " in sheet[place].comment.text
    assert any(place in str(one.sqref) for one in sheet.conditional_formatting)
    again = resume(resumed)
    assert [change.place for change in again.changes] == [where]
    assert_run(again, "block_0_step_7[2,1]=0.9")


def test_an_edited_token_id_is_another_prompt(edited):
    set_in(edited, "final_tokens", 1, 0, 7)
    found = resume(edited)
    assert [change.stage for change in found.changes] == ["final_tokens"]
    assert found.after.token_ids == [7, *TRACE.token_ids[1:]]
    assert_run(found, "final_tokens[1,0]=7")


def test_a_dump_of_token_ids_is_resumed_too(tmp_path):
    trace = MODEL.run(token_ids=[5, 6, 7])
    path = trace.to_excel(tmp_path / "ids.xlsx")
    assert resume(path).changes == []
    set_in(path, "final_tokens", 1, 1, 9)
    found = resume(path)
    assert [(change.stage, change.before, change.after) for change in found.changes] == [("final_tokens", 6, 9)]
    assert found.after.token_ids == [5, 9, 7]


def test_a_float32_dump_and_the_references_head_layout_are_resumed_too(tmp_path):
    trace = load_model(dtype="float32").run(PROMPT)
    path = trace.to_excel(tmp_path / "single.xlsx", head_layout="reference")
    assert resume(path).changes == []
    size = MODEL.config.head_size
    set_in(path, "block_1_step_7", 3, 2 * size + 1, 0.5)
    assert [change.at for change in resume(path).changes] == [(3, 2 * len(TRACE.token_ids) + 1)]


@pytest.mark.office
@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_a_workbook_saved_by_libreoffice_is_resumed(suffix, edited, tmp_path, soffice):
    set_in(edited, "block_0_step_10", 4, 60, 1.5)
    saved = soffice(suffix, edited, tmp_path / "office")
    found = resume(saved)
    assert [(change.stage, change.at, change.after) for change in found.changes] == [("block_0_step_10", (4, 60), 1.5)]
    assert_run(found, "block_0_step_10[4,60]=1.5")


def test_a_live_workbook_without_an_edit_says_so(embedded_book):
    assert resume(embedded_book(formulas=True)).changes == []


@pytest.fixture(scope="module")
def edited_live(embedded_book, tmp_path_factory):
    path = shutil.copy(embedded_book(formulas=True), tmp_path_factory.mktemp("live") / "live.xlsx")
    set_in(path, "model_h0_mlp_c_fc_w", 3, 5, 0.75)  # saved without cached values: LibreOffice computes all
    return path


@pytest.mark.office
@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_in_a_live_workbook_what_formulas_computed_after_an_edit_is_no_edit(suffix, edited_live, tmp_path, soffice):
    found = resume(soffice(suffix, edited_live, tmp_path / "office"))
    assert [(change.stage, change.at) for change in found.changes] == [("model_h0_mlp_c_fc_w", (3, 5))]
    assert_run(found, "model_h0_mlp_c_fc_w[3,5]=0.75")


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("name", "row", "column", "value", "says"),
    [
        ("block_0_step_9", 1, 2, "much", "holds 'much', no finite number"),
        ("block_0_step_9", 1, 2, None, "holds nothing, no finite number"),
        ("block_0_step_9", 1, 2, True, "holds True, no finite number"),
        ("final_tokens", 0, 1, " was", "texts can't be resumed"),
        ("separated_into_words", 0, 1, " was", "texts can't be resumed"),
        ("final_tokens", 1, 1, 3.5, "whole numbers"),
        ("final_tokens", 1, 1, 99999, "is not in the model"),
    ],
)
def test_an_edit_that_is_no_number_is_refused_by_its_cell(name, row, column, value, says, edited):
    where = set_in(edited, name, row, column, value)
    with pytest.raises(SheetGPTError) as error:
        resume(edited)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    if isinstance(error.value, StageError) and "whole" not in says:
        assert where in str(error.value)


def test_a_dump_of_changed_weights_and_a_workbook_of_others_are_refused(tmp_path, capsys):
    weight = np.array(MODEL.weights["model_wpe"]) + 1
    path = MODEL.run(PROMPT, overrides={"model_wpe": weight}).to_excel(tmp_path / "weights.xlsx")
    with pytest.raises(DumpError, match="other weights"):
        resume(path)
    with pytest.raises(SystemExit) as end:
        main(["resume", str(tmp_path / "nowhere.xlsx")])
    assert end.value.code == 2
    assert "does not exist" in capsys.readouterr().err


def test_json_tells_edits_predictions_and_files(edited):
    set_in(edited, "logits", 5, 0, 99)
    data = json.loads(CliRunner().invoke(command, [str(edited), "--json", "-o", str(edited.parent / "o.xlsx")]).output)
    assert data["edits"][0]["stage"] == "logits"
    assert data["predictions"][0]["id"] == 5
    assert data["before"][0]["token"] == " quickly"
    assert data["files"] == [str(edited.parent / "o.xlsx")]
    assert (edited.parent / "o.xlsx").exists()
