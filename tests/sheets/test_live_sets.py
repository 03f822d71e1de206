"""`--set` in the live workbook: the cells that were set are marked values, everything else follows by formulas.

Every cached value is spoilt first: what LibreOffice computes must be the run with the same changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from engines import with_typed
from live_books import differences, predicted, spoil
from models import SMALL, random_ids, write_random_model
from sheetgpt.cli import cli
from sheetgpt.model import Model, load_model
from sheetgpt.run.edit import parse
from sheetgpt.sheets.live import sets
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.writer import Writer
from sheetgpt.sheets.marks import MARKED
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.reading.open import Workbook

PROMPT, ROOM = "Mike is quick. He moves", 12


@dataclass(frozen=True)
class Setting:
    """What is set, and which cells of the workbook are marked: (matrix, row, column) of its own layout."""

    assignments: tuple[str, ...]
    marked: tuple[tuple[str, int, int], ...]


SETTINGS = {
    "cell formulas": Setting(("block_0_step_7[1,5,2]=0.9",), (("block_0_step_7", 5, ROOM + 2),)),
    "one formula": Setting(("block_0_step_4[1,2]=3",), (("block_0_step_4", 1, 2),)),
    "a formula a row": Setting(("block_1_step_2[0,0]=-2", "block_1_step_2[5,63]=2"), (("block_1_step_2", 5, 63),)),
    "a formula a head": Setting(("block_0_step_6[3,4,1]=5",), (("block_0_step_6", 4, 3 * ROOM + 1),)),
    "several stages": Setting(
        ("model_wte[3,4]=1", "token_embeddings[2,1]=0.3", "block_1_step_13[0,9]=0", "logits[7,0]=30"),
        (("model_wte", 3, 4), ("token_embeddings", 2, 1), ("block_1_step_13", 0, 9), ("logits", 7, 0)),
    ),
    "last row": Setting(("predicted_embedding[0,3]=4",), (("predicted_embedding", 0, 3),)),
    "a whole stage": Setting(("block_0_step_15={file}",), (("block_0_step_15", 0, 0), ("block_0_step_15", 5, 63))),
    "whole heads": Setting(("block_1_step_7={scores}",), (("block_1_step_7", 5, 3 * ROOM + 5),)),
    "token id": Setting(("final_tokens[1,2]=40",), ()),
}
TOGETHER = (  # in one workbook, each in stages of its own: every stage is held against the run's
    ("cell formulas", "a formula a row", "last row", "token id"),
    ("one formula", "a formula a head", "whole heads"),
    ("several stages", "a whole stage"),
)


def together(names: Iterable[str]) -> Setting:
    chosen = [SETTINGS[name] for name in names]
    return Setting(*(tuple(chain.from_iterable(map(attrgetter(one), chosen))) for one in ("assignments", "marked")))


@pytest.fixture(scope="module")
def model() -> Model:
    """The embedded model."""
    return load_model()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder, rng = tmp_path_factory.mktemp("whole"), np.random.default_rng(1)
    found = {"file": folder / "stage.csv", "scores": folder / "scores.csv"}
    np.savetxt(found["file"], rng.standard_normal((6, 64)), delimiter=",")
    np.savetxt(found["scores"], rng.random((6, 24)), delimiter=",")
    return found


def changed(model: Model, setting: Setting, files: dict[str, Path]):
    before = model.run(PROMPT)
    return model.run_edited(before, [parse(text.format(**files), before.sizes) for text in setting.assignments])


def is_marked(book: openpyxl.Workbook, area: Area, row: int, column: int) -> bool:
    """Has a cell a conditional format with the marks' fill?"""
    sheet = book[area.tab]
    at = cell(area.row + row, area.column + column)
    rules = [rule for ranges in sheet.conditional_formatting if at in ranges.sqref for rule in ranges.rules]
    fills = [rule.dxf.fill.bgColor.rgb for rule in rules if rule.dxf and rule.dxf.fill]
    return f"FF{MARKED['bg_color'][1:]}" in fills


@pytest.mark.office
def test_libreoffice_recomputes_the_run_with_the_same_changes(model, files, tmp_path, recalculate):
    assert set(chain.from_iterable(TOGETHER)) == set(SETTINGS)
    paths, traces = {}, {}
    for names in TOGETHER:
        setting = together(names)
        traces[names] = trace = changed(model, setting, files)
        paths[names] = tmp_path / f"{len(paths)}.xlsx"
        writer = Writer(plan(trace))
        writer.write(paths[names])
        assert differences(paths[names], trace) == {}, names
        book = openpyxl.load_workbook(paths[names])
        for matrix, row, column in setting.marked:
            area = writer.sources[matrix].area
            assert is_marked(book, area, row, column), matrix
            assert not is_marked(book, area, area.rows - 1, area.columns - 2), matrix
        spoil(paths[names])
    for names, path in zip(TOGETHER, recalculate(*paths.values()), strict=True):
        assert differences(path, traces[names]) == {}, names
        assert predicted(path) == traces[names].predicted_token, names


@pytest.mark.office
def test_the_rest_of_a_changed_stage_still_follows_from_the_words(model, tmp_path, recalculate):
    trace = changed(model, SETTINGS["one formula"], {})
    writer = Writer(plan(trace))
    path = with_typed(writer.write(tmp_path / "x.xlsx"), tmp_path / "y.xlsx", {("words", "B7"): " slow"})
    other = model.run(PROMPT.replace("quick", "slow"))
    expected = model.run_edited(other, [parse("block_0_step_4[1,2]=3", other.sizes)])
    assert differences(recalculate(path), expected) == {}


def test_the_command_writes_it_and_says_on_the_index_what_was_changed(tmp_path):
    arguments = ["run", PROMPT, "--set", "block_0_step_15[1,2]=3", "--dump-xlsx", "--formulas", "--name", "x"]
    done = CliRunner().invoke(cli, [*arguments, "--exports", str(tmp_path)])
    assert done.exit_code == 0, done.output
    rows = {row[1].value: row[2].value for row in openpyxl.load_workbook(tmp_path / "x.xlsx")["index"].iter_rows()}
    assert rows["Changed by hand"] == "block_0_step_15"


def test_sets_in_a_block_alone_and_of_what_is_typed_there(tmp_path, model):
    write_random_model(tmp_path / "small", SMALL)
    small = load_model(tmp_path / "small")
    before = small.run(token_ids=random_ids(SMALL, 5))
    texts = ("block_1_step_1[0,0]=9", "block_1_step_12[4,2]=-9")
    trace = small.run_edited(before, [parse(text, before.sizes) for text in texts])
    path = Writer(plan(trace, blocks=range(1, 2))).write(tmp_path / "x.xlsx")
    shown = [name for name in trace if trace.step(name).block == 1]
    assert differences(path, trace, shown) == {}
    assert Workbook(path).names["block_1_step_12"]


def test_a_changed_cell_is_one_that_does_not_follow_from_the_inputs(model):
    trace = changed(model, SETTINGS["several stages"], {})
    found = sets.changed_stages(plan(trace))
    assert {name: stage.cells.sum() for name, stage in found.items()} == dict.fromkeys(
        ("token_embeddings", "block_1_step_13", "logits"), 1
    )
