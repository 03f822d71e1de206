"""Stages by pieces and workbooks that go their own way: what stands there is found, and what was assumed is said."""

from __future__ import annotations

import csv
import os
from dataclasses import replace

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from foreign_book import IDS, REPAIRS, STAGES, versions
from sheetgpt.commands.locate import command
from sheetgpt.convert import convert
from sheetgpt.diff import diff
from sheetgpt.diff.locate import locate, map_rows
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.diff.sides import RunSide, WorkbookSide
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model
from sheetgpt.models.heads import apart
from sheetgpt.models.step import Axis
from sheetgpt.run.forward import forward
from sheetgpt.workbook.reading.maps import read_map, write_map
from sheetgpt.workbook.reading.open import Tab, Workbook
from workbooks import InMemory

PROMPT = "Mike is quick. He moves"


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def trace(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def run(model, trace):
    return RunSide(trace, model.weights)


def tab_of(matrix, name, rng, *, transposed=None):
    """A matrix on a tab of its own, somewhere on it, with other numbers around."""
    turned = bool(rng.integers(2)) if transposed is None else transposed
    shown = matrix.T if turned else matrix
    row, column = (int(n) for n in rng.integers(1, 7, 2))
    grid = np.full((row + shown.shape[0] + 3, column + shown.shape[1] + 3), np.nan)
    grid[0] = rng.standard_normal(grid.shape[1])
    grid[row : row + shown.shape[0], column : column + shown.shape[1]] = shown
    return Tab(name, grid, {})


def cut_by_head(step):
    return step.columns in (Axis.HEADS_BY_KEYS, Axis.HEADS_BY_DIMENSIONS)


def book_of(trace, arrays, rng, *, leave=(), blank=True):
    """A workbook with a tab a stage, and a tab a head; cells that a token can't see are blank."""
    tabs = []
    for step in trace.steps:
        if step.is_text or step.number in leave or step.name not in arrays:
            continue
        matrix = np.array(arrays[step.name], np.float64)
        if step.by_head and blank:
            matrix[matrix < -1e9] = np.nan
        if cut_by_head(step):
            pieces = apart(matrix, trace.config.n_head).swapaxes(0, 1)
            tabs += [tab_of(piece, f"{step.name} {head}", rng) for head, piece in enumerate(pieces)]
        else:
            tabs.append(tab_of(matrix, step.name, rng))
    order = rng.permutation(len(tabs))
    return InMemory({tabs[i].name: tabs[i] for i in order})


# ------------------------------------------------------------------------------------------------ by head


@pytest.mark.parametrize("seed", range(3))
def test_stages_cut_by_head_are_found_on_tabs_of_their_own_whatever_their_order(seed, trace, run):
    rng = np.random.default_rng(seed)
    book = book_of(trace, trace.arrays, rng, leave=(4,))
    found = locate(run, book, weights={})
    for step in trace.steps:
        if cut_by_head(step):
            place = found[step.name]
            assert [one.area.tab for one in place.places] == [
                f"{step.name} {head}" for head in range(trace.config.n_head)
            ]
            assert place.fit == "exactly"
    assert not [name for name, place in found.items() if place is None and trace.steps[name].number != 4]


def test_a_map_with_pieces_is_read_as_it_was_found_and_diff_reads_the_whole_stage(trace, run, tmp_path):
    book = openpyxl.Workbook()
    for name in ("block_0_step_5_keys", "block_1_step_6"):
        for head, piece in enumerate(apart(trace.array(name), trace.config.n_head).swapaxes(0, 1)):
            sheet = book.create_sheet(f"{name[6:]} {head}")
            for row, numbers in enumerate(piece.T.tolist(), start=3 + head):
                for column, number in enumerate(numbers, start=2):
                    if number > -1e9:
                        sheet.cell(row, column, number)
    book.save(tmp_path / "heads.xlsx")
    found = locate(run, Workbook(tmp_path / "heads.xlsx"))
    write_map(tmp_path / "map.csv", map_rows(found))
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert [(row["stage"], row["head"]) for row in rows] == [
        (name, str(head)) for name in ("block_0_step_5_keys", "block_1_step_6") for head in range(trace.config.n_head)
    ]
    side = WorkbookSide(tmp_path / "heads.xlsx", tmp_path / "map.csv")
    assert diff(run, side, rtol=0).equal
    lines = (tmp_path / "map.csv").read_text().splitlines()
    (tmp_path / "part.csv").write_text("\n".join(line for line in lines if ",1,," not in line or "keys" not in line))
    part = diff(run, WorkbookSide(tmp_path / "heads.xlsx", tmp_path / "part.csv"), rtol=0)
    keys = next(stage for stage in part.stages if stage.stage == "block_0_step_5_keys")
    assert (keys.verdict, keys.note) == ("equal", "only heads 0, 2, 3")
    assert keys.cells == trace.array("block_0_step_5_keys").size * 3 // 4


# ------------------------------------------------------------------------------------------------ along the book


EVERY = int(os.environ.get("SHEETGPT_EVERY", "9"))  # of the known mistakes one in so many, as it takes a second each


def injected(trace, model):
    """(a mistake, a step where it may happen, a run with it there) for some of the known mistakes."""
    weights = {name: model.weights[name] for name in model.weights}
    given = trace.steps.inputs(trace.token_ids)
    for mistake in known_mistakes(trace.sizes)[::EVERY]:
        steps = [(step, change) for step in trace.steps if (change := mistake.change(step, trace.steps))]
        for step, change in steps[:1] + steps[1:][-1:]:
            changed = [change if one == step else one for one in trace.steps]
            try:
                with np.errstate(all="ignore"):
                    yield mistake, step, forward(changed, weights, given, dtype="float64")
            except (ValueError, IndexError):  # shapes that don't allow it
                continue


def test_a_book_with_a_known_mistake_is_followed_and_the_mistake_is_named(trace, model, run):
    """Mistakes after which a stage holds another one's numbers, or all of a row is masked, leave no trail."""
    rng, tried, lost = np.random.default_rng(0), 0, []
    for mistake, step, arrays in injected(trace, model):
        own, right = np.array(arrays[step.name], np.float64), trace.array(step.name)
        shows = own.shape == right.shape and np.isfinite(own).all()
        if not shows or np.allclose(own, right, rtol=1e-9, atol=1e-12):
            continue
        found = locate(run, book_of(trace, arrays, rng))
        tried += 1
        if mistake.name not in " ".join(found.assumed.values()):
            lost.append((mistake.name, step.name))
            assert found.remarks or not found.assumed
    assert tried >= 180 // EVERY
    assert len(lost) <= tried // 10, lost


def test_where_the_trail_is_lost_is_said(trace, model, run):
    rng = np.random.default_rng(1)
    arrays = dict(trace.arrays)
    changed = [replace(step) for step in trace.steps]
    after = False
    for step in changed:
        if step.name == "block_1_step_9":
            arrays[step.name] = rng.standard_normal(arrays[step.name].shape)
            after = True
        elif after and not step.is_text:
            weights = {name: model.weights[name] for name in model.weights}
            inputs = [arrays.get(name, weights.get(name)) for name in step.inputs]
            arrays[step.name] = step.op.value(*inputs)
    found = locate(run, book_of(trace, arrays, rng))
    assert found["block_1_step_8"]
    assert found["block_1_step_9"] is None
    assert found.remarks[0].startswith("The trail is lost after block_1_step_8: of the ")
    header, *rows = map_rows(found)
    notes = {str(row[0]): row[header.index("note")] for row in rows}
    assert [stage for stage, note in notes.items() if "the trail is lost" in str(note)] == ["block_1_step_8"]


def test_a_tab_that_is_too_large_to_be_followed_is_said(trace, run, monkeypatch):
    book = book_of(trace, trace.arrays, np.random.default_rng(3), leave=(9,))
    monkeypatch.setattr("sheetgpt.diff.locate.KEPT", 0)
    found = locate(run, book)
    assert found["block_0_step_10"].fit == "exactly"
    assert found["block_0_step_9"] is None
    assert found.remarks[0].startswith("Too large to be followed, searched for RUN's own numbers only: ")


@pytest.mark.parametrize("other", ["Anna was calm. She speaks", "Mike is quick. He stops", "Mike is slow. He moves"])
def test_a_run_of_another_prompt_finds_nothing(other, model, trace):
    book = book_of(trace, trace.arrays, np.random.default_rng(2), leave=())
    without_mask = InMemory({name: book.tab(name) for name in book.tabs if not name.startswith("triangle_matrix")})
    with pytest.raises(DumpError, match="holds no stage of|shows another prompt than"):
        locate(RunSide(model.run(other), model.weights), without_mask)


# ------------------------------------------------------------------------------------------------ the book of others


@pytest.fixture(scope="module")
def nano(shared, tmp_path_factory):
    """The weight folder of the nano book, and a run of what it shows."""
    folder = tmp_path_factory.mktemp("nano") / "weights"
    convert(str(shared / "data" / "foreign" / "nano_weights.npz"), folder)
    model = load_model(folder)
    return RunSide(model.run(token_ids=IDS), model.weights)


def found_in(nano, path):
    found = locate(nano, Workbook(path))
    return {name: place for name, place in found.items() if place}, found


def test_on_the_book_as_it_is_every_stage_is_found_along_its_mistakes(nano, shared):
    foreign = shared / "data" / "foreign"
    there, found = found_in(nano, foreign / "NanoGPT-Excel.xlsx")
    assert len(there) == STAGES
    assert all(place.fit == "exactly" for place in there.values())
    assumed = " ".join(found.assumed.values())
    assert all(fault in assumed for fault in REPAIRS)
    by_hand = read_map(foreign / "map_of_whole_stages.csv", Workbook(foreign / "NanoGPT-Excel.xlsx").tabs)
    for stage, (mapped,) in by_hand.items():
        if stage != "last_hidden_state":  # a copy of the last column of what stands there
            assert there[stage].areas == [mapped.areas[0]], stage


@pytest.mark.office
def test_in_the_repaired_book_all_are_found_and_one_fault_that_is_left_is_named(nano, shared, tmp_path, recalculate):
    made = versions(shared / "data" / "foreign" / "NanoGPT-Excel.xlsx", tmp_path)
    for fault, path in zip(made, recalculate(*made.values()), strict=True):
        there, found = found_in(nano, path)
        assert len(there) == STAGES, fault
        assert all(place.fit == "exactly" for place in there.values())
        assert {mistake.partition(", at ")[0] for mistake in found.assumed.values()} == (
            {next(iter(found.assumed.values())).partition(", at ")[0]} if fault else set()
        )
        assert fault in " ".join(found.assumed.values())


@pytest.mark.parametrize(
    "ids", [[2, 0, 1, 1, 0, 2, 0, 0, 0, 0, 1], [1, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]]
)
def test_the_book_holds_no_run_of_other_tokens(ids, nano, shared):
    model = load_model(nano.about["weights"])
    with pytest.raises(DumpError, match="holds no stage of|shows another prompt than"):
        locate(RunSide(model.run(token_ids=ids), model.weights), Workbook(shared / "data/foreign/NanoGPT-Excel.xlsx"))


def test_the_command_says_the_mistakes_and_writes_a_row_a_piece(nano, shared, tmp_path):
    book = str(shared / "data" / "foreign" / "NanoGPT-Excel.xlsx")
    run = "run-ids:" + ",".join(map(str, IDS))
    output = str(tmp_path / "map.csv")
    told = CliRunner().invoke(command, [run, book, "--weights", nano.about["weights"], "-o", output])
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0] == "49 stages found exactly, 0 nearly, 12 not at all."
    assert "Computed with block 0's residual: block_1_step_10, block_2_step_10" in lines
    with (tmp_path / "map.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "block_0_step_5_keys"]
    assert [row["head"] for row in rows] == ["0", "1", "2"]
    assert all(row["assumed"].startswith("keys and values with the query's bias in heads 0, 1") for row in rows)
