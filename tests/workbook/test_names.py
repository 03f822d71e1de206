"""Defined names are read from every kind of workbook; what is damaged, or stands for no cells, has none."""

from __future__ import annotations

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.workbook.defined_name import DefinedName

from sheetgpt.workbook.grid import MAX_COLUMNS, MAX_ROWS, Area, parse_range
from sheetgpt.workbook.reading.names import areas_of, defined_names, excel_text, name_texts
from sheetgpt.workbook.reading.open import Workbook
from workbooks import write_xlsb

TABS = ["plain", "my tab", "Mike's, tab", "größer"]
AREAS = st.builds(
    Area,
    tab=st.sampled_from(TABS),
    row=st.integers(0, MAX_ROWS - 100),
    column=st.integers(0, MAX_COLUMNS - 100),
    rows=st.integers(1, 100),
    columns=st.integers(1, 100),
)
NAMES = {
    "Scores": (Area("plain", 4, 2, 8, 64),),
    "one_cell": (Area("my tab", 0, 0, 1, 1),),
    "several": (Area("my tab", 0, 0, 2, 3), Area("plain", 5, 26, 2, 4)),
}
OTHERS = {"total": "SUM(plain!$A$1:$A$9)", "number": "5", "text": '"plain!$A$1"', "elsewhere": "[1]plain!$A$1"}


@pytest.fixture
def book():
    made = openpyxl.Workbook()
    made.active.title = TABS[0]
    made.create_sheet(TABS[1])
    for name, areas in NAMES.items():
        made.defined_names[name] = DefinedName(name, attr_text=",".join(area.address() for area in areas))
    for name, text in OTHERS.items():
        made.defined_names[name] = DefinedName(name, attr_text=text)
    return made


def in_small_letters(names):
    return {name.lower(): areas for name, areas in names.items()}


@given(areas=st.lists(AREAS, min_size=1, max_size=5))
def test_an_address_is_read_as_the_areas_it_was_written_for(areas):
    assert areas_of(",".join(area.address() for area in areas)) == tuple(areas)


def test_names_for_areas_are_found_in_small_letters_and_others_left_out(book, tmp_path):
    book.save(tmp_path / "b.xlsx")
    assert defined_names(tmp_path / "b.xlsx") == Workbook(tmp_path / "b.xlsx").names == in_small_letters(NAMES)
    assert {name for name, _ in name_texts(tmp_path / "b.xlsx")} == {*NAMES, *OTHERS}


def test_what_programs_keep_under_names_of_their_own_is_no_name(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.append(["a", "b"])
    workbook.active.print_area, workbook.active.print_title_rows = "A1:B9", "1:1"
    workbook.active.auto_filter.ref = "A1:B1"
    workbook.save(tmp_path / "book.xlsx")
    assert defined_names(tmp_path / "book.xlsx") == {}


def test_names_in_an_xlsb_are_found_too(tmp_path):
    path = write_xlsb(tmp_path / "b.xlsb", {tab: [[1]] for tab in TABS[:2]}, NAMES)
    assert defined_names(path) == in_small_letters(NAMES)


@pytest.mark.office
def test_names_in_an_ods_are_found_too(book, tmp_path, soffice):
    book.save(tmp_path / "b.xlsx")
    assert defined_names(soffice("ods", tmp_path / "b.xlsx", tmp_path)) == in_small_letters(NAMES)


@pytest.mark.parametrize("text", ["plain!$A$0", "plain!$B$2:$A$1", "plain!A:A", "$A$1", "plain!$A$1;plain!$B$2", ""])
def test_what_is_no_area_stands_for_none(text):
    assert areas_of(text) == ()


@pytest.mark.parametrize("counts", [{}, {"n_tokens": 0}, {"n_words": 3}])
def test_a_name_of_a_live_workbook_stands_for_nothing_where_nothing_is_in_use(counts):
    assert areas_of("b!$C$5:INDEX(b!$C$5:$E$12,n_tokens,3)", counts) == ()


@given(st.text("$AZaz09:!'[];~.,of=", max_size=30))
def test_any_text_is_read_or_left_alone(text):
    areas_of(text)
    areas_of(excel_text(text))
    parse_range(text, "tab")


@pytest.mark.parametrize("content", [b"", b"PK", b"\xd0\xcf\x11\xe0 an old workbook"])
def test_a_file_that_is_no_workbook_has_no_names(tmp_path, content):
    (tmp_path / "b.xlsx").write_bytes(content)
    assert defined_names(tmp_path / "b.xlsx") == {}
    assert defined_names(tmp_path / "nowhere.xlsx") == {}


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_has_what_names_it_has(book, tmp_path, seed):
    import numpy as np

    for path in (tmp_path / "b.xlsx", write_xlsb(tmp_path / "b.xlsb", {tab: [[1]] for tab in TABS[:2]}, NAMES)):
        if path.suffix == ".xlsx":
            book.save(path)
        whole, draw = bytearray(path.read_bytes()), np.random.default_rng(seed)
        for at in draw.integers(0, len(whole), 5):
            whole[at] ^= 1 << int(draw.integers(0, 8))
        path.write_bytes(whole[: int(draw.integers(len(whole) // 2, len(whole) + 1))])
        assert set(defined_names(path)) <= set(in_small_letters(NAMES))


def test_names_of_the_whole_workbook_count_before_those_of_a_copied_tab(tmp_path):
    """Spreadsheet programs give the copy of a tab names of its own, for its own cells."""
    book = openpyxl.Workbook()
    book.active.title = "block_0 (2)"
    book.create_sheet("block_0")
    book["block_0 (2)"].defined_names["logits"] = DefinedName("logits", attr_text="'block_0 (2)'!$A$1:$A$9")
    book["block_0"].defined_names["only_here"] = DefinedName("only_here", attr_text="block_0!$B$1")
    book["block_0 (2)"].defined_names["only_here"] = DefinedName("only_here", attr_text="'block_0 (2)'!$B$1")
    book.defined_names["logits"] = DefinedName("logits", attr_text="block_0!$A$1:$A$9")
    book.save(tmp_path / "b.xlsx")
    found = defined_names(tmp_path / "b.xlsx")
    assert [area.tab for area in found["logits"]] == ["block_0"]
    assert [area.tab for area in found["only_here"]] == ["block_0 (2)"]  # the first tab's
