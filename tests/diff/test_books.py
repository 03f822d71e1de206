"""Workbooks as people and programs leave them: copied tabs, formats, lost names, tabs called like stages."""

from __future__ import annotations

import re
import subprocess
from itertools import cycle
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import openpyxl
import pytest
from openpyxl.workbook.defined_name import DefinedName

from conftest import libreoffice
from models import SMALL, random_ids, write_random_model
from sheetgpt.diff import diff
from sheetgpt.diff.sides import FolderSide, RunSide, WorkbookSide
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model
from sheetgpt.resume import resume
from sheetgpt.workbook.grid import cell
from workbooks import areas_of

PROMPT = "Mike is quick. He moves"
MODEL = load_model()
TRACE = MODEL.run(PROMPT)
STAGE = "block_0_step_4"


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return TRACE.to_excel(tmp_path_factory.mktemp("books") / "dump.xlsx")


def compared(path):
    return diff(RunSide(TRACE), WorkbookSide(path), why=False)


def copied(dump, to, copies=("block_0 (2)",), before=False, original=None, copy=None, keep_names=True):
    """As Excel copies a tab: each name that points into it gets a second one, known on the copy only."""
    book = openpyxl.load_workbook(dump)
    for title in copies:
        sheet = book.copy_worksheet(book["block_0"])
        sheet.title = title
        for name, place in book.defined_names.items():
            if place.attr_text.startswith("block_0!"):
                there = place.attr_text.replace("block_0!", f"'{title}'!")
                sheet.defined_names[name] = DefinedName(name, attr_text=there)
        if before:
            book.move_sheet(sheet, -(len(book.sheetnames) - 1))
        if copy is not None:
            sheet[first_cell(dump)] = copy
    if original is not None:
        book["block_0"][first_cell(dump)] = original
    if not keep_names:
        for name in [name for name, place in book.defined_names.items() if place.attr_text.startswith("block_0!")]:
            del book.defined_names[name]
        del book["block_0"]
    book.save(to)
    return to


def first_cell(path, stage=STAGE):
    (area,) = areas_of(path)[stage.lower()]
    return cell(area.row, area.column)


# ------------------------------------------------------------------------------------------------ copied tabs

COPIES = {
    "one": ("block_0 (2)",),
    "two": ("block_0 (2)", "block_0 (3)"),
}


@pytest.mark.parametrize("before", [False, True], ids=["behind", "before"])
@pytest.mark.parametrize("copies", COPIES)
def test_a_copied_tab_takes_over_no_names(dump, tmp_path, copies, before):
    kept = copied(dump, tmp_path / "kept.xlsx", COPIES[copies], before, copy=99)
    assert compared(kept).equal
    assert resume(kept).changes == []
    edited = copied(dump, tmp_path / "edited.xlsx", COPIES[copies], before, original=99)
    report = compared(edited)
    assert report.first.stage == STAGE
    assert report.first.worst.right_place == f"block_0!{first_cell(dump)}"
    assert [change.place for change in resume(edited).changes] == [f"block_0!{first_cell(dump)}"]


def test_where_the_original_is_deleted_the_copy_counts(dump, tmp_path):
    report = compared(copied(dump, tmp_path / "b.xlsx", copy=99, keep_names=False))
    assert report.first.worst.right_place == f"'block_0 (2)'!{first_cell(dump)}"


MACRO = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" script:language="StarBasic">
Sub CopyTabs(source, cell, folder)
  Dim hidden(0) As New com.sun.star.beans.PropertyValue
  hidden(0).Name = "Hidden"
  hidden(0).Value = True
  Dim how(0) As New com.sun.star.beans.PropertyValue
  how(0).Name = "FilterName"
  For Each which In Array("block_0", "block_0_copy")
    book = StarDesktop.loadComponentFromURL("file://" &amp; source, "_blank", 0, hidden())
    book.Sheets.copyByName("block_0", "block_0_copy", book.Sheets.Count)
    book.Sheets.copyByName("block_0_copy", "a_copy_of_it", 0)
    book.Sheets.getByName(which).getCellRangeByName(cell).Value = 99
    how(0).Value = "Calc MS Excel 2007 XML"
    book.storeToURL("file://" &amp; folder &amp; "/" &amp; which &amp; ".xlsx", how())
    how(0).Value = "calc8"
    book.storeToURL("file://" &amp; folder &amp; "/" &amp; which &amp; ".ods", how())
    book.close(True)
  Next which
End Sub
</script:module>"""


@pytest.fixture(scope="module")
def copied_by_libreoffice(dump, tmp_path_factory):
    """LibreOffice copies a tab, and the copy, and edits a cell of either; a folder of both, as .xlsx and .ods."""
    folder = tmp_path_factory.mktemp("copies")
    office = [libreoffice(), f"-env:UserInstallation=file://{folder / 'profile'}", "--headless", "--norestore"]
    subprocess.run([*office, "--terminate_after_init"], check=True, timeout=300, capture_output=True)
    (folder / "profile" / "user" / "basic" / "Standard" / "Module1.xba").write_text(MACRO)
    arguments = ",".join(f'"{text}"' for text in (dump, first_cell(dump), folder))
    macro = f"macro:///Standard.Module1.CopyTabs({arguments})"
    subprocess.run([*office, macro], check=True, timeout=300, capture_output=True)
    return folder


@pytest.mark.office
@pytest.mark.usefixtures("soffice")
@pytest.mark.parametrize("which", ["block_0", "block_0_copy"])
@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_copies_that_libreoffice_made_take_over_none_either(copied_by_libreoffice, which, kind):
    path = copied_by_libreoffice / f"{which}.{kind}"
    report = compared(path)
    assert report.equal == (which != "block_0"), path
    assert bool(resume(path).changes) == (which == "block_0"), path


# ------------------------------------------------------------------------------------------------ formats


FORMATS = ["yyyy-mm-dd", "[h]:mm:ss", "Standard", "0.00%", "# ?/?", "@", '#,##0.00 "€"']


@pytest.fixture(scope="module")
def displayed(dump, tmp_path_factory, soffice):
    """A dump whose matrices in the blocks are each displayed in one of the formats, in turn; as .xlsx and .ods."""
    book, path = openpyxl.load_workbook(dump), tmp_path_factory.mktemp("displayed") / "b.xlsx"
    places = areas_of(dump)
    stages = [step.name for step in TRACE.steps if step.block is not None and not step.is_text]
    for name, form in zip(stages, cycle(FORMATS)):
        (area,) = places[name.lower()]
        box = {"min_row": area.row + 1, "max_row": area.row + area.rows, "max_col": area.column + area.columns}
        for row in book[area.tab].iter_rows(min_col=area.column + 1, **box):
            for one in row:
                one.number_format = form
    book.save(path)
    return {"xlsx": path, "ods": soffice("ods", path, path.parent)}


@pytest.mark.office
@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_a_display_format_is_neither_a_difference_nor_an_edit(dump, displayed, kind):
    report = diff(WorkbookSide(dump), WorkbookSide(displayed[kind]), why=False)
    assert report.equal, report.first
    assert resume(displayed[kind]).changes == []


# ------------------------------------------------------------------------------------------- formulas without values


def without_values(path, kept=0):
    """The first numbers of a stage as formulas that nobody computed, or all but a few."""
    book = openpyxl.load_workbook(path)
    (area,) = areas_of(path)[STAGE]
    cells = [
        book["block_0"].cell(area.row + 1 + row, area.column + 1 + column)
        for row in range(area.rows)
        for column in range(area.columns)
    ]
    for one in cells[kept:]:
        one.value = "=1+1"
    return book


def test_a_stage_of_formulas_without_values_is_said_with_the_way_out(dump, tmp_path):
    without_values(dump).save(tmp_path / "b.xlsx")
    with pytest.raises(DumpError, match=rf"{STAGE} has formulas without saved values: open and save it") as error:
        WorkbookSide(tmp_path / "b.xlsx").read(STAGE)
    assert "\n" not in str(error.value)


def test_some_formulas_without_values_are_a_difference_that_says_so(dump, tmp_path):
    without_values(dump, kept=5).save(tmp_path / "b.xlsx")
    worst = compared(tmp_path / "b.xlsx").first.worst
    assert worst.right == "(a formula without a saved value)"


def test_a_live_workbook_that_a_script_saved_has_no_values(tmp_path):
    write_random_model(tmp_path / "model", SMALL)
    trace = load_model(tmp_path / "model").run(token_ids=random_ids(SMALL, 5))
    path = trace.to_excel(tmp_path / "live.xlsx", formulas=True)
    assert diff(RunSide(trace), WorkbookSide(path), why=False).equal
    openpyxl.load_workbook(path).save(path)
    with pytest.raises(DumpError, match="has formulas without saved values: open and save it in a spreadsheet program"):
        WorkbookSide(path)


# ------------------------------------------------------------------------------------------------ promised and missing


def require_not_equal(side, name, sentence):
    with pytest.raises(DumpError, match=sentence):
        side.read(name)
    assert side.has(name)
    assert name not in side.names
    try:
        assert not diff(RunSide(TRACE), side, why=False).equal
    except DumpError as error:
        assert re.search(sentence, str(error))  # noqa: PT017 - a report that says so is right, too


@pytest.mark.parametrize("name", [STAGE, "logits", "final_tokens"])
def test_a_dump_that_lacks_what_its_manifest_promises_is_not_equal(tmp_path, name):
    folder = TRACE.to_csv(tmp_path / "dump")
    (folder / f"{name}.csv").unlink()
    require_not_equal(FolderSide(folder), name, rf"{name}\.csv is missing, though manifest\.json promises it")


def test_a_dump_without_a_manifest_promises_nothing(tmp_path):
    folder = TRACE.to_csv(tmp_path / "dump")
    (folder / "manifest.json").unlink()
    (folder / f"{STAGE}.csv").unlink()
    assert diff(RunSide(TRACE), FolderSide(folder), why=False).equal


@pytest.mark.parametrize("how", ["deleted", "#REF!"])
def test_nor_is_a_workbook_whose_index_lists_what_has_no_name(dump, tmp_path, how):
    book = openpyxl.load_workbook(dump)
    del book.defined_names[STAGE]
    if how == "#REF!":
        book.defined_names[STAGE] = DefinedName(STAGE, attr_text="block_0!#REF!")
    book.save(tmp_path / "b.xlsx")
    side = WorkbookSide(tmp_path / "b.xlsx")
    require_not_equal(side, STAGE, f"no cells that are named {STAGE}, though its index lists it")
    assert resume(tmp_path / "b.xlsx").changes == []


# ------------------------------------------------------------------------------------------------ tabs called as stages

LABELS = ["none", "texts", "numbers", "a row", "a column"]


def put(sheet, matrix, labels, row, column):
    """A matrix on a tab, its labels around it, from a cell on."""
    has_row, has_column = labels in ("texts", "numbers", "a row"), labels in ("texts", "numbers", "a column")
    label = (lambda i: i) if labels == "numbers" else (lambda i: f"label {i}")
    for i in range(matrix.shape[1] if has_row else 0):
        sheet.cell(row, column + has_column + i, label(i))
    for i in range(len(matrix) if has_column else 0):
        sheet.cell(row + has_row + i, column, label(i))
    for (i, j), number in np.ndenumerate(matrix):
        sheet.cell(row + has_row + i, column + has_column + j, float(number))


@pytest.mark.parametrize("corner", [(1, 1), (4, 3)])
@pytest.mark.parametrize("labels", LABELS)
def test_a_tab_that_is_called_like_a_stage_holds_it(tmp_path, labels, corner):
    book = openpyxl.Workbook()
    book.remove(book.active)
    names = ["block_0_step_1", "block_0_step_7", "block_1_step_13", "Last_Hidden_State", "logits", "model_wte"]
    for name in names:
        matrix = TRACE.weights[name] if name in TRACE.weights else TRACE.array(name.lower())
        put(book.create_sheet(name), matrix, labels, *corner)
    book.create_sheet("notes")["A1"] = "of mine"
    book.save(tmp_path / "b.xlsx")
    side = WorkbookSide(tmp_path / "b.xlsx")
    assert sorted(side.names) == sorted(name.lower() for name in names)
    report = diff(RunSide(TRACE, MODEL.weights), side, why=False)
    assert report.equal, report.first
    assert len(report.compared) == len(names)


def test_defined_names_win_over_tabs(tmp_path):
    book = openpyxl.Workbook()
    book.remove(book.active)
    put(book.create_sheet("block_0_step_1"), TRACE.array("block_0_step_1") + 1, "none", 1, 1)
    put(book.create_sheet("there"), TRACE.array("block_0_step_1"), "none", 2, 2)
    book.defined_names["block_0_step_1"] = DefinedName("block_0_step_1", attr_text="there!$B$2:$BM$7")
    book.save(tmp_path / "b.xlsx")
    assert diff(RunSide(TRACE), WorkbookSide(tmp_path / "b.xlsx"), why=False).equal


def test_tables_of_texts_are_found_on_tabs_as_pandas_writes_them(tmp_path):
    import pandas as pd

    with pd.ExcelWriter(tmp_path / "b.xlsx") as file:
        for name in ("separated_into_words", "final_tokens", "block_0_step_4"):
            table = TRACE.text_table(name) if TRACE.step(name).is_text else TRACE.array(name)
            pd.DataFrame(table).to_excel(file, sheet_name=name)
    report = diff(RunSide(TRACE), WorkbookSide(tmp_path / "b.xlsx"), why=False)
    assert report.equal, report.first
    assert len(report.compared) == 3


def test_the_files_parts_stay_as_they_are(dump, tmp_path):
    """A workbook whose parts are written anew, in another order, is read the same."""
    with ZipFile(dump) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(Path(tmp_path / "b.xlsx"), "w", ZIP_DEFLATED) as archive:
        for name in reversed(list(parts)):
            archive.writestr(name, parts[name])
    assert compared(tmp_path / "b.xlsx").equal
