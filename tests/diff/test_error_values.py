"""Cells that hold no number are called what they are: #DIV/0! by its name, NaN NaN, and blank only what is blank."""

from __future__ import annotations

import openpyxl
import pytest

from sheetgpt.commands.diff import as_text
from sheetgpt.diff import diff
from sheetgpt.diff.sides import FolderSide, RunSide, WorkbookSide
from sheetgpt.model import load_model
from sheetgpt.workbook.grid import cell
from workbooks import ERROR_CODES, areas_of

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def book(trace, tmp_path_factory):
    """`book(path, changes)`: the dump with other values in some cells, (stage, row, column) -> value; None: blank."""
    dump = trace.to_excel(tmp_path_factory.mktemp("book") / "dump.xlsx")
    areas, opened = areas_of(dump), openpyxl.load_workbook(dump)

    def with_cells(path, changes):
        before = {}
        for (stage, row, column), value in changes.items():
            (area,) = areas[stage]
            one = opened[area.tab][cell(area.row + row, area.column + column)]
            before[one], one.value = one.value, value
        opened.save(path)
        for one, value in before.items():
            one.value = value
        return WorkbookSide(path)

    return with_cells


@pytest.mark.parametrize("error", ERROR_CODES)
@pytest.mark.parametrize("stage", ["block_0_step_9", "block_1_step_7", "block_1_step_6", "logits"])
def test_error_values_are_named_with_their_number_and_the_first_place(stage, error, trace, book, tmp_path):
    cells = {(stage, row, 0): error for row in (3, 4, 5)}
    report = diff(RunSide(trace), book(tmp_path / "t.xlsx", cells))
    assert report.first.stage == stage
    assert report.first.worst.right == error
    size = trace.array(stage).size
    assert f"3 of {size} cells are {error}, the first at row 3, column 0" in report.first.cause
    assert "blank" not in as_text(report)
    assert "NaN" not in as_text(report)


def test_each_kind_is_counted_by_itself_and_blank_cells_are_called_blank(trace, book, tmp_path):
    values = ["#NUM!", None, "#DIV/0!", "nan", "#NUM!"]
    cells = {("block_0_step_9", 1, column): value for column, value in enumerate(values)}
    cause = diff(RunSide(trace), book(tmp_path / "t.xlsx", cells)).first.cause
    assert "2 of 384 cells are #NUM!, the first at row 1, column 0" in cause
    assert "1 of 384 cells is blank, the first at row 1, column 1" in cause
    assert "1 of 384 cells is #DIV/0!, the first at row 1, column 2" in cause


def test_an_error_value_is_no_masked_cell_and_no_share_of_0(trace, book, tmp_path):
    for name in ("block_0_step_6", "block_0_step_7", "triangle_matrix"):
        report = diff(RunSide(trace), book(tmp_path / "t.xlsx", {(name, 0, 3): "#N/A"}))
        assert report.first.stage == name
        assert report.first.own_error
        assert report.first.worst.right == "#N/A"


def test_the_same_error_on_both_sides_is_equal_and_another_one_is_not(book, tmp_path):
    one, same, other = (
        book(tmp_path / f"{number}.xlsx", {("block_0_step_9", 2, 2): error})
        for number, error in enumerate(("#N/A", "#N/A", "#REF!"))
    )
    assert diff(one, same, why=False).equal
    report = diff(one, other, why=False)
    assert (report.first.worst.left, report.first.worst.right) == ("#N/A", "#REF!")


def test_an_error_that_spreads_over_a_whole_product_is_inherited_there(trace, book, tmp_path):
    """MMULT of a matrix with one error is an error in every cell."""
    every = {("block_0_step_13", row, column): "#VALUE!" for row in range(6) for column in range(256)}
    report = diff(RunSide(trace), book(tmp_path / "t.xlsx", {("block_0_step_12", 2, 5): "#NUM!"} | every))
    stages = {stage.stage: stage for stage in report.stages}
    assert stages["block_0_step_12"].own_error
    assert stages["block_0_step_13"].own_error is False
    assert "its error values come from cells of its inputs that are no numbers" in stages["block_0_step_13"].cause


def test_an_error_value_in_a_csv_is_one_too(trace, tmp_path):
    folder = trace.to_csv(tmp_path / "dump")
    file = folder / "block_0_step_9.csv"
    lines = file.read_text().splitlines()
    lines[3] = ",".join([lines[3].split(",")[0], "#DIV/0!", *lines[3].split(",")[2:]])
    file.write_text("\n".join(lines))
    cause = diff(RunSide(trace), FolderSide(folder)).first.cause
    assert "1 of 384 cells is #DIV/0!, the first at row 2, column 0" in cause
