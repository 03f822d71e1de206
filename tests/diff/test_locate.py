"""Stages are found by their numbers in any layout, exactly, nearly or not at all; equal candidates are refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import xlsxwriter
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt import ops
from sheetgpt.cli import main
from sheetgpt.commands.locate import command
from sheetgpt.diff import diff
from sheetgpt.diff.grain import Grain, Kind
from sheetgpt.diff.locate import locate, map_rows
from sheetgpt.diff.locate.pattern import Pattern
from sheetgpt.diff.locate.search import SearchedTab, search
from sheetgpt.diff.sides import ArraysSide, RunSide, WorkbookSide
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model
from sheetgpt.models.heads import padded, under_each_other
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.reading.maps import write_map
from sheetgpt.workbook.reading.open import Tab, Workbook
from workbooks import contents, write_xlsb

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def run(trace):
    return RunSide(trace)


def put(sheet, row, column, matrix):
    for number, numbers in enumerate(matrix):
        for place, value in enumerate(numbers):
            if not np.isnan(value):
                sheet.write_number(row + number, column + place, value)


class Sheets:
    """A workbook in the making: matrices anywhere, and where they were put."""

    def __init__(self, path):
        self.path, self.book, self.sheets, self.places = path, xlsxwriter.Workbook(path), {}, {}

    def put(self, name, tab, row, column, matrix, *, transposed=False):
        if tab not in self.sheets:
            self.sheets[tab] = self.book.add_worksheet(tab)
        shown = matrix.T if transposed else matrix
        put(self.sheets[tab], row, column, shown)
        self.places[name] = (
            tab,
            f"{cell(row, column)}:{cell(row + shown.shape[0] - 1, column + shown.shape[1] - 1)}",
            transposed,
        )

    def text(self, tab, row, column, text):
        self.sheets[tab].write(row, column, text)

    def close(self):
        self.book.close()
        return Workbook(self.path)


def places(found):
    return {name: (p.area.tab, p.area.range(), p.transposed) for name, p in found.items() if p}


# ------------------------------------------------------------------------------------------------ scrambled layouts


def scrambled(trace, path, seed):
    """Every matrix stage somewhere: tabs, offsets, transposition, labels or none, other numbers around."""
    rng = np.random.default_rng(seed)
    sheets, rows = Sheets(path), {}
    names = [name for name in trace if not trace.step(name).is_text]
    for name in names:
        tab = f"tab {rng.integers(4)}"
        matrix, turned = trace.array(name), bool(rng.integers(2))
        if name.endswith("_step_7"):
            matrix = padded(matrix, trace.config.n_head, trace.config.head_size)
        row, column = rows.get(tab, 0) + int(rng.integers(1, 6)), int(rng.integers(0, 9))
        if rng.integers(2) and column > 0:
            sheets.put(
                "labels", tab, row - 1, column, np.arange(float((matrix.T if turned else matrix).shape[1]))[None]
            )
            sheets.text(tab, row - 1, column - 1, name)
        sheets.put(name, tab, row, column, matrix, transposed=turned)
        height = (matrix.T if turned else matrix).shape[0]
        rows[tab] = row + height
        if rng.integers(2):  # other numbers right under it, and beside it
            sheets.put("noise", tab, rows[tab], 0, rng.standard_normal((2, 30)))
            sheets.put(
                "noise", tab, row, column + (matrix.T if turned else matrix).shape[1], rng.standard_normal((1, 3))
            )
            rows[tab] += 2
    return sheets, names


@pytest.mark.parametrize("seed", range(4))
def test_every_stage_is_found_exactly_where_a_scrambled_workbook_holds_it(seed, trace, run, tmp_path):
    sheets, names = scrambled(trace, tmp_path / "foreign.xlsx", seed)
    found = locate(run, sheets.close())
    assert all(place.fit == "exactly" for place in found.values())
    twins = {"position_embeddings", *(n for n in names if n.endswith(("_step_1", "_step_16")))}
    for name in names:
        if name not in twins:
            assert places(found)[name] == sheets.places[name], name
    assert {places(found)[name] for name in twins} == {sheets.places[name] for name in twins}
    write_map(tmp_path / "map.csv", map_rows(found))
    report = diff(run, WorkbookSide(sheets.path, tmp_path / "map.csv"), atol=1e-13, rtol=1e-13)
    assert report.equal
    assert len(report.stages) - len(report.missing) == len(names)


def test_an_xlsb_is_searched_too(trace, run, tmp_path):
    sheets, _ = scrambled(trace, tmp_path / "foreign.xlsx", 9)
    book = sheets.close()
    binary = write_xlsb(tmp_path / "foreign.xlsb", contents(sheets.path), {})
    assert places(locate(run, Workbook(binary))) == places(locate(run, book))


def test_our_own_workbook_is_found_where_its_names_say(trace, run, tmp_path):
    path = trace.to_excel(tmp_path / "ours.xlsx")
    book = Workbook(path)
    found = locate(run, book)
    for name, place in found.items():
        assert (place.area,) == book.names[name], name


LAYOUTS = ("ours", "padded", "padded, gaps blank", "stacked")
BY_HEAD = ("block_0_step_7", "block_1_step_6", "block_0_step_6", "block_1_step_7")


def laid_out(matrix, layout, config):
    if layout.startswith("padded"):
        wide = padded(matrix, config.n_head, config.head_size)
        return np.where(wide == 0, np.nan, wide) if "blank" in layout else wide
    return under_each_other(matrix, config.n_head) if layout == "stacked" else matrix


@pytest.mark.parametrize("turn", range(len(LAYOUTS)))
def test_heads_are_found_in_every_layout(turn, trace, run, tmp_path):
    """Each stage once in each layout; of the stages that have one, half are transposed."""
    sheets = Sheets(tmp_path / "h.xlsx")
    for number, name in enumerate(BY_HEAD):
        shown = laid_out(trace.array(name), LAYOUTS[(turn + number) % len(LAYOUTS)], trace.config)
        transposed = bool((number + turn // 2) % 2)
        sheets.put(name, f"heads {number}", 3, 2 + 9 * number, shown, transposed=transposed)
    found = locate(run, sheets.close())
    assert places(found) == sheets.places
    write_map(tmp_path / "map.csv", map_rows(found))
    assert diff(run, WorkbookSide(sheets.path, tmp_path / "map.csv"), rtol=0).equal


@pytest.mark.parametrize("marks", [(-1e10, -1e9 - 1), (np.finfo(np.float32).min, np.nan)])
def test_masked_cells_may_hold_any_mark_or_nothing(marks, trace, run, tmp_path):
    sheets = Sheets(tmp_path / "m.xlsx")
    for name, mark in zip(("block_0_step_6", "block_1_step_6"), marks, strict=True):
        scores = trace.array(name).copy()
        scores[scores < -1e9] = mark
        sheets.put(name, name, 5, 5, scores)
    found = locate(run, sheets.close())
    assert places(found) == sheets.places
    assert {found[name].fit for name in sheets.places} == {"exactly"}


def test_the_queries_are_found_inside_step_4_only_where_they_stand_nowhere_else(trace, run, tmp_path):
    name = "block_0_step_5_queries"
    sheets = Sheets(tmp_path / "one.xlsx")
    sheets.put("block_0_step_4", "a", 0, 0, trace.array("block_0_step_4"))
    assert places(locate(run, sheets.close()))[name] == ("a", "A1:BL6", False)
    sheets = Sheets(tmp_path / "two.xlsx")
    sheets.put("block_0_step_4", "a", 0, 0, trace.array("block_0_step_4"))
    sheets.put(name, "a", 20, 3, trace.array(name))
    assert places(locate(run, sheets.close()))[name] == sheets.places[name]


# ------------------------------------------------------------------------------------------------ several candidates


def test_of_candidates_that_differ_in_the_9th_digit_the_exact_one_is_taken(trace, run, tmp_path):
    rng = np.random.default_rng(0)
    sheets = Sheets(tmp_path / "many.xlsx")
    digits = {"block_1_step_9": 1e-9, "block_0_step_9": 1e-8, "block_1_step_3": 1e-5}
    for name, digit in digits.items():
        matrix = trace.array(name)
        for number in range(5):
            decoy = matrix.copy()
            decoy[rng.integers(6), rng.integers(64)] *= 1 + digit * 3
            sheets.put(f"decoy {number}", f"a {name}", 10 * number, number, decoy)
        sheets.put(name, f"b {name}", 3, 3, matrix)
        sheets.put("another", f"c {name}", 3, 3, matrix * (1 + digit))
    found = locate(run, sheets.close())
    for name in digits:
        assert places(found)[name] == sheets.places[name]
        assert found[name].fit == "exactly"


def test_of_near_candidates_the_clearly_nearest_is_taken_and_called_near(trace, run, tmp_path):
    name = "block_1_step_9"
    sheets = Sheets(tmp_path / "near.xlsx")
    sheets.put(name, "a", 0, 0, trace.array(name) * (1 + 1e-9))
    sheets.put("further", "a", 20, 0, trace.array(name) * (1 + 1e-7))
    found = locate(run, sheets.close())
    assert places(found)[name] == sheets.places[name]
    assert found[name].fit == "nearly"
    assert found[name].largest == pytest.approx(1e-9 * np.abs(trace.array(name)).max(), rel=1e-3)


def test_of_exact_copies_the_first_is_taken_and_the_others_are_said(trace, run, tmp_path):
    sheets = Sheets(tmp_path / "twice.xlsx")
    factors = {"block_1_step_9": 1.0, "block_0_step_9": 1 + 1e-7}
    for number, (name, factor) in enumerate(factors.items()):
        sheets.put("one", "a", 20 * number, 0, trace.array(name) * factor)
        sheets.put("two", "b", 20 * number + 2, 1, trace.array(name) * factor)
    book = sheets.close()
    found, of_one = locate(run, book), locate(run, book, tabs=["b"])
    for name, first, second in zip(factors, ("A1:BL6", "A21:BL26"), ("B3:BM8", "B23:BM28"), strict=True):
        assert places(found)[name] == ("a", first, False)
        assert found[name].note.startswith("2 equal places, in the workbook's order")
        assert places(of_one)[name] == ("b", second, False)


def test_places_that_fit_equally_and_differ_are_refused_and_may_be_chosen(trace, run, tmp_path):
    name = "block_1_step_9"
    sheets = Sheets(tmp_path / "two.xlsx")
    sheets.put("one", "a", 0, 0, trace.array(name) * (1 + 1e-7))
    sheets.put("two", "b", 2, 1, trace.array(name) * (1 - 1e-7))
    book = sheets.close()
    with pytest.raises(DumpError, match=r"block_1_step_9 fits equally well at a!A1:BL6 and b!B3:BM8: name the tabs"):
        locate(run, book)
    assert places(locate(run, book, tabs=["b"]))[name] == ("b", "B3:BM8", False)
    assert places(locate(run, book, first=True))[name] == ("a", "A1:BL6", False)


def test_a_stage_with_changed_cells_is_found_nearly_and_they_are_counted(trace, run, tmp_path):
    name = "block_0_step_14"
    matrix = trace.array(name).copy()
    matrix[2, 3] += 1
    matrix[4, 200] = np.nan
    sheets = Sheets(tmp_path / "changed.xlsx")
    sheets.put(name, "a", 7, 1, matrix)
    found = locate(run, sheets.close())[name]
    assert (found.fit, found.off, found.area) == ("nearly", 2, Area("a", 7, 1, 6, 256))


def test_what_is_not_there_is_not_found(trace, run, tmp_path):
    sheets = Sheets(tmp_path / "other.xlsx")
    sheets.put("block_0_step_9", "a", 0, 0, trace.array("block_0_step_9"))
    sheets.put("noise", "a", 20, 0, np.random.default_rng(1).standard_normal((50, 100)))
    found = locate(run, sheets.close())
    assert [name for name, place in found.items() if place] == ["block_0_step_9"]


def test_a_float32_run_is_found_nearly_in_a_float64_workbook(trace, tmp_path):
    sheets, _ = scrambled(trace, tmp_path / "foreign.xlsx", 3)
    single = RunSide(load_model(dtype="float32").run(PROMPT))
    book = sheets.close()
    found = locate(single, book, weights={})
    assert all(found.values())
    assert found["block_1_step_14"].fit == "nearly"
    assert found.remarks == (f"The workbook is not followed: {single.label} names no weights (give them by --weights)",)
    assert places(found)["block_1_step_14"] == sheets.places["block_1_step_14"]
    found = locate(single, book)
    assert found["block_1_step_14"].fit == "exactly"  # it follows from the workbook's own numbers
    assert not found.assumed
    assert places(found)["block_1_step_14"] == sheets.places["block_1_step_14"]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 9),
    row=st.integers(0, 12),
    column=st.integers(0, 12),
    transposed=st.booleans(),
    seed=st.integers(0, 999),
)
def test_any_matrix_is_found_at_any_place_of_a_tab_of_other_numbers(rows, columns, row, column, transposed, seed):
    rng = np.random.default_rng(seed)
    grid = rng.standard_normal((30, 40))
    grid[rng.random(grid.shape) < 0.3] = np.nan
    matrix = rng.standard_normal((rows, columns))
    shown = matrix.T if transposed else matrix
    grid[row : row + shown.shape[0], column : column + shown.shape[1]] = shown
    found = search(SearchedTab(Tab("t", grid, {})), [Pattern.of("stage", matrix)])
    exact = [(p.area.row, p.area.column) for p in found if p.fit == "exactly"]
    assert set(exact) == {(row, column)}
    if 1 not in matrix.shape:
        assert [p.transposed for p in found if p.fit == "exactly"] == [transposed]


def test_a_stage_of_zeros_has_nothing_to_be_found_by():
    assert len(Pattern.of("triangle_matrix", np.zeros((1, 1))).anchors) == 0
    assert search(SearchedTab(Tab("t", np.zeros((5, 5)), {})), [Pattern.of("s", np.zeros((2, 2)))]) == []


def test_a_mask_is_looked_for_by_its_masked_cells(trace):
    pattern = Pattern.of("triangle_matrix", trace.array("triangle_matrix"))
    assert (pattern.matrix[pattern.anchors[:, 0], pattern.anchors[:, 1]] == ops.MASKED).all()


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_writes_a_map_that_diff_reads_and_says_how_much_it_found(trace, tmp_path):
    sheets, names = scrambled(trace, tmp_path / "foreign.xlsx", 1)
    sheets.close()
    told = CliRunner().invoke(command, [f"run:{PROMPT}", str(sheets.path), "-o", str(tmp_path / "m.csv")])
    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"{len(names)} stages found exactly, 0 nearly, 0 not at all.")
    with (tmp_path / "m.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == names
    as_json = CliRunner().invoke(command, [f"run:{PROMPT}", str(sheets.path), "--json"])
    assert json.loads(as_json.output)["logits"]["fit"] == "exactly"
    with pytest.raises(SystemExit) as end:
        main(["diff", f"run:{PROMPT}", str(sheets.path), "--map", str(tmp_path / "m.csv")])
    assert end.value.code == 0


def test_a_workbook_of_another_prompt_is_refused_in_one_line(trace, tmp_path, capsys):
    load_model().run("Anna was calm. She speaks").to_excel(tmp_path / "other.xlsx")
    np.savez(tmp_path / "run.npz", block_0_step_9=np.random.default_rng(0).standard_normal((6, 64)))
    with pytest.raises(DumpError, match="holds no stage of"):
        locate(ArraysSide(tmp_path / "run.npz"), Workbook(tmp_path / "other.xlsx"))
    with pytest.raises(SystemExit) as end:
        main(["locate", f"run:{PROMPT}", str(tmp_path / "nowhere.xlsx")])
    assert end.value.code == 2
    assert "nowhere.xlsx does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("printed", [Grain(Kind.DECIMALS, 2), Grain(Kind.DECIMALS, 3), Grain(Kind.DIGITS, 3)])
def test_stages_that_are_printed_with_few_digits_are_found_within_half_a_unit(printed, trace, run, tmp_path):
    names = ["token_embeddings", "block_0_step_4", "block_0_step_6", "block_1_step_10", "last_hidden_state", "logits"]
    sheets = Sheets(tmp_path / "book.xlsx")
    for row, name in enumerate(names):
        sheets.put(name, name, 3 + row, 2, printed.rounded(trace.array(name)))
    sheets.book.close()
    found = locate(run, Workbook(sheets.path), first=True)
    for row, name in enumerate(names):
        place = found[name]
        assert (place.area.tab, place.area.row, place.area.column, place.off) == (name, 3 + row, 2, 0)
    other = RunSide(load_model().run("Anna is slow. She runs"))
    with pytest.raises(DumpError, match="holds no stage"):
        locate(other, Workbook(sheets.path), first=True)
