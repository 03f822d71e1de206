"""Wherever a person reads a workbook's cell, R1C1 stands beside A1; data keep A1 alone."""

from __future__ import annotations

import json
import re

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt.model import load_model
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, address, with_r1c1

PROMPT = "Mike is quick. He moves"
BOTH = re.compile(r"(\S+![A-Z]+[0-9]+) \(R(\d+)C(\d+)\)")


@given(
    st.sampled_from(["block_0", "my tab", "it's", "R1C1", "a!b", "C7"]),
    st.integers(0, MAX_ROWS - 1),
    st.integers(0, MAX_COLUMNS - 1),
)
def test_any_cell_has_both(tab, row, column):
    a1 = address([Area(tab, row, column, 1, 1)], 0, 0)
    assert with_r1c1(a1) == f"{a1} (R{row + 1}C{column + 1})"


@pytest.mark.parametrize("place", ["block_0_step_7[3,2]", "logits", "", "block_0_step_7[3,2]!"])
def test_what_is_no_cells_address_stays_as_it_is(place):
    assert with_r1c1(place) == place


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A workbook of a run with one cell changed: its path, the cell's tab and address."""
    path = load_model().run(PROMPT).to_excel(tmp_path_factory.mktemp("books") / "run.xlsx")
    book = openpyxl.load_workbook(path)
    ((tab, where),) = book.defined_names["block_0_step_9"].destinations
    cell = book[tab][where.replace("$", "")][2][5]
    cell.value += 0.25
    book.save(path)
    return path, f"{tab}!{cell.coordinate} (R{cell.row}C{cell.column})"


def test_diff_shows_both_in_its_tables_and_its_sentence_and_data_hold_a1(edited, tmp_path):
    path, both = edited
    result = sheetgpt_here("diff", f"run:{PROMPT}", path, "--report", tmp_path / "report.xlsx")
    assert result.code == 1, result.err
    assert result.out.count(both) >= 2, "the cause and the worst cell"
    report = openpyxl.load_workbook(tmp_path / "report.xlsx").worksheets[0]
    assert any(both in str(cell.value) for row in report for cell in row)
    found = json.loads(sheetgpt_here("diff", f"run:{PROMPT}", path, "--json").out)
    worst = next(stage["worst"] for stage in found["stages"] if stage["stage"] == "block_0_step_9")
    assert worst["right_place"] == both.partition(" ")[0]


def test_locate_shows_both_corners(edited):
    result = sheetgpt_here("locate", f"run:{PROMPT}", edited[0])
    assert result.code == 0, result.err
    line = next(line for line in result.out.splitlines() if line.startswith("block_0_step_9 "))
    assert re.search(r"![A-Z]+\d+:[A-Z]+\d+ \(R\d+C\d+:R\d+C\d+\)", line)


def test_resume_shows_both(edited):
    result = sheetgpt_here("resume", edited[0])
    assert result.code == 0, result.err
    assert edited[1] in result.out
