"""Workbooks in engines beside LibreOffice, openpyxl and calamine: Gnumeric and IronCalc find every number in its cell.

Both take a cell without an address for something else; the law of the file itself stands here too.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from conftest import program, require
from models import SMALL, random_ids, write_random_model
from sheetgpt.model import load_model
from sheetgpt.workbook.grid import cell
from sheetgpt.workbook.reading.open import Workbook

PROMPT = "Mike is quick. He moves"
GNUMERIC = "{http://www.gnumeric.org/v10.dtd}"
CELL = re.compile(rb"<c\b[^>]*>")
ROW = re.compile(rb'<row r="(\d+)"[^>]*>(.*?)</row>', re.DOTALL)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A run whose numbers are not all finite."""
    folder = tmp_path_factory.mktemp("wide")
    write_random_model(folder, SMALL)
    model = load_model(folder)
    ids = random_ids(SMALL, 5)
    changed = model.run(token_ids=ids).array("block_0_step_9").copy()
    changed[0, :3] = [np.nan, np.inf, -np.inf]
    with np.errstate(invalid="ignore"):
        return model.run(token_ids=ids, overrides={"block_0_step_9": changed})


@pytest.fixture(scope="module")
def books(embedded_book, wide, tmp_path_factory) -> dict[str, Path]:
    return {
        "values": embedded_book(),
        "not finite": wide.to_excel(tmp_path_factory.mktemp("books") / "wide.xlsx"),
        "live": embedded_book(formulas=True),
    }


@pytest.mark.parametrize("name", ["values", "not finite", "live"])
def test_every_cell_says_its_own_address_in_ascending_columns(name, books):
    with ZipFile(books[name]) as archive:
        for part in archive.namelist():
            if part.startswith("xl/worksheets/sheet"):
                for row in ROW.finditer(archive.read(part)):
                    said = [re.search(rb' r="([A-Z]+)(\d+)"', one) for one in CELL.findall(row[2])]
                    assert None not in said, (part, row[1])
                    assert {one[2] for one in said} <= {row[1]}
                    letters = [one[1] for one in said]
                    assert letters == sorted(set(letters), key=lambda one: (len(one), one))


def is_close(text: str, number: float) -> bool:
    """Both engines write and show numbers in ways of their own, which cost the last digits."""
    return float(text) == pytest.approx(number, rel=1e-13, abs=0) or text == str(number)


def gnumeric(path: Path, folder: Path) -> dict[str, dict[tuple[int, int], str]]:
    """Tab -> its cells by (row, column), as Gnumeric saves them in its own format: with all digits."""
    ssconvert = program("ssconvert", "apt-get install gnumeric")
    made = folder / "made.gnumeric"
    subprocess.run([ssconvert, str(path), str(made)], check=True, capture_output=True, timeout=300)
    tables = {}
    for sheet in ET.fromstring(gzip.decompress(made.read_bytes())).iter(f"{GNUMERIC}Sheet"):
        cells = sheet.iter(f"{GNUMERIC}Cell")
        name = sheet.findtext(f"{GNUMERIC}Name")
        tables[name] = {(int(one.get("Row")), int(one.get("Col"))): one.text for one in cells}
    return tables


@pytest.mark.office
@pytest.mark.parametrize("name", ["values", "not finite"])
def test_gnumeric_reads_every_number_of_a_dump(name, books, tmp_path):
    found, book = gnumeric(books[name], tmp_path), Workbook(books[name])
    assert list(found) == list(book.tabs)
    count = 0
    for tab in map(book.tab, book.tabs):
        for at in map(tuple, np.argwhere(~np.isnan(tab.numbers)).tolist()):
            assert is_close(found[tab.name].get(at, "nan"), tab.numbers[at]), (tab.name, cell(*at))
            count += 1
    assert count > 3_000


@pytest.mark.office
@pytest.mark.parametrize("name", ["values", "live"])
def test_ironcalc_opens_it_and_has_every_number_or_formula_of_a_block(name, books):
    """Of a live workbook the numbers are those that the formulas of whole stages gave when it was written."""
    ironcalc = require("ironcalc", "test")
    model, book = ironcalc.load_from_xlsx(str(books[name])), Workbook(books[name])
    number, tab = book.tabs.index("block_1"), book.tab("block_1")
    filled, formulas = np.argwhere(~np.isnan(tab.numbers)).tolist(), 0
    for row, column in filled:
        shown = model.get_cell_content(number, row + 1, column + 1)
        if name == "live" and shown.startswith("="):
            formulas += 1
        else:
            assert is_close(shown, tab.numbers[row, column]), cell(row, column)
    assert len(filled) - formulas > 5_000
    assert (formulas > 100) == (name == "live")
