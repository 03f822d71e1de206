"""The reference's page has one table for a stage of all blocks: what was copied out of it is the last block's."""

from __future__ import annotations

import csv
import json

import numpy as np
import openpyxl
import pytest
import xlsxwriter

from command_line import sheetgpt_here
from sheetgpt.diff import diff, open_side
from sheetgpt.diff.sides import RunSide
from sheetgpt.model import load_model
from sheetgpt.workbook.grid import Area

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def held(trace, *, numbered=True):
    """The page's tables after a run: those of the last block, without its number, and those of no block."""
    last = trace.config.n_layer - 1
    steps = [step for step in trace.steps if not step.is_text and step.block in (None, last)]
    return {step.without_block: trace.array(step.name) for step in steps if numbered or step.block is not None}


def as_csvs(path, tables):
    path.mkdir()
    for name, table in tables.items():
        with (path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table.tolist())
    return path


def as_npz(path, tables):
    np.savez(path.with_suffix(".npz"), **tables)
    return path.with_suffix(".npz")


def as_json(path, tables):
    file = path.with_suffix(".json")
    file.write_text(json.dumps({name: table.tolist() for name, table in tables.items()}))
    return file


def as_bins(path, tables):
    path.mkdir()
    for name, table in tables.items():
        (path / f"{name}.bin").write_bytes(table.astype("<f8").tobytes())
    return path


def as_workbook(path, tables):
    file = path.with_suffix(".xlsx")
    with xlsxwriter.Workbook(file) as book:
        for name, table in tables.items():
            sheet = book.add_worksheet(name[:31])
            for row, cells in enumerate(table.tolist()):
                sheet.write_row(row + 2, 1, cells)
            book.define_name(name, f"={Area(name[:31], 2, 1, *table.shape).address()}")
    return file


WRITERS = {"csv": as_csvs, "npz": as_npz, "json": as_json, "bin": as_bins, "xlsx": as_workbook}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("numbered", [True, False], ids=["with the other stages", "alone"])
def test_they_are_the_last_blocks_and_that_is_said(form, numbered, trace, tmp_path):
    tables = held(trace, numbered=numbered)
    report = diff(RunSide(trace), open_side(str(WRITERS[form](tmp_path / "page", tables))))
    assert report.equal, report.first
    last = {step.name for step in trace.steps if step.block == trace.config.n_layer - 1}
    assert last <= {stage.stage for stage in report.compared}
    (taken,) = report.taken
    assert taken.block == trace.config.n_layer - 1
    assert set(taken.names) == {trace.steps[name].without_block for name in last}
    assert not report.unread


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("on_left", [True, False], ids=["left", "right"])
def test_a_changed_cell_is_found_where_it_stands(form, on_left, trace, tmp_path):
    tables = held(trace)
    tables["block_step_9"] = tables["block_step_9"].copy()
    tables["block_step_9"][2, 5] += 0.25
    sides = [RunSide(trace), open_side(str(WRITERS[form](tmp_path / "page", tables)))]
    report = diff(*(sides[::-1] if on_left else sides), why=False)
    assert [stage.stage for stage in report.stages if stage.verdict == "different"] == ["block_1_step_9"]
    place = report.first.worst.left_place if on_left else report.first.worst.right_place
    assert "block_step_9" in place


@pytest.mark.parametrize("form", WRITERS)
def test_the_numbered_one_wins_and_the_other_is_not_read(form, trace, tmp_path):
    tables = held(trace)
    tables["block_1_step_7"] = tables["block_step_7"]
    tables["block_step_7"] = tables["block_step_7"] + 1
    report = diff(RunSide(trace), open_side(str(WRITERS[form](tmp_path / "page", tables))))
    assert report.equal, report.first
    assert report.unread == (("block_step_7", ("block_1_step_7",)),)
    assert "block_step_7" not in report.taken[0].names


def test_another_blocks_number_leaves_it_the_last_blocks(trace, tmp_path):
    tables = {"block_0_step_7": trace.array("block_0_step_7"), "block_step_7": trace.array("block_1_step_7")}
    report = diff(RunSide(trace), open_side(str(as_json(tmp_path / "page", tables))))
    assert report.equal
    assert {stage.stage for stage in report.compared} == {"block_0_step_7", "block_1_step_7"}


def test_the_command_says_whose_they_are_taken_for(trace, tmp_path):
    folder = as_csvs(tmp_path / "page", held(trace))
    result = sheetgpt_here("diff", f"run:{PROMPT}", folder)
    assert result.code == 0, result.err
    line = next(line for line in result.out.splitlines() if "block_step" in line)
    assert line.startswith(f"In {folder} block_step_")
    assert line.endswith("and 15 more number no block and are taken as block 1's, the last.")
    found = json.loads(sheetgpt_here("diff", f"run:{PROMPT}", folder, "--json").out)
    assert found["taken"][0]["block"] == 1


def test_the_workbook_of_a_report_says_it_too(trace, tmp_path):
    folder = as_csvs(tmp_path / "page", held(trace))
    result = sheetgpt_here("diff", f"run:{PROMPT}", folder, "--report", tmp_path / "report.xlsx")
    assert result.code == 0, result.err
    cells = [str(cell.value) for row in openpyxl.load_workbook(tmp_path / "report.xlsx").worksheets[0] for cell in row]
    assert any(cell.endswith("taken as block 1's, the last.") for cell in cells)


def test_a_single_file_is_a_side_too(trace, tmp_path):
    np.save(tmp_path / "block_step_7.npy", trace.array("block_1_step_7"))
    result = sheetgpt_here("diff", f"run:{PROMPT}", tmp_path / "block_step_7.npy")
    assert result.code == 0, result.err
    assert "block_step_7 numbers no block and is taken as block 1's, the last." in result.out


def test_a_map_may_name_them(trace, tmp_path):
    as_workbook(tmp_path / "book", {"block_step_9": trace.array("block_1_step_9")})
    (tmp_path / "map.csv").write_text("stage,sheet,range,transposed\nblock_step_9,block_step_9,B3:BM8,no\n")
    result = sheetgpt_here("diff", f"run:{PROMPT}", tmp_path / "book.xlsx", "--map", tmp_path / "map.csv")
    assert result.code == 0, result.err
    assert "taken as block 1's" in result.out
