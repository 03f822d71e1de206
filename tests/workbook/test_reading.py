"""The cells of a tab: as another reader has them, whoever wrote them and however they are displayed."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import Area, column_letters
from sheetgpt.workbook.reading import xlsx
from sheetgpt.workbook.reading.kinds import by_calamine
from sheetgpt.workbook.reading.open import Workbook
from sheetgpt.workbook.reading.tab import UNSAVED
from workbooks import record, write_xlsb

NUMBERS = [0.4756822212624715, -0.3, 1e-5, 12345.678901, 1e-12, 44197.5, -1e-9, 0.0, 1.0]
FORMATS = [
    "yyyy-mm-dd",
    "[h]:mm:ss",
    "hh:mm",
    "yyyy-mm-dd hh:mm:ss.000",
    "Standard",
    "0.00 d",
    r"0.00\ m",
    "0.00%",
    "# ?/?",
    "#,##0.00 [$€-407]",
    '"$"#,##0.00',
    "@",
    "General",
    "[$-F800]dddd, mmmm dd, yyyy",
    "0.00E+00",
]
FAR = [3e9, -1e10, 1e8]  # beyond any calendar


def formatted(path, far=()):
    """A workbook whose rows hold the same numbers, a display format a row."""
    book = openpyxl.Workbook()
    for row, form in enumerate(FORMATS, start=1):
        for column, number in enumerate([*NUMBERS, *far], start=1):
            book.active.cell(row, column, number).number_format = form
    book.save(path)
    return path


def same_tab(one, other):
    rows, columns = (max(sizes) for sizes in zip(one.numbers.shape, other.numbers.shape, strict=True))
    whole = Area(one.name, 0, 0, rows, columns)
    (numbers, texts), (other_numbers, other_texts) = one.part(whole), other.part(whole)
    np.testing.assert_array_equal(numbers, other_numbers)
    assert texts == other_texts


def rewritten(path, change):
    """The same workbook, each sheet's XML through `change(content)`."""
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, change(content) if "worksheets/sheet" in name else content)
    return path


# ------------------------------------------------------------------------------------------------ formats


def test_a_display_format_changes_no_number(tmp_path):
    tab = Workbook(formatted(tmp_path / "b.xlsx", FAR)).tab("Sheet")
    np.testing.assert_array_equal(tab.numbers, [NUMBERS + FAR] * len(FORMATS))
    assert not tab.others


@pytest.mark.office
def test_nor_does_it_where_libreoffice_saved_the_book(tmp_path, soffice):
    path = soffice("xlsx", formatted(tmp_path / "b.xlsx", FAR), tmp_path / "saved")
    tab = Workbook(path).tab("Sheet")
    np.testing.assert_allclose(tab.numbers, [NUMBERS + FAR] * len(FORMATS), rtol=1e-14)
    assert not tab.others


@pytest.mark.office
def test_an_ods_gives_back_as_much_of_a_number_as_its_date_holds(tmp_path, soffice):
    tab = Workbook(soffice("ods", formatted(tmp_path / "b.xlsx"), tmp_path)).tab("Sheet")
    np.testing.assert_allclose(tab.numbers, [NUMBERS] * len(FORMATS), rtol=1e-11, atol=1e-11)
    assert not tab.others


@pytest.mark.office
def test_a_number_that_an_ods_lost_beyond_its_calendar_is_none(tmp_path, soffice):
    tab = Workbook(soffice("ods", formatted(tmp_path / "b.xlsx", FAR), tmp_path)).tab("Sheet")
    lost = np.isnan(tab.numbers[:, len(NUMBERS) :])
    assert lost[FORMATS.index("yyyy-mm-dd")].all()
    assert not lost[FORMATS.index("0.00%")].any()
    assert set(tab.others) == {(row, column + len(NUMBERS)) for row, column in np.argwhere(lost).tolist()}


def dated_xlsb(path, tabs):
    """An .xlsb whose numbers are all displayed as dates: the only format that its styles have."""
    write_xlsb(path, tabs, {})
    formats = record(617, (1).to_bytes(4, "little")) + record(47, bytes([0, 0, 14, 0]) + bytes(12)) + record(618)
    with ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/styles.bin"] = record(278) + formats + record(279)
    parts["xl/_rels/workbook.bin.rels"] = parts["xl/_rels/workbook.bin.rels"].replace(
        b"</Relationships>",
        b'<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"'
        b' Target="styles.bin"/></Relationships>',
    )
    with ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("far", [[], FAR])
def test_an_xlsb_gives_its_numbers_whatever_their_format(tmp_path, far):
    rows = [[*NUMBERS, *far], [True, "text", 7]]
    path = dated_xlsb(tmp_path / "b.xlsb", {"tab": rows})
    tab = Workbook(path).tab("tab")
    np.testing.assert_array_equal(tab.numbers[0], rows[0])
    assert tab.numbers[1, 2] == 7
    assert tab.others == {(1, 0): True, (1, 1): "text"}


# ------------------------------------------------------------------------------------------------ any writer


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip),  # see below
    st.sampled_from(["NaN", "inf", " x ", "a\nb", "<&>", "_x000D_", "x]]>y", "</v></c>", "1"]),
)
TABLES = st.dictionaries(st.tuples(st.integers(0, 30), st.integers(0, 40)), CELLS, max_size=60)


@settings(max_examples=60, deadline=None)
@given(table=TABLES, by=st.sampled_from(["openpyxl", "xlsxwriter"]))
def test_cells_are_read_as_calamine_reads_them(table, by):
    file = BytesIO()
    if by == "openpyxl":
        book = openpyxl.Workbook()
        for (row, column), value in table.items():
            one = book.active.cell(row + 1, column + 1)
            one.value = value
            if isinstance(value, str):
                one.data_type = "s"
        book.save(file)
    else:
        from xlsxwriter import Workbook as Writer

        book = Writer(file, {"in_memory": True})
        sheet = book.add_worksheet("Sheet")
        for (row, column), value in table.items():
            write = sheet.write_string if isinstance(value, str) else sheet.write
            write(row, column, value)
        book.close()
    same_as_calamine(file.getvalue())


def test_lone_blanks_are_kept_which_calamine_drops(tmp_path):
    book = openpyxl.Workbook()
    book.active["B1"] = " "
    book.save(tmp_path / "b.xlsx")
    assert Workbook(tmp_path / "b.xlsx").tab("Sheet").others == {(0, 1): " "}


def same_as_calamine(content):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "b.xlsx"
        path.write_bytes(content)
        book = CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            same_tab(Workbook(path).tab(name), by_calamine(book.get_sheet_by_name(name)).tab(name))


FORMS = {  # of the same three rows of cells
    "plain": '<row r="2"><c r="B2"><v>1.5</v></c><c r="C2"><v>-2</v></c><c r="D2"><v>3e-5</v></c></row>'
    '<row r="4"><c r="A4" t="str"><v>x</v></c><c r="B4" t="b"><v>1</v></c></row>',
    "no addresses after the first": '<row r="2"><c r="B2" s="1"><v>1.5</v></c><c s="1"><v>-2</v></c>'
    '<c s="1"><v>3e-5</v></c></row><row r="4"><c t="str"><v>x</v></c><c t="b"><v>1</v></c></row>',
    "no rows' numbers": "<row/><row><c/><c><v>1.5</v></c><c><v>-2</v></c><c><v>3e-5</v></c></row><row></row>"
    '<row><c t="str"><v>x</v></c><c t="b"><v>1</v></c></row>',
    "attributes turned": '<row spans="1:4" r="2"><c s="1" r="B2" t="n"><v>1.5</v></c><c t="n" r="C2"><v>-2</v></c>'
    '<c cm="1" r="D2"><v>3e-5</v></c></row><row r="4"><c t="str" r="A4"><v>x</v></c><c t="b" r="B4"><v>1</v></c></row>',
    "inline texts and comments": '<row r="2"><c r="B2"><!-- <v>7</v> --><v>1.5</v></c><c r="C2"><v>-2</v></c><c r="D2">'
    '<v>3e-5</v></c></row><row r="4"><c r="A4" t="inlineStr"><is><r><t>x</t></r></is></c><c r="B4" t="b"><v>1</v></c>'
    "</row>",
    "over lines": '\r\n<row r="2" >\n <c r="B2" >\n<v>1.5</v></c>\n<c r="C2"><v>-2</v></c>\n<c r="D2"><v>3e-5</v>'
    '\n</c></row>\n<row r="4">\n<c r="A4" t="str"><v>x</v></c>\n<c r="B4" t="b"><v>1</v></c>\n</row>\n',
    "formulas": '<row r="2"><c r="B2"><f>SUM(A1,"&lt;")</f><v>1.5</v></c><c r="C2"><f t="array" ref="C2:D2">A1</f>'
    '<v>-2</v></c><c r="D2"><v>3e-5</v></c></row><row r="4"><c r="A4" t="str"><f>A1&amp;A1</f><v>x</v></c>'
    '<c r="B4" t="b"><f>A1'
    "</f><v>1</v></c></row>",
    "escapes": '<row r="2"><c r="B2"><v>&#49;.5</v></c><c r="C2"><v>-2</v></c><c r="D2"><v>3e-5</v></c></row>'
    '<row r="4"><c r="A4" t="str"><v>&#x78;</v></c><c r="B4" t="b"><v>1</v></c></row>',
}


@pytest.mark.parametrize("stretch", [1, 30, 1 << 20])
@pytest.mark.parametrize("prefix", ["", "x:"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_cells_are_read_from_any_way_of_writing_them(form, encoding, prefix, stretch, monkeypatch):
    monkeypatch.setattr(xlsx, "STRETCH", stretch)
    namespace = f"xmlns{':' * bool(prefix)}{prefix[:-1]}"
    body = FORMS[form].replace("</", "<\0").replace("<", f"<{prefix}").replace(f"{prefix}\0", f"/{prefix}")
    body = body.replace(f"<{prefix}!--", "<!--")
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><{prefix}worksheet {namespace}="http://schemas.openxmlformats.org/'
        f'spreadsheetml/2006/main"><{prefix}sheetData>{body}</{prefix}sheetData></{prefix}worksheet>'
    )
    tab = xlsx.read_cells(BytesIO(text.encode(encoding)), (0, 0), list).tab("tab")
    expected = np.full((4, 4), np.nan)
    expected[1, 1:] = 1.5, -2, 3e-5
    np.testing.assert_array_equal(tab.numbers, expected)
    assert tab.others == {(3, 0): "x", (3, 1): True}


LABELLED = '<row r="1"><c r="A1" s="1" t="s"><v>0</v></c><c r="C1"><v>0.5</v></c>'
LETTERS = [column_letters(column) for column in range(53)]
OWN_ROWS = {
    "addresses": "".join(f'<c r="{letters}1"><v>1.25</v></c>' for letters in LETTERS[3:]),
    "no addresses": "<c><v>1.25</v></c>" * 50,
    "a style": "".join(f'<c r="{letters}1" s="12"><v>1.25</v></c>' for letters in LETTERS[3:]),
}


@pytest.mark.parametrize("cells", OWN_ROWS)
def test_a_row_of_our_own_writer_needs_no_parser(cells, monkeypatch):
    """The way that costs least is taken: rows of labels and numbers are cut by pattern."""
    sheet = xlsx.Sheet(xlsx.Cells(), lambda: ["label"])
    monkeypatch.setattr(xlsx.Sheet, "xml", lambda *_: pytest.fail("the parser is asked"))
    sheet.rows([f"{LABELLED}{OWN_ROWS[cells]}".encode()])
    assert sheet.cells.others == {(0, 0): "label"}
    np.testing.assert_array_equal(sheet.cells.tab("").numbers[0, 2:], [0.5] + [1.25] * 50)


@given(
    kept=st.lists(st.booleans(), min_size=30, max_size=60),
    styles=st.lists(st.sampled_from(["", ' s="1"', ' s="2"']), min_size=60, max_size=60),
    numbers=st.lists(st.sampled_from(["1", "-2.5", "1E-7", "0.125"]), min_size=60, max_size=60),
    row=st.sampled_from([1, 2, 12]),
    elsewhere=st.sampled_from([None, None, 3]),
)
def test_rows_of_addressed_cells_are_read_where_they_say_whatever_is_left_out(kept, styles, numbers, row, elsewhere):
    """One after the other, with gaps, in several styles, one perhaps of another row: as the parser alone reads them."""
    columns = [column for column, keep in enumerate(kept) if keep]
    cells = [
        f'<c r="{LETTERS[column % 53]}{elsewhere if elsewhere and i == 3 else row}"{styles[i]}><v>{numbers[i]}</v></c>'
        for i, column in enumerate(columns)
        if column < 53
    ]
    text = f'<worksheet><sheetData><row r="{row}">{"".join(cells)}</row></sheetData></worksheet>'.encode()
    by_pattern = xlsx.read_cells(BytesIO(text), (0, 0), list).tab("tab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xlsx.Sheet, "_plain_row", lambda *_: False)
        by_parser = xlsx.read_cells(BytesIO(text), (0, 0), list).tab("tab")
    np.testing.assert_array_equal(by_pattern.numbers, by_parser.numbers)


def test_errors_and_formulas_without_a_value_are_said(tmp_path):
    book = openpyxl.Workbook()
    book.active["B1"] = "=1+1"
    book.active["C1"] = "#NUM!"
    book.active["C1"].data_type = "e"
    book.save(tmp_path / "b.xlsx")
    tab = Workbook(tmp_path / "b.xlsx").tab("Sheet")
    assert tab.others == {(0, 1): UNSAVED, (0, 2): "#NUM!"}
    assert np.isnan(tab.numbers).all()


@pytest.mark.office
@pytest.mark.parametrize("to", ["xlsx", "ods"])
def test_errors_logical_values_and_texts_are_read_as_libreoffice_saves_them(tmp_path, soffice, to):
    book = openpyxl.Workbook()
    for column, value in enumerate(["=1/0", "=NA()", True, "a\nb  c ' <&> é", '="a"&"b"', "=1+1"], start=1):
        book.active.cell(2, column + 1, value)
    book.save(tmp_path / "b.xlsx")
    tab = Workbook(soffice(to, tmp_path / "b.xlsx", tmp_path / "saved")).tab("Sheet")
    texts = {(1, 1): "#DIV/0!", (1, 2): "#N/A", (1, 4): "a\nb  c ' <&> é", (1, 5): "ab"}
    assert tab.others == texts | ({(1, 3): True} if to == "xlsx" else {})
    assert tab.numbers[1, 6] == 2


def test_a_damaged_tab_is_one_line(tmp_path):
    path = rewritten(formatted(tmp_path / "b.xlsx"), lambda content: content.replace(b"</c></row>", b"</d></row>", 1))
    with pytest.raises(DumpError, match="tab 'Sheet' can't be read") as error:
        Workbook(path).tab("Sheet")
    assert "\n" not in str(error.value)
