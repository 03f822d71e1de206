"""Damaged workbooks never end the process and never fill the memory: they are refused in one line, or read."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest

from sheetgpt.errors import DumpError
from sheetgpt.workbook.reading import guard
from sheetgpt.workbook.reading.open import Workbook
from workbooks import write_xlsb

TAB = "numbers"
ROWS = [[1.5, 2.0, "text", True, *range(20)], [], [3.0, "", 4.25], [*np.linspace(0, 1, 30)]]

# Reads a workbook under a bound, with one byte of a part changed at a time; says how each attempt ended.
EACH_BYTE = """
import resource, sys, time
from pathlib import Path
from zipfile import ZipFile
from sheetgpt.errors import DumpError
from sheetgpt.workbook.reading.open import Workbook
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
source, name, begin, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with ZipFile(source) as archive:
    parts = {one: archive.read(one) for one in archive.namelist()}
mutant = source.with_name(f"mutant-{begin}" + source.suffix)
for at in range(begin, len(parts[name]), step):
    for value in (0xCD, 0xFF, parts[name][at] ^ 0x40):
        changed = bytearray(parts[name])
        changed[at] = value
        with ZipFile(mutant, "w") as archive:
            for one, data in parts.items():
                archive.writestr(one, bytes(changed) if one == name else data)
        begun = time.monotonic()
        try:
            book = Workbook(mutant)
            for tab in book.tabs:
                book.tab(tab)
            outcome = "read"
        except DumpError as error:
            assert "\\n" not in str(error)
            outcome = "refused"
        assert time.monotonic() - begun < 5, (at, value)
        print(outcome)
"""


def outcomes(book, part, begin=0, step=1):
    command = [sys.executable, "-c", EACH_BYTE, *map(str, (book, part, begin, step))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert done.stderr == ""
    return done.stdout.split()


def changed(path, part, change):
    """The workbook with one part changed."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts[part])
    with ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def xlsx(path, cells):
    book = openpyxl.Workbook()
    book.active.title = TAB
    for address, value in cells.items():
        book.active[address] = value
    book.save(path)
    return path


def refusal(path):
    with pytest.raises(DumpError) as error:
        Workbook(path).tab(TAB)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.skipif(sys.platform == "win32", reason="bounds of memory are POSIX's")
@pytest.mark.parametrize("part", ["sheet", "workbook"])
def test_any_byte_of_an_xlsb_may_be_wrong(tmp_path, part):
    book = write_xlsb(tmp_path / "b.xlsb", {TAB: ROWS}, {})
    with ZipFile(book) as archive:
        (name,) = [one for one in archive.namelist() if part in one and one.endswith(".bin")]
    found = outcomes(book, name, step=4 if part == "sheet" else 1)
    assert {"read", "refused"} == set(found)


@pytest.mark.skipif(sys.platform == "win32", reason="bounds of memory are POSIX's")
def test_any_byte_of_an_xlsx_may_be_wrong(tmp_path):
    book = xlsx(tmp_path / "b.xlsx", {"A1": 1.5, "B2": "text", "C7": True, "ZZ99": 4})
    assert {"read", "refused"} == set(outcomes(book, "xl/worksheets/sheet1.xml", step=7))


@pytest.mark.parametrize("rows", [ROWS, [[0.5] * 300] * 40])
def test_records_tell_how_far_a_sheet_reaches(tmp_path, rows):
    book = write_xlsb(tmp_path / "b.xlsb", {TAB: rows}, {})
    with ZipFile(book) as archive:
        (name,) = [one for one in archive.namelist() if "sheet1" in one and one.endswith(".bin")]
        found = guard.reach_of_records(archive.read(name))
    assert found == (len(rows), max(map(len, rows)))
    Workbook(book).tab(TAB)


def test_a_large_xlsb_is_walked_quickly(tmp_path):
    book = write_xlsb(tmp_path / "b.xlsb", {TAB: [[0.5] * 1000] * 300}, {})
    with ZipFile(book) as archive:
        (name,) = [one for one in archive.namelist() if "sheet1" in one and one.endswith(".bin")]
        part = archive.read(name)
    begun = time.process_time()
    assert guard.reach_of_records(part) == (300, 1000)
    assert time.process_time() - begun < 0.3


@pytest.mark.parametrize("far", ["XFD1048576", "AAAA1", "A99999999", "ZZZZ99999999", "B1048577"])
def test_a_cell_far_out_of_an_xlsx_is_refused_whatever_its_dimension_says(tmp_path, far):
    book = xlsx(tmp_path / "b.xlsx", {"A1": 1, "C7": 2})
    changed(book, "xl/worksheets/sheet1.xml", lambda data: data.replace(b'r="C7"', f'r="{far}"'.encode()))
    begun = time.monotonic()
    assert refusal(book)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("at", "value", "told"), [(8, 9, "encrypted"), (10, 99, "unknown way"), (6, 137, "version")])
@pytest.mark.parametrize("kind", ["xlsx", "xlsb"])
def test_parts_that_are_encrypted_or_of_an_unknown_kind_are_told(tmp_path, at, value, told, kind):
    book = tmp_path / f"b.{kind}"
    if kind == "xlsx":
        xlsx(book, {"A1": 1})
    else:
        write_xlsb(book, {TAB: [[1]]}, {})
    data, place = bytearray(book.read_bytes()), 0
    while (place := data.find(b"PK\x01\x02", place)) >= 0:
        data[place + at] = value
        place += 4
    book.write_bytes(data)
    assert re.search(rf"can't be read as a workbook \(.*{told}", refusal(book))


def test_parts_that_would_grow_without_measure_are_told(tmp_path):
    book = xlsx(tmp_path / "b.xlsx", {"A1": 1})
    data, place = bytearray(book.read_bytes()), 0
    while (place := data.find(b"PK\x01\x02", place)) >= 0:
        data[place + 24 : place + 28] = (0xF0000000).to_bytes(4, "little")
        place += 4
    book.write_bytes(data)
    assert "unpacks to" in refusal(book)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\xd0\xcf\x11\xe0" + b"\0" * 600, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 99]
)
def test_an_xls_that_is_none_is_told(tmp_path, content):
    (tmp_path / "b.xls").write_bytes(content)
    assert "can't be read as a workbook" in refusal(tmp_path / "b.xls")
