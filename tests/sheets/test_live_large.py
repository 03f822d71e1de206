"""Weights of very large live workbooks say a row's first address only: readers count on to the same numbers."""

from __future__ import annotations

import re
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from live_books import differences, spoil
from sheetgpt.model import load_model
from sheetgpt.sheets.live import writer as live_writer
from sheetgpt.sheets.live.plan import plan
from sheetgpt.workbook.reading.open import Workbook

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def writer(trace, tmp_path_factory):
    """The embedded model's workbook written as a very large one is, with its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_writer, "MANY_CELLS", 0)
        found = live_writer.Writer(plan(trace))
        return found, found.write(tmp_path_factory.mktemp("large") / "x.xlsx")


def test_only_the_first_weight_of_a_row_has_an_address(trace, writer):
    found, path = writer
    number = list(found.book.sheets).index("weights_wte") + 1
    with ZipFile(path) as archive:
        sheet = archive.read(f"xl/worksheets/sheet{number}.xml").decode()
    rows = re.findall(r"<row [^>]*>(.*?)</row>", sheet)[-len(trace.weights["model_wte"]) :]
    for row in rows:
        assert len(re.findall(r"<c r=", row)) == 3  # id, token, the first weight
        assert len(re.findall(r"<c s=", row)) == trace.config.n_embd - 1


def test_every_reader_counts_on(trace, writer):
    found, path = writer
    ours, calamine = Workbook(path), CalamineWorkbook.from_path(path)
    openpyxls = openpyxl.load_workbook(path, data_only=True)
    for name, area in found.weights.items():
        matrix = np.asarray(trace.weights[name])
        assert np.array_equal(ours.part([area])[0], matrix), name
        rows = calamine.get_sheet_by_name(area.tab).to_python(skip_empty_area=False)[area.row : area.row + area.rows]
        assert np.array_equal([row[area.column : area.column + area.columns] for row in rows], matrix), name
        cells = openpyxls[area.tab].iter_rows(
            area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns, values_only=True
        )
        assert np.array_equal(list(cells), matrix), name


@pytest.mark.office
def test_libreoffice_counts_on_too(trace, writer, tmp_path, recalculate):
    path = tmp_path / "x.xlsx"
    path.write_bytes(writer[1].read_bytes())
    spoil(path)
    assert differences(recalculate(path), trace) == {}
