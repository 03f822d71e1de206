"""A number typed far out by mistake costs one line, not all memory; what only looks far out is read."""

import re
import struct
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.styles import Font

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, cell
from sheetgpt.workbook.reading import reach
from sheetgpt.workbook.reading.open import Workbook
from workbooks import write_xlsb

TAB = "block 0 & 'more'"
CELLS = [[1.5, 2.5, "a"], ["", 4.5, ""]]


@pytest.fixture
def book():
    made = openpyxl.Workbook()
    made.active.title = "first"
    sheet = made.create_sheet(TAB)
    for row in CELLS:
        sheet.append([value if value != "" else None for value in row])
    return made


def save(book, path):
    book.save(path)
    return path


def rewritten(path, change):
    """The same workbook, each part through `change(name, content)`."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, change(name, content))
    return path


def with_dimension(text):
    """A change to the element that tells how far the tab reaches; None takes it away."""
    element = b"" if text is None else b'<dimension ref="' + text.encode() + b'"/>'
    return lambda name, content: re.sub(rb"<dimension [^>]*/>", element, content) if "sheet2" in name else content


def require_read(path):
    tab = Workbook(path).tab(TAB)
    np.testing.assert_array_equal(tab.numbers[:2, :3], [[1.5, 2.5, np.nan], [np.nan, 4.5, np.nan]])
    assert tab.others == {(0, 2): "a"}


def require_refused(path, address):
    with pytest.raises(DumpError) as error:
        Workbook(path).tab(TAB)
    assert f"tab {TAB!r} reaches to cell {address}, " in str(error.value)
    assert "delete the rows and columns beyond the stages" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["XFD1048576", "XFD60000", "DZ1048576"])
@pytest.mark.parametrize("dimension", ["right", "none", "A1"])
def test_a_cell_far_out_is_named(book, tmp_path, address, dimension):
    book[TAB][address] = 7
    path = save(book, tmp_path / "far.xlsx")
    if dimension != "right":
        rewritten(path, with_dimension(None if dimension == "none" else dimension))
    require_refused(path, address)


@pytest.mark.parametrize("dimension", ["A1:XFD1048576", "XFD1048576", "A1", "A1:C2", None])
def test_what_a_program_says_of_the_size_need_not_be_true(book, tmp_path, dimension):
    require_read(rewritten(save(book, tmp_path / "b.xlsx"), with_dimension(dimension)))


def test_a_cell_far_out_that_is_only_formatted_is_blank(book, tmp_path):
    book[TAB]["XFD1048576"].font = Font(bold=True)
    path = save(book, tmp_path / "b.xlsx")
    with ZipFile(path) as archive:
        assert b'r="XFD1048576"' in archive.read("xl/worksheets/sheet2.xml")
    require_read(path)


def test_another_tab_may_reach_far(book, tmp_path):
    book["first"]["XFD1048576"] = 7
    require_read(save(book, tmp_path / "b.xlsx"))


def test_parts_are_found_by_whole_paths_too(book, tmp_path):
    path = save(book, tmp_path / "b.xlsx")
    with ZipFile(path) as archive:
        assert b'Target="/xl/worksheets/sheet2.xml"' in archive.read("xl/_rels/workbook.xml.rels")
        assert reach.sheet_part(archive, TAB) == "xl/worksheets/sheet2.xml"
    rewritten(path, lambda name, content: content.replace(b'"/xl/', b'"') if "workbook.xml.rels" in name else content)
    with ZipFile(path) as archive:
        assert reach.sheet_part(archive, TAB) == "xl/worksheets/sheet2.xml"


def test_an_xlsb_tells_its_reach_in_a_record(tmp_path):
    path = write_xlsb(tmp_path / "b.xlsb", {"first": [[1]], TAB: CELLS}, {})
    require_read(path)
    far = struct.pack("<4I", 0, 59_999, 0, MAX_COLUMNS - 1)
    near = struct.pack("<4I", 0, 1, 0, 2)
    rewritten(path, lambda name, content: content.replace(near, far) if "sheet2" in name else content)
    require_refused(path, "XFD60000")


@pytest.mark.office
def test_an_ods_is_refused_by_calamine_itself(book, tmp_path, soffice):
    del book[TAB]  # LibreOffice has no apostrophes in tabs' names
    book["first"]["A1"], book["first"]["XFD60000"] = 1, 7
    path = soffice("ods", save(book, tmp_path / "b.xlsx"), tmp_path)
    with pytest.raises(DumpError, match=r"ell limit exceeded .*delete the rows and columns beyond the stages") as error:
        Workbook(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"\xd0\xcf\x11\xe0 an old workbook"])
def test_what_is_no_such_file_is_left_to_others(tmp_path, content):
    path = tmp_path / "b.xlsx"
    path.write_bytes(content)
    reach.require_room(path, TAB)


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_left_to_others_too(book, tmp_path, seed):
    whole = bytearray(save(book, tmp_path / "b.xlsx").read_bytes())
    draw = np.random.default_rng(seed)
    for at in draw.integers(0, len(whole), 3):
        whole[at] ^= 1 << int(draw.integers(0, 8))
    (tmp_path / "b.xlsx").write_bytes(whole)
    reach.require_room(tmp_path / "b.xlsx", TAB)


@settings(max_examples=50, deadline=None)
@given(
    filled=st.dictionaries(
        st.tuples(st.integers(0, MAX_ROWS - 1), st.integers(0, MAX_COLUMNS - 1)), st.booleans(), min_size=1, max_size=20
    ),
    stretch=st.sampled_from([1, 7, 300, 1 << 20]),
)
def test_the_reach_is_that_of_the_filled_cells_whatever_the_stretches(filled, stretch, tmp_path_factory):
    path = tmp_path_factory.mktemp("reach") / "sheet.xml"
    path.write_text(
        "".join(
            f'<c r="{cell(row, column)}" s="1"><v>1</v></c>' if value else f'<c r="{cell(row, column)}" s="1"/>'
            for (row, column), value in filled.items()
        )
    )
    places = [place for place, value in filled.items() if value]
    expected = tuple(max(numbers) + 1 for numbers in zip(*places, strict=True)) if places else (0, 0)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as part:
        patch.setattr(reach, "STRETCH", stretch)
        assert reach.reach_of_cells(part.read(stretch), part) == expected
