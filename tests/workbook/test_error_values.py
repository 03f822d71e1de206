"""Error values of spreadsheets are told from blank cells, in every format, wherever they stand."""

from __future__ import annotations

import re
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.open import Workbook
from workbooks import ERROR_CODES, write_xlsb

TAB = "block 0's & more"
CELLS = st.sampled_from([*ERROR_CODES, 1.5, "a", "#", "", ""])
TABLES = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6))


def write(rows, path):
    book = openpyxl.Workbook()
    book.active["A1"] = "#N/A"  # of another tab
    sheet = book.create_sheet(TAB)
    for row, values in enumerate(rows, start=1):
        for column, value in enumerate(values, start=1):
            if value != "":
                sheet.cell(row, column, value)
    book.save(path)
    return path


def errors_of(path):
    others = Workbook(path).part([Area(TAB, 0, 0, 9, 9)])[1]
    return {cell: value for cell, value in others.items() if value in ERROR_CODES}


def errors_in(rows):
    return {(r, c): v for r, row in enumerate(rows) for c, v in enumerate(row) if v in ERROR_CODES}


@settings(max_examples=15, deadline=None)
@given(rows=TABLES)
def test_the_error_values_of_a_tab_are_found_where_they_stand(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("books")
    assert errors_of(write(rows, folder / "book.xlsx")) == errors_in(rows)
    assert errors_of(write_xlsb(folder / "book.xlsb", {"first": [["#N/A"]], TAB: rows}, {})) == errors_in(rows)


@settings(max_examples=15, deadline=None)
@given(rows=TABLES)
def test_cells_without_addresses_count_from_the_one_before(rows, tmp_path_factory):
    rows = [[value or 2.5 for value in row] for row in rows]  # a blank cell would be left out
    path = write(rows, tmp_path_factory.mktemp("books") / "book.xlsx")
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, re.sub(rb'(<(?:row|c)) r="[^"]*"', rb"\1", content))
    assert errors_of(path) == errors_in(rows)


@pytest.mark.office
def test_they_are_found_in_an_ods_where_a_cell_stands_for_many(tmp_path, soffice):
    rows = [["#N/A"] * 3, ["", "", 1.5], ["#N/A"] * 3, ["#N/A"] * 3, [2.5, "#DIV/0!", "x"]]
    path = soffice("ods", write(rows, tmp_path / "book.xlsx"), tmp_path)
    assert errors_of(path) == errors_in(rows)


def test_of_areas_side_by_side_they_are_found_in_their_own_places(tmp_path):
    rows = [["#N/A", 1.5, "#NUM!"], ["", "#REF!", 2.5]]
    book = Workbook(write(rows, tmp_path / "book.xlsx"))
    areas = [Area(TAB, 0, 2, 2, 1), Area(TAB, 0, 0, 2, 2)]
    numbers, others = book.part(areas)
    assert np.isnan(numbers).sum() == 4
    assert others == {(0, 0): "#NUM!", (0, 1): "#N/A", (1, 2): "#REF!"}
