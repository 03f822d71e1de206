"""The report's workbook: a summary with links, and each differing stage with its cells coloured and readable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from sheetgpt.commands.diff import command
from sheetgpt.diff import diff
from sheetgpt.diff.report import write_report
from sheetgpt.diff.sides import RunSide
from sheetgpt.model import load_model

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def report_of(left, right, path):
    sides = RunSide(left), RunSide(right)
    write_report(diff(*sides, why=False), *sides, path, "the first line")
    return openpyxl.load_workbook(path)


def changed(trace, **matrices):
    return replace(trace, arrays={**trace.arrays, **matrices})


def coloured(sheet):
    found = set()
    for ranges in sheet.conditional_formatting:
        if any(rule.type == "expression" for rule in ranges.rules):
            for one in ranges.sqref.ranges:
                found |= {(row, column) for row, column in one.cells}
    return found


def test_the_summary_lists_every_stage_and_links_to_those_that_differ(trace, tmp_path):
    matrix = trace.array("block_0_step_9").copy()
    matrix[2, 3] += 1
    book = report_of(trace, changed(trace, block_0_step_9=matrix), tmp_path / "r.xlsx")
    assert book.sheetnames == ["index", "block_0_step_9"]
    rows = {row[1].value: row for row in book["index"].iter_rows(min_row=9)}
    assert list(rows) == list(trace)
    assert rows["block_0_step_9"][1].hyperlink.location == "'block_0_step_9'!A1"
    assert rows["block_0_step_9"][4].value == "different"
    assert rows["block_0_step_8"][4].value == "equal"
    assert book["index"]["B2"].value == "the first line"


@pytest.mark.parametrize("name", ["block_0_step_9", "block_1_step_6", "logits"])
def test_a_differing_stage_shows_both_sides_the_difference_and_colours_its_cells(name, trace, tmp_path):
    matrix = trace.array(name).copy()
    matrix[2, 0] += 1
    matrix[3, 0] -= 2
    sheet = report_of(trace, changed(trace, **{name: matrix}), tmp_path / "r.xlsx")[name]
    rows, columns = matrix.shape
    step = (0, columns + 1) if name == "logits" else (rows + 4, 0)
    for number, expected in enumerate((trace.array(name), matrix, trace.array(name) - matrix)):
        top, left = 5 + number * step[0], 3 + number * step[1]
        shown = [[sheet.cell(top + row, left + column).value for column in range(columns)] for row in range(rows)]
        masked = trace.array(name) < -1e9
        np.testing.assert_allclose(np.where(masked, 0, shown), np.where(masked, 0, expected), atol=1e-15)
        assert {(top + 2, left), (top + 3, left)} <= coloured(sheet)
    assert len(coloured(sheet)) == 6


def test_other_tokens_are_coloured_in_their_tables(trace, tmp_path):
    book = report_of(trace, load_model().run("Mike is slow. He moves"), tmp_path / "r.xlsx")
    assert len(coloured(book["separated_into_words"])) == 2
    assert book["separated_into_words"]["E5"].value == " quick"


@pytest.mark.office
def test_libreoffice_opens_the_report(trace, tmp_path, soffice):
    report_of(trace, changed(trace, block_0_step_9=trace.array("block_0_step_9") + 1), tmp_path / "r.xlsx")
    assert soffice("ods", tmp_path / "r.xlsx", tmp_path / "office").exists()


def test_the_command_writes_it(tmp_path):
    path = tmp_path / "r.xlsx"
    told = CliRunner().invoke(command, [f"run:{PROMPT}", "run:Mike is slow. He moves", "--report", str(path)])
    assert told.exit_code == 1
    assert f"Wrote {path}" in told.output
    assert path.exists()
