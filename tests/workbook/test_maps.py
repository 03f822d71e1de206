"""Maps: read as they were written, whatever a spreadsheet program made of the file in between."""

from __future__ import annotations

import pytest

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.maps import COLUMNS, Mapped, read_map, write_map

TABS = ["one", "my tab"]
ROWS = [("embeddings", "one", "C5:BN12", "no", "12 of 12"), ("logits", "my tab", "$C$5", "yes", "")]
EXPECTED = {"embeddings": Mapped((Area("one", 4, 2, 8, 64),)), "logits": Mapped((Area("my tab", 4, 2, 1, 1),), True)}


@pytest.mark.parametrize("change", [str, lambda text: text.replace(",", ";"), lambda text: "\ufeff" + text + ",,,,\n"])
def test_a_map_is_read_as_it_was_written(tmp_path, change):
    write_map(tmp_path / "map.csv", [(*COLUMNS, "found"), *ROWS])
    text = (tmp_path / "map.csv").read_text(encoding="utf-8")
    (tmp_path / "map.csv").write_text(change(text), encoding="utf-8")
    assert read_map(tmp_path / "map.csv", TABS) == EXPECTED


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,two,C5,no", "row 2: the workbook has no tab 'two'; its tabs are one, my tab"),
        ("a,one,C0,no", "row 2: 'C0' is no range such as C5:BN12"),
        ("a,one,XFE1,no", "row 2: 'XFE1' is no range such as C5:BN12"),
        ("a,one,C5,perhaps", "row 2: transposed is yes or no, not 'perhaps'"),
        ("a,one,C5,no\na,one,C6,no", "row 3: a stands there twice: remove one"),
    ],
)
def test_a_wrong_row_is_told_in_one_line(tmp_path, line, message):
    (tmp_path / "map.csv").write_text(f"{','.join(COLUMNS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(DumpError) as error:
        read_map(tmp_path / "map.csv", TABS)
    assert str(error.value) == f"{tmp_path / 'map.csv'}, {message}"


def test_a_map_without_its_columns_is_told_what_a_map_begins_with(tmp_path):
    (tmp_path / "map.csv").write_text("name,place\n", encoding="utf-8")
    with pytest.raises(DumpError, match="has no column 'stage': a map begins with stage,sheet,range,transposed"):
        read_map(tmp_path / "map.csv", TABS)
    with pytest.raises(DumpError, match="`sheetgpt locate` writes one"):
        read_map(tmp_path / "nowhere.csv", TABS)
