"""Maps: read as they were written, whatever a spreadsheet program made of the file in between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import Area, parse_range
from sheetgpt.workbook.reading.maps import COLUMNS, CUTS, Mapped, read_map, write_map
from sheetgpt.workbook.reading.open import Tab
from sheetgpt.workbook.reading.pieces import Pieces
from workbooks import InMemory

TABS = ["one", "my tab"]
ROWS = [("embeddings", "one", "C5:BN12", "no", "12 of 12"), ("logits", "my tab", "$C$5", "yes", "")]
EXPECTED = {
    "embeddings": (Mapped((Area("one", 4, 2, 8, 64),)),),
    "logits": (Mapped((Area("my tab", 4, 2, 1, 1),), True),),
}


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
        ("a,one,C5:D6,no,1\na,one,C6:D7,no,1", "row 3: a stands there twice: remove one"),
        ("a,one,C5:D6,no,,,0-1\na,one,C6:D7,no,,,1-2", "row 3: a stands there twice: remove one"),
        ("a,one,C5:D6,no,one", "row 2: head is a number such as 0, not 'one'"),
        ("a,one,C5:D6,no,-1", "row 2: head is a number such as 0, not '-1'"),
        ("a,one,C5:D6,no,,3-2", "row 2: rows is counted from 0, such as 0-15, not '3-2'"),
        ("a,one,C5:D6,no,,0-2", "row 2: rows 0-2 are 3 and the range has 2: correct one of them"),
        ("a,one,C5:E6,yes,,,0-2", "row 2: columns 0-2 are 3 and the range has 2: correct one of them"),
        ("a,one,C5:D6,no,0,,0-1", "row 2: a piece is one head, or a span of columns: give head or columns"),
    ],
)
def test_a_wrong_row_is_told_in_one_line(tmp_path, line, message):
    (tmp_path / "map.csv").write_text(f"{','.join(COLUMNS + CUTS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(DumpError) as error:
        read_map(tmp_path / "map.csv", TABS)
    assert str(error.value) == f"{tmp_path / 'map.csv'}, {message}"


def test_a_map_without_its_columns_is_told_what_a_map_begins_with(tmp_path):
    (tmp_path / "map.csv").write_text("name,place\n", encoding="utf-8")
    with pytest.raises(DumpError, match="has no column 'stage': a map begins with stage,sheet,range,transposed"):
        read_map(tmp_path / "map.csv", TABS)
    with pytest.raises(DumpError, match="`sheetgpt locate` writes one"):
        read_map(tmp_path / "nowhere.csv", TABS)


def cuts(count, rng):
    """From 0 to the count, cut at some places."""
    return [0, *sorted((rng.permutation(count - 1) + 1)[: rng.integers(0, count)].tolist()), count]


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 7), columns=st.integers(1, 9), seed=st.integers(0, 999), missing=st.booleans())
def test_pieces_anywhere_are_put_together_as_the_matrix_that_they_were_cut_from(rows, columns, seed, missing):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((rows, columns))
    row_cuts, column_cuts = (
        [0, *sorted(rng.choice(n - 1, rng.integers(0, n), replace=False) + 1), n] for n in (rows, columns)
    )
    grid, parts, at = np.full((60, 200), np.nan), [], 0
    for top, bottom in pairwise(row_cuts):
        for first, last in pairwise(column_cuts):
            turned = bool(rng.integers(2))
            piece = matrix[top:bottom, first:last].T if turned else matrix[top:bottom, first:last]
            grid[3 : 3 + piece.shape[0], at : at + piece.shape[1]] = piece
            parts.append(
                Mapped((Area("t", 3, at, *piece.shape),), turned, None, range(top, bottom), range(first, last))
            )
            at += piece.shape[1] + int(rng.integers(3))
    held = Pieces(tuple(parts[missing:]), matrix.shape) if parts[missing:] else Pieces(tuple(parts))
    numbers, others = held.read(InMemory({"t": Tab("t", grid, {})}))
    there = np.ones(matrix.shape, bool) if held.absent is None else ~held.absent
    assert np.array_equal(numbers[there], matrix[there])
    assert np.isnan(numbers[~there]).all()
    assert not others
    for row, column in np.argwhere(there).tolist():
        place = parse_range(held.place(row, column).removeprefix("t!"), "t")
        assert grid[place.row, place.column] == matrix[row, column]
