"""A changed cell is found, with its address on both sides, in every format; equal runs are equal in every layout."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from command_line import sheetgpt_here
from sheetgpt.cli import main
from sheetgpt.commands.diff import as_text, command
from sheetgpt.diff import diff
from sheetgpt.diff.matrices import TOLERANCES, Tolerance, compare
from sheetgpt.diff.sides import ArraysSide, FolderSide, RunSide, WorkbookSide, open_side
from sheetgpt.diff.sides.inferred import grain_of_side, sizes_of
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model
from sheetgpt.workbook.grid import cell
from workbooks import areas_of, contents, set_cell, write_xlsb

PROMPT = "Mike is quick. He moves"
CHANGE = 0.125


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def dumps(trace, tmp_path_factory):
    """The folder that holds the run as dump/ (CSV), dump.xlsx and dump.npz."""
    folder = tmp_path_factory.mktemp("dumps")
    trace.to_csv(folder / "dump")
    trace.to_excel(folder / "dump.xlsx")
    np.savez(folder / "dump.npz", **trace.arrays)
    return folder


RUN = load_model().run(PROMPT)
MATRICES = [name for name in RUN if not RUN.step(name).is_text]


def spot(trace, name: str, seed: int = 0) -> tuple[int, int]:
    """A cell of the stage that isn't masked."""
    open_cells = np.argwhere(trace.array(name) > -1e9)
    return tuple(open_cells[np.random.default_rng([seed, len(name)]).integers(len(open_cells))].tolist())


def worst(report, name):
    return next(stage for stage in report.stages if stage.stage == name).worst


def excel_address(areas, name, row, column):
    (area,) = areas[name]
    return f"{area.tab}!{cell(area.row + row, area.column + column)}"


# ------------------------------------------------------------------------------------------------ equal runs


@pytest.mark.parametrize("left", ["dump", "dump.xlsx", "dump.npz"])
@pytest.mark.parametrize("right", ["dump", "dump.xlsx", "dump.npz"])
def test_a_run_is_equal_to_itself_in_every_format_bit_by_bit(left, right, dumps):
    report = diff(open_side(str(dumps / left)), open_side(str(dumps / right)), atol=0, rtol=0)
    assert report.equal, report.first
    assert not [stage for stage in report.missing if "npz" not in left + right]


@pytest.mark.parametrize("writer", ["to_csv", "to_excel"])
def test_the_references_head_layout_compares_with_ours(writer, trace, dumps, tmp_path):
    padded = getattr(trace, writer)(tmp_path / ("r.xlsx" if writer == "to_excel" else "r"), head_layout="reference")
    assert diff(open_side(str(dumps / "dump")), open_side(str(padded)), atol=0, rtol=0).equal


def test_heads_as_an_axis_of_their_own_compare_with_ours(trace, tmp_path):
    n_head, t = trace.config.n_head, len(trace.token_ids)
    arrays = dict(trace.arrays)
    for name in ("block_0_step_7", "block_1_step_6"):
        arrays[name] = arrays[name].reshape(t, n_head, t).swapaxes(0, 1)[None]
    arrays["logits"] = arrays["logits"][:, 0]
    np.savez(tmp_path / "port.npz", **{name: array[None] for name, array in arrays.items()})
    assert diff(RunSide(trace), ArraysSide(tmp_path / "port.npz"), atol=0, rtol=0).equal


def test_the_references_own_run_is_equal_to_ours(reference_run, shared):
    folder, _, tokens = reference_run
    run = open_side(f"run:{tokens['prompt']}", weights=folder)
    report = diff(run, ArraysSide(shared / "reference_run" / "expected.npz"), atol=1e-11, rtol=0, weights=folder)
    assert report.equal, (report.first, report.diagnosis)
    assert len(report.stages) - len(report.missing) >= 40


def test_a_changed_cell_of_the_references_heads_is_found_in_its_own_layout(reference_run, shared, tmp_path):
    folder, expected, tokens = reference_run
    changed = {name: array.copy() for name, array in expected.items()}
    changed["block_1_step_7"][8, 64 * 5 + 3] += CHANGE
    np.savez(tmp_path / "changed.npz", **changed)
    run = open_side(f"run:{tokens['prompt']}", weights=folder)
    report = diff(run, ArraysSide(tmp_path / "changed.npz"), weights=folder)
    assert report.first.stage == "block_1_step_7"
    assert report.first.worst.right_place == "block_1_step_7[8,323]"
    assert report.first.worst.column.startswith("head 5, key 3")
    assert report.diagnosis.cause == "cells"


# ------------------------------------------------------------------------------------------------ changed cells


@pytest.mark.parametrize("name", MATRICES)
def test_a_single_changed_cell_is_found_in_csv_and_npz(name, trace, dumps, tmp_path):
    row, column = spot(trace, name)
    matrix = trace.array(name).copy()
    matrix[row, column] += CHANGE
    np.savez(tmp_path / "changed.npz", **{**trace.arrays, name: matrix})
    report = diff(FolderSide(dumps / "dump"), ArraysSide(tmp_path / "changed.npz"))
    assert report.first.stage == name
    assert [stage.stage for stage in report.stages if stage.verdict == "different"] == [name]
    assert report.first.cells_out == 1
    found = report.first.worst
    assert found.right_place == f"{name}[{row},{column}]"
    assert found.left_place == f"{name}.csv!{cell(row + 1, column + 1)}"
    assert found.right - found.left == pytest.approx(CHANGE)
    assert report.first.largest_difference == pytest.approx(CHANGE)


@pytest.fixture(scope="module")
def tampered(trace, dumps, tmp_path_factory):
    """A workbook with one changed cell in every stage, saved by openpyxl: (path, stage -> address)."""
    import openpyxl

    areas, path = areas_of(dumps / "dump.xlsx"), tmp_path_factory.mktemp("tampered") / "tampered.xlsx"
    book, addresses = openpyxl.load_workbook(dumps / "dump.xlsx"), {}
    for name in MATRICES:
        row, column = spot(trace, name, seed=1)
        addresses[name] = excel_address(areas, name, row, column)
        tab, _, address = addresses[name].partition("!")
        book[tab][address] = float(trace.array(name)[row, column]) + CHANGE
    book.save(path)
    return path, addresses


def assert_found(left, path, trace, addresses):
    report = diff(left, WorkbookSide(path))
    assert report.first.stage == MATRICES[0]
    for name in MATRICES:
        row, column = spot(trace, name, seed=1)
        found = worst(report, name)
        assert found.right_place == addresses[name]
        assert found.left_place == f"{name}.csv!{cell(row + 1, column + 1)}"
        assert found.right - found.left == pytest.approx(CHANGE)


def test_changed_cells_are_found_in_an_xlsx_saved_by_openpyxl(tampered, trace, dumps):
    assert_found(FolderSide(dumps / "dump"), tampered[0], trace, tampered[1])


def test_changed_cells_are_found_in_an_xlsb(tampered, trace, dumps, tmp_path):
    path = write_xlsb(tmp_path / "t.xlsb", contents(tampered[0]), areas_of(tampered[0]))
    assert areas_of(path) == areas_of(tampered[0])
    assert_found(FolderSide(dumps / "dump"), path, trace, tampered[1])


@pytest.mark.office
@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_changed_cells_are_found_in_a_workbook_saved_by_libreoffice(suffix, tampered, trace, dumps, tmp_path, soffice):
    path = soffice(suffix, tampered[0], tmp_path)
    assert areas_of(path) == areas_of(tampered[0])
    assert_found(FolderSide(dumps / "dump"), path, trace, tampered[1])


@pytest.mark.office
@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_a_workbook_saved_by_libreoffice_is_equal_and_still_says_what_it_is(suffix, dumps, tmp_path, soffice):
    saved = WorkbookSide(soffice(suffix, dumps / "dump.xlsx", tmp_path))
    ours = WorkbookSide(dumps / "dump.xlsx")
    assert diff(ours, saved, atol=1e-13, rtol=1e-13).equal
    assert saved.about == ours.about
    assert saved.about["dtype"] == "float64"
    assert saved.config == load_model().config


def test_a_text_where_a_number_belongs_is_shown_as_it_stands(trace, dumps, tmp_path):
    path = Path(tmp_path / "t.xlsx")
    path.write_bytes((dumps / "dump.xlsx").read_bytes())
    address = excel_address(areas_of(path), "block_0_step_9", 2, 3)
    set_cell(path, address, "a lot")
    report = diff(RunSide(trace), WorkbookSide(path))
    assert report.first.stage == "block_0_step_9"
    assert (report.first.worst.right_place, report.first.worst.right) == (address, "a lot")


def test_other_tokens_are_the_first_thing_said(dumps):
    report = diff(FolderSide(dumps / "dump"), open_side("run:Mike is quick. He runs"))
    assert report.first.stage == "separated_into_words"
    assert report.diagnosis.cause == "tokens"
    assert report.first.worst.left == " moves"


def test_a_logit_that_overtakes_within_the_tolerance_is_a_difference(trace):
    logits = trace.array("logits").copy()
    second = np.argsort(logits[:, 0])[-2]
    nearly = np.where(np.arange(len(logits))[:, None] == second, logits.max() - 1e-3, logits)
    close = replace(trace, arrays={**trace.arrays, "logits": nearly})
    overtaken = close.array("logits").copy()
    overtaken[second] = logits.max() + 1e-5
    right = replace(trace, arrays={**trace.arrays, "logits": overtaken})
    report = diff(RunSide(close), RunSide(right), atol=1e-2, rtol=0)
    assert report.first.stage == "logits"
    assert "best token" in report.first.note


# ------------------------------------------------------------------------------------------------ masks and tolerances


@pytest.mark.parametrize("mark", [-1e10, -1e9 - 1, np.finfo(np.float32).min, np.finfo(np.float64).min, -np.inf, np.nan])
@pytest.mark.parametrize("name", ["triangle_matrix", "block_1_step_6"])
def test_masked_is_masked_whatever_number_a_port_puts_there(name, mark, trace):
    matrix = trace.array(name).copy()
    matrix[matrix < -1e9] = mark
    report = diff(RunSide(trace), RunSide(replace(trace, arrays={**trace.arrays, name: matrix})))
    assert report.equal
    assert all(stage.largest_difference == 0 for stage in report.stages if stage.stage == name)


@pytest.mark.parametrize("name", ["triangle_matrix", "block_1_step_6"])
def test_a_cell_that_only_one_side_masks_is_a_difference(name, trace):
    matrix = trace.array(name).copy()
    matrix[0, 1] = 0.0
    port = replace(trace, arrays={**trace.arrays, name: matrix})
    for sides in ((trace, port), (port, trace)):
        report = diff(*map(RunSide, sides))
        assert report.first.stage == name
        assert report.first.worst.row.startswith("position 0")


@given(
    left=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    right=st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=8),
    atol=st.floats(0, 10),
    rtol=st.floats(0, 1),
)
def test_a_cell_is_equal_exactly_when_the_tolerance_says_so(left, right, atol, rtol):
    a, b = np.array([left]), np.array([right[: len(left)]])
    _, out = compare(a, b, Tolerance(atol, rtol))
    assert out.tolist() == [[not abs(x - y) <= atol + rtol * abs(y) for x, y in zip(a[0], b[0], strict=True)]]


def test_the_tolerance_is_that_of_the_coarser_side(trace):
    single = load_model(dtype="float32").run(PROMPT)
    assert diff(RunSide(trace), RunSide(trace)).tolerance == TOLERANCES["float64"]
    assert diff(RunSide(trace), RunSide(single)).tolerance == TOLERANCES["float32"]
    assert diff(RunSide(single), RunSide(trace)).tolerance == TOLERANCES["float32"]
    assert diff(RunSide(trace), RunSide(trace), rtol=0.5).tolerance == Tolerance(TOLERANCES["float64"].atol, 0.5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_of_a_dump_that_does_not_tell_is_seen_in_its_numbers(dtype, trace, tmp_path):
    np.savez(
        tmp_path / "port.npz", **{name: array.astype(dtype) for name, array in trace.arrays.items() if "5" in name}
    )
    side = ArraysSide(tmp_path / "port.npz")
    assert str(grain_of_side(side, sizes_of([side]))) == dtype


def test_float32_written_as_decimals_is_still_seen_as_float32(tmp_path):
    load_model(dtype="float32").run(PROMPT).to_csv(tmp_path / "dump")
    (tmp_path / "dump" / "manifest.json").unlink()
    side = FolderSide(tmp_path / "dump")
    assert str(grain_of_side(side, sizes_of([side]))) == "float32"


# ------------------------------------------------------------------------------------------------ what sides tell


@pytest.mark.parametrize("config", [models.SMALL, models.ODD_HEADS, models.WIDE_HEADS, models.ONE_BLOCK], ids=str)
def test_a_bare_npz_is_understood_from_its_names_and_shapes(config, tmp_path):
    models.write_random_model(tmp_path / "w", config)
    trace = load_model(tmp_path / "w").run(token_ids=models.random_ids(config, 7))
    np.savez(tmp_path / "bare.npz", **{name: array for name, array in trace.arrays.items() if array.ndim == 2})
    report = diff(ArraysSide(tmp_path / "bare.npz"), ArraysSide(tmp_path / "bare.npz"))
    assert report.equal
    assert {stage.stage for stage in report.missing} <= {name for name in RUN if RUN.step(name).is_text}


def test_a_folder_of_bare_numbers_without_labels_is_read(trace, dumps, tmp_path):
    for name in MATRICES:
        np.savetxt(tmp_path / f"{name}.csv", trace.array(name), delimiter=",", fmt="%.17g")
    report = diff(FolderSide(dumps / "dump"), FolderSide(tmp_path), atol=0, rtol=0)
    assert report.equal
    matrix = trace.array("block_0_step_4").copy()
    matrix[3, 2] = 5
    np.savetxt(tmp_path / "block_0_step_4.csv", matrix, delimiter=",", fmt="%.17g")
    report = diff(FolderSide(dumps / "dump"), FolderSide(tmp_path))
    assert report.first.worst.right_place == "block_0_step_4.csv!C4"


def test_two_weight_folders_are_compared_before_any_stage(tmp_path):
    matrices = models.write_random_model(tmp_path / "a", models.SMALL)
    models.write_random_model(tmp_path / "b", models.SMALL)
    matrices["model_h0_mlp_c_fc_w"][2, 3] += CHANGE
    np.savetxt(tmp_path / "b" / "model_h0_mlp_c_fc_w.csv", matrices["model_h0_mlp_c_fc_w"], delimiter=",", fmt="%.17g")
    report = diff(FolderSide(tmp_path / "a"), FolderSide(tmp_path / "b"))
    assert report.first.stage == "model_h0_mlp_c_fc_w"
    assert report.first.worst.right_place == "model_h0_mlp_c_fc_w.csv!D3"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_first_of_several_changes_is_named_first(seed, trace):
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.choice(len(MATRICES), 3, replace=False))
    arrays = dict(trace.arrays)
    for index in chosen:
        row, column = spot(trace, MATRICES[index], seed)
        arrays[MATRICES[index]] = arrays[MATRICES[index]].copy()
        arrays[MATRICES[index]][row, column] += CHANGE
    report = diff(RunSide(trace), RunSide(replace(trace, arrays=arrays)), why=False)
    assert [stage.stage for stage in report.stages if stage.verdict == "different"] == [MATRICES[i] for i in chosen]
    assert report.first.stage == MATRICES[chosen[0]]


# ------------------------------------------------------------------------------------------------ maps


def write_map(path, rows, header=("stage", "sheet", "range", "transposed")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def foreign(trace, tmp_path_factory):
    """A workbook without names: two stages anywhere, one of them transposed."""
    import xlsxwriter

    path = tmp_path_factory.mktemp("foreign") / "foreign.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Block 0's")
        for row, numbers in enumerate(trace.array("block_0_step_9")):
            sheet.write_row(9 + row, 4, numbers)
        for row, numbers in enumerate(trace.array("block_0_step_10")):
            sheet.write_column(30, 2 + row, numbers)
    return path


MAP = [("block_0_step_9", "Block 0's", "E10:BP15", "no"), ("block_0_step_10", "Block 0's", "C31:H94", "yes")]


def test_a_map_tells_where_stages_stand_and_which_are_transposed(foreign, trace, tmp_path):
    side = WorkbookSide(foreign, write_map(tmp_path / "map.csv", MAP))
    report = diff(RunSide(trace), side)
    assert report.equal
    assert len(report.stages) - len(report.missing) == 2
    changed = replace(trace, arrays={**trace.arrays, "block_0_step_10": trace.array("block_0_step_10") + np.eye(6, 64)})
    report = diff(RunSide(changed), side)
    assert report.first.worst.right_place.startswith("'Block 0''s'!")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("block_0_stage_9", "Block 0's", "E10:BP15", "no"), "no stage is called 'block_0_stage_9'"),
        (("block_0_step_9", "Block 0's", "E10:BP14", "no"), "block_0_step_9 is 6 x 64 and the range has 5 x 64 cells"),
        (("block_0_step_9", "Block 0's", "E10:BP15", "yes"), "6 x 64 and the range has 64 x 6"),
        (("block_0_step_9", "Block 1", "E10:BP15", "no"), "no tab 'Block 1'; its tabs are Block 0's"),
        (("block_0_step_9", "Block 0's", "here", "no"), "'here' is no range"),
        (("block_0_step_9", "Block 0's", "BP15:E10", "no"), "is no range"),
        (("block_0_step_9", "Block 0's", "E10:BP15", "maybe"), "yes or no, not 'maybe'"),
    ],
)
def test_a_wrong_map_is_refused_in_one_line(row, says, foreign, trace, tmp_path):
    path = write_map(tmp_path / "map.csv", [row])
    with pytest.raises(DumpError) as error:
        diff(RunSide(trace), WorkbookSide(foreign, path))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_map_with_a_stage_twice_or_without_columns_is_refused(foreign, tmp_path):
    with pytest.raises(DumpError, match="row 3: block_0_step_9 stands there twice"):
        WorkbookSide(foreign, write_map(tmp_path / "map.csv", [MAP[0], MAP[0]]))
    with pytest.raises(DumpError, match="no column 'range'"):
        WorkbookSide(foreign, write_map(tmp_path / "map.csv", [], ("stage", "sheet", "where")))


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("suffix", ["xlsx", "xlsb", "ods", "npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not a workbook", b"\x00" * 5000])
def test_an_unreadable_file_is_one_line(suffix, content, dumps, tmp_path, capsys):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        main(["diff", str(dumps / "dump"), str(path)])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"Error: {path}")
    assert told.count("\n") == 1


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_a_torn_workbook_is_one_line(keep, dumps, tmp_path):
    whole = (dumps / "dump.xlsx").read_bytes()
    (tmp_path / "torn.xlsx").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DumpError):
        WorkbookSide(tmp_path / "torn.xlsx")


def test_a_password_protected_workbook_is_called_that(tmp_path):
    (tmp_path / "secret.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 4096)
    with pytest.raises(DumpError, match=r"secret\.xlsx is protected by a password: save it without one"):
        WorkbookSide(tmp_path / "secret.xlsx")


@pytest.mark.parametrize(
    ("sides", "says"),
    [
        (("nowhere", "run:Mike"), "nowhere does not exist"),
        (("run:Mike", "README.md"), "README.md is no CSV dump's folder"),
        (("run:", "run:Mike"), "empty"),
        (("tests", "run:Mike"), "tests holds no STAGE.csv"),
    ],
)
def test_a_side_that_is_none_is_one_line(sides, says, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(SystemExit) as end:
        main(["diff", *sides])
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_a_workbook_without_names_is_sent_to_locate(foreign):
    with pytest.raises(DumpError, match="sheetgpt locate RUN"):
        WorkbookSide(foreign)


# ------------------------------------------------------------------------------------------------ the command


def test_exit_codes_are_0_equal_1_different_2_trouble(dumps, tmp_path):
    run = CliRunner().invoke
    dump, book = str(dumps / "dump"), str(dumps / "dump.xlsx")
    assert run(command, [dump, book]).exit_code == 0
    assert run(command, [dump, "run:Mike is slow. He moves"]).exit_code == 1
    assert isinstance(run(command, [dump, "nowhere"]).exception, DumpError)


@pytest.mark.parametrize(
    "content", [b'{"a', b"[1]", b"5", b"\xff\xfe", b'{"losses": 3}', b'{"losses": [1], "matrices": 4}']
)
@pytest.mark.parametrize("flipped", [False, True])
def test_a_damaged_manifest_is_one_line(content, flipped, dumps, tmp_path):
    shutil.copytree(dumps / "dump", tmp_path / "dump")
    (tmp_path / "dump" / "manifest.json").write_bytes(content)
    sides = [tmp_path / "dump", dumps / "dump.xlsx"][:: -1 if flipped else 1]
    line = sheetgpt_here("diff", *sides).error
    assert str(tmp_path / "dump") in line
    assert "dump" in line.rpartition(": ")[2]  # what to do


def test_missing_stages_are_said_and_fail_only_when_strict(trace, dumps, tmp_path):
    np.savez(tmp_path / "few.npz", logits=trace.array("logits"))
    told = CliRunner().invoke(command, [str(dumps / "dump"), str(tmp_path / "few.npz")])
    assert told.exit_code == 0
    assert "Not compared, not in" in told.output
    assert "block_*_step_7 (2)" in told.output
    assert CliRunner().invoke(command, [str(dumps / "dump"), str(tmp_path / "few.npz"), "--strict"]).exit_code == 1


def test_the_first_line_names_the_first_divergent_stage_and_why(trace):
    matrix = trace.array("block_0_step_14") * 1.01
    report = diff(RunSide(trace), RunSide(replace(trace, arrays={**trace.arrays, "block_0_step_14": matrix})))
    first_line = as_text(report).splitlines()[0]
    assert first_line.startswith(
        "43 of 43 stages compared; block_0_step_14 (MLP: GELU) diverges first; every cell is 1.01 times what it"
    )


def test_json_is_json_even_where_numbers_are_none(trace, dumps, tmp_path):
    matrix = trace.array("block_0_step_9").copy()
    matrix[0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", **{**trace.arrays, "block_0_step_9": matrix})
    told = CliRunner().invoke(command, [str(dumps / "dump"), str(tmp_path / "nan.npz"), "--json"])
    assert told.exit_code == 1
    data = json.loads(told.output, parse_constant=pytest.fail)
    assert data["first"] == "block_0_step_9"
    assert data["diagnosis"]["cause"] == "cells"
    stage = next(stage for stage in data["stages"] if stage["stage"] == "block_0_step_9")
    assert stage["worst"]["right"] == "nan"
    assert stage["largest_difference"] == "inf"
