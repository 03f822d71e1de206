"""Reports on the terminal, as JSON, as a workbook, as a picture."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree as ET

import numpy as np
import openpyxl
import pandas as pd
import pytest

from conftest import require
from sheetgpt.commands.tables import as_text
from sheetgpt.errors import LensError
from sheetgpt.lens import tables
from sheetgpt.lens.plot import write_plot
from sheetgpt.lens.tables import Look, Report, Table
from sheetgpt.lens.workbook import write_workbook

TOKENS = ["Mike", " is", ".\n", " $x$"]
NOTE = "What the numbers mean."


@pytest.fixture
def report():
    """Every look, labels of one level and of two, an empty cell, odd characters."""
    positions = pd.MultiIndex.from_arrays([range(4), TOKENS], names=["position", "token"])
    layers = pd.Index(["embeddings", "block 0"], name="after")
    best = pd.DataFrame([[" quickly", "=1+1"]] * 4, positions, layers)
    shares = pd.DataFrame(np.linspace(0, 1, 8).reshape(4, 2), positions, layers)
    changes = pd.DataFrame(
        [[-1.5, 0.25, np.nan], [1e-9, 3.0, -2.0]], pd.Index([0, 1], name="block"), ["head 0", "MLP", "all"]
    )
    bars = pd.DataFrame(
        {"source": list("abcde"), "adds": [3.0, -2.0, 1.0, 0.5, 0.1]}, pd.Index(list("vwxyz"), name="part")
    )
    by_head = pd.DataFrame(
        np.eye(2, 4), pd.MultiIndex.from_arrays([[0, 0], [0, 1]], names=["block", "head"]), positions
    )
    return Report(
        "Logit lens",
        {"prompt": "Mike is.\n $x$", "token": " quickly", "logit": 0.125, "stages": ["a", "b"]},
        [
            Table("best", "The best token", best, Look.TOKENS),
            Table("probability", "Its probability", shares, Look.SHARES, texts=best, notes=(NOTE,)),
            Table("rank", "Its rank", (shares * 700).astype(int) + 1, Look.RANKS),
            Table("change", "Changes", changes, Look.DIVERGING),
            Table("parts", "Parts", bars, Look.DIVERGING, shown=2),
            Table("by_head", "By head", by_head, Look.DIVERGING),
        ],
        (NOTE,),
    )


def test_the_terminal_shows_facts_tables_and_notes_with_spaces_that_can_be_seen(report):
    lines = as_text(report).splitlines()
    assert lines[:4] == ['prompt: "Mike is.\\n $x$"', 'token: " quickly"', "logit: 0.125", "stages: a, b"]
    assert '       1  " is"   " quickly"  "=1+1"' in lines
    assert "    1  +0.000  +3.000  -2.000" in lines
    assert "    0  -1.500  +0.250" in lines
    assert "... and 3 more (--top)" in lines
    assert 'block  head  0 "Mike"  1 " is"  2 ".\\n"  3 " $x$"' in lines
    assert lines.count(NOTE) == 2


def test_json_holds_every_cell_and_label(report):
    data = report.as_data()
    assert (data["prompt"], data["logit"], data["notes"]) == ("Mike is.\n $x$", 0.125, [NOTE])
    for table, made in zip(report.tables, data["tables"], strict=True):
        assert (made["name"], made["title"]) == (table.name, table.title)
        assert np.shape(made["values"]) == table.frame.shape
    assert data["tables"][0]["rows"][1] == {"position": 1, "token": " is"}
    assert data["tables"][3]["values"][0] == [-1.5, 0.25, None]
    assert data["tables"][5]["columns"][3] == {"position": 3, "token": " $x$"}


# ------------------------------------------------------------------------------------------------ the workbook


@pytest.fixture
def book(report, tmp_path):
    return openpyxl.load_workbook(write_workbook(report, tmp_path / "lens.xlsx"))


def test_a_workbook_has_an_index_and_a_tab_a_table_and_links_that_lead_somewhere(report, book):
    assert book.sheetnames == ["index", *(table.name for table in report.tables)]
    links = [cell.hyperlink.location for sheet in book for row in sheet for cell in row if cell.hyperlink]
    assert len(links) == 2 * len(report.tables)
    for link in links:
        tab, _, address = link.rpartition("!")
        assert book[tab.strip("'")][address].value is not None


def test_a_tab_holds_the_labels_the_exact_numbers_and_the_notes(report, book):
    sheet = book["probability"]
    rows = list(sheet.iter_rows(min_row=3, values_only=True))
    labels_and_numbers = report.tables[1].frame.index, report.tables[1].frame.to_numpy()
    assert rows[0] == ("position", "token", "embeddings", "block 0")
    for row, (position, token), numbers in zip(rows[1:], *labels_and_numbers, strict=False):
        assert row == (position, token, *numbers)
    assert NOTE in [cell for row in rows for cell in row]
    assert book["best"]["D4"].value == "=1+1"
    assert book["best"]["D4"].data_type != "f"


def test_numbers_have_their_looks_colours(book):
    scales = {
        name: [rule for found in book[name].conditional_formatting for rule in found.rules] for name in book.sheetnames
    }
    assert {name for name, rules in scales.items() if rules} == {"probability", "rank", "change", "parts", "by_head"}
    ends = {float(stop.val) for rule in scales["change"] for stop in rule.colorScale.cfvo}
    assert ends == {-3.0, 0.0, 3.0}


def test_a_wide_table_is_read_once_whatever_is_made_of_it(tmp_path, monkeypatch):
    require("matplotlib", "plot")
    reads, read = [], tables.plain
    monkeypatch.setattr(tables, "plain", lambda value: reads.append(value) or read(value))
    wide = Table("wide", "Wide", pd.DataFrame(np.eye(3, 200)), Look.DIVERGING)
    write_workbook(Report("Wide", {}, [wide]), tmp_path / "wide.xlsx")
    write_plot(Report("Wide", {}, [wide]), tmp_path / "wide.png")
    assert wide.cells() == np.eye(3, 200).tolist()
    assert sum(isinstance(one, float) for one in reads) == wide.frame.size


def test_a_tab_prints_its_labels_on_every_page_on_one_width(book):
    for sheet in book.worksheets[1:]:
        assert sheet.print_title_rows == "$1:$3"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert sheet.freeze_panes is not None


# ------------------------------------------------------------------------------------------------ pictures


def test_a_picture_is_a_png_or_an_svg_with_every_label_in_it(report, tmp_path):
    require("matplotlib", "plot")
    from matplotlib import image

    assert image.imread(write_plot(report, tmp_path / "lens.png")).shape[2] == 4
    tree = ET.fromstring(write_plot(report, tmp_path / "lens.svg").read_text(encoding="utf-8"))
    assert tree.tag.endswith("svg")
    comments = re.findall(r"<!-- (.*?) -->", (tmp_path / "lens.svg").read_text(encoding="utf-8"))
    assert {"Its probability", "Changes", "Parts", "head 0", "-1.500", "block head", '3 " $x$"'} <= set(comments)


def test_the_same_report_is_the_same_picture(report, tmp_path):
    require("matplotlib", "plot")
    one, two = (write_plot(report, tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert one == two


def test_another_ending_is_refused_and_nothing_is_left(report, tmp_path):
    with pytest.raises(LensError, match=r"a picture ends in \.png or \.svg"):
        write_plot(report, tmp_path / "lens.pdf")
    assert list(tmp_path.iterdir()) == []


def test_where_matplotlib_is_missing_the_extra_is_named(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LensError, match=r"pip install 'sheetgpt\[plot\]'"):
        write_plot(report, tmp_path / "lens.png")


def test_a_picture_that_can_not_be_written_is_one_line(report, tmp_path):
    require("matplotlib", "plot")
    (tmp_path / "file").touch()
    with pytest.raises(LensError, match="can't write"):
        write_plot(report, tmp_path / "file" / "lens.png")
