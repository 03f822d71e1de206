"""A CSV of ours that any program saved again is read as the same cells."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt.diff import diff
from sheetgpt.diff.sides import FolderSide, RunSide
from sheetgpt.errors import DumpError
from sheetgpt.files.labelled import read_cells, read_numbers, texts_of
from sheetgpt.model import load_model
from sheetgpt.run.edit import parse, read_whole

MODEL = load_model()
PROMPT = 'Mike is quick; he "moves", 1,5 or\t2;5'  # its tokens are separators, quotation marks and numbers
TRACE = MODEL.run(PROMPT)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
MATRICES = st.integers(1, 6).flatmap(
    lambda columns: st.lists(st.lists(FINITE, min_size=columns, max_size=columns), min_size=1, max_size=6)
)
TEXTS = st.one_of(
    st.sampled_from([";", ",", '"', "", "\t", "\n", "a,b", "a;b", 'a"b', " ", "NaN", "it's"]),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=4),
).filter(lambda text: not text[:1].isdigit())


@dataclass(frozen=True)
class Habits:
    """How a program saves a CSV."""

    separator: str = ","
    decimal: str = "."
    tail: int = 0  # blank cells behind each row
    blank_rows: int = 0
    encoding: str = "utf-8"
    line_end: str = "\r\n"
    quoting: int = csv.QUOTE_MINIMAL

    def save(self, rows, path):
        width = max(map(len, rows))
        rows = [[*map(self.cell, row), *[""] * (self.tail + width - len(row))] for row in rows]
        text = io.StringIO(newline="")
        out = csv.writer(text, delimiter=self.separator, lineterminator=self.line_end, quoting=self.quoting)
        out.writerows([*rows, *[[""] * (width + self.tail)] * self.blank_rows])
        path.write_bytes(text.getvalue().encode(self.encoding))
        return path

    def cell(self, value):
        return repr(value).replace(".", self.decimal) if isinstance(value, float) else value


HABITS = st.builds(
    Habits,
    separator=st.sampled_from(";\t"),
    decimal=st.sampled_from(",."),
    tail=st.integers(0, 2),
    blank_rows=st.integers(0, 2),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    line_end=st.sampled_from(["\r\n", "\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
) | st.builds(
    Habits,
    tail=st.integers(0, 2),
    blank_rows=st.integers(0, 2),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)


def labelled(rows):
    """With labels around the cells, which hold separators themselves."""
    return [["", *(f"{i} ;,\t" for i in range(max(map(len, rows))))], *([f'{i} "', *row] for i, row in enumerate(rows))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved.csv"


@settings(max_examples=200, deadline=None)
@given(matrix=MATRICES, habits=HABITS, labels=st.booleans())
def test_numbers_are_read_whatever_a_program_made_of_the_file(matrix, habits, labels, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    if not labels and len(matrix[0]) == 1:  # without a label nothing separates
        habits = Habits()
    found = read_numbers(habits.save(labelled(matrix) if labels else matrix, path))
    np.testing.assert_array_equal(found.numbers, matrix)
    assert (found.labels, found.others, found.blanks) == (int(labels), {}, False)


@settings(max_examples=200, deadline=None)
@given(table=st.lists(st.lists(TEXTS, min_size=1, max_size=5), min_size=1, max_size=4), habits=HABITS)
def test_texts_survive_too(table, habits, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "texts.csv"
    found = texts_of(read_cells(habits.save(labelled(table), path)))
    assert [row[: len(wanted)] for row, wanted in zip(found, table, strict=True)] == table
    assert not any(cell for row, wanted in zip(found, table, strict=True) for cell in row[len(wanted) :])


@pytest.mark.parametrize(
    "habits",
    [
        Habits(";", ",", encoding="utf-8-sig"),
        Habits(";", tail=3, blank_rows=2),
        Habits("\t", ",", encoding="utf-16"),
        Habits("\t"),
        Habits(tail=1, blank_rows=3),
        Habits(quoting=csv.QUOTE_ALL),
    ],
    ids=str,
)
def test_a_dump_that_was_saved_again_is_equal_to_its_run(habits, tmp_path):
    folder = TRACE.to_csv(tmp_path / "dump")
    for file in folder.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as cells:
            rows = [[number_or_text(cell) for cell in row] for row in csv.reader(cells)]
        habits.save(rows, file)
    report = diff(RunSide(TRACE), FolderSide(folder), why=False)
    assert report.equal, report.first
    assert not report.missing
    matrix = read_whole("block_0_step_4", folder / "block_0_step_4.csv", TRACE.sizes)
    np.testing.assert_array_equal(matrix, TRACE.array("block_0_step_4"))


def number_or_text(cell):
    """A number with decimals as a program takes it, which writes it in its own way."""
    try:
        return float(cell) if "." in cell else cell
    except ValueError:
        return cell


@pytest.mark.office
@pytest.mark.parametrize("separator", [44, 59, 9])
def test_a_dump_that_libreoffice_saved_again_is_equal_to_its_run(separator, tmp_path, soffice):
    trace = MODEL.run("Mike is quick. He moves")
    folder = trace.to_csv(tmp_path / "dump")
    kept = [folder / f"{name}.csv" for name in ("block_0_step_4", "block_1_step_7", "final_tokens", "logits")]
    for file in kept:
        saved = soffice(f"csv:Text - txt - csv (StarCalc):{separator},34,76,1", file, tmp_path)
        shutil.move(saved, file)
    report = diff(RunSide(trace), FolderSide(folder), why=False, only=",".join(file.stem for file in kept))
    assert report.equal, report.first


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (";0;1\n0;1.234,5;-12.345.678,25", [[1234.5, -12345678.25]]),
        (',0,1\n0,"1,234.5",2', [[1234.5, 2]]),
        (";0;1\n0;1 234,5;1\u00a0234,5", [[1234.5, 1234.5]]),
        (";0\n0;1,5E-05", [[1.5e-5]]),
    ],
)
def test_thousands_may_be_apart_where_that_leaves_no_doubt(path, text, numbers):
    path.write_text(text, encoding="utf-8")
    found = read_numbers(path)
    np.testing.assert_array_equal(found.numbers, numbers)
    assert not found.others


@pytest.mark.parametrize("text", ["1.234.567", "1,2,3", "12 3", "1.2.3,4", "5%", "2021-01-01", "--1"])
def test_what_may_be_another_number_is_none(path, text):
    path.write_text(f";0;1\n0;{text};2\n", encoding="utf-8")
    assert read_numbers(path).others == {(0, 0): text}


def test_rows_that_are_short_are_torn(path):
    path.write_text(",0,1\n0,1,2\n1,3\n", encoding="utf-8")
    with pytest.raises(DumpError, match="rows of different lengths"):
        read_numbers(path)


def test_numbers_with_blanks_between_are_said(path):
    np.savetxt(path, [[1.5, -2], [3, 4]])
    with pytest.raises(DumpError, match="row 1 has several numbers in one cell .*: separate them by commas"):
        read_numbers(path)
    with pytest.raises(DumpError, match="several numbers in one cell"):
        parse(f"block_0_step_4={path}", TRACE.sizes)


def test_a_quotation_mark_that_is_not_closed_is_said_with_its_line(path):
    path.write_text(',0,1\nTokens,a,b\nIDs,",2\n', encoding="utf-8")
    with pytest.raises(DumpError, match=r"saved\.csv, line 3 can't be read"):
        read_cells(path)
