"""What `--set` sets on the page: cell by cell, the same run; and what a page that is a file refuses."""

from __future__ import annotations

import numpy as np
import pytest

import explore_pages as pages
from command_line import sheetgpt_here
from sheetgpt import load_model
from sheetgpt.errors import StageError
from sheetgpt.explore import export as exports
from sheetgpt.explore.runs import Asked, Runs
from sheetgpt.explore.server import Explorer
from sheetgpt.explore.typed import MOST_CELLS, by_cell, by_cell_if_few
from sheetgpt.models.step import Role

MODEL = load_model()
RUNS = Runs(MODEL)
PROMPT = "Mike is quick. He moves"
TOKENS, LOGITS = MODEL.steps.name(Role.TOKENS), MODEL.steps.name(Role.LOGITS)
SETS = {
    "block_1_step_7[0,-1,2]=0": 1,
    "block_0_step_7[0]=0": 36,
    "block_0_step_4[-1,:]=2.5": 192,
    "block_0_step_2[::5,-3:]=1e-7": 6,
    f"{TOKENS}[1,-1]=7": 1,
    f"{TOKENS}=7": 6,
}


def asked(*sets):
    return Asked(PROMPT, sets=tuple(sets))


@pytest.mark.parametrize(("text", "count"), SETS.items())
def test_each_cell_is_set_by_itself_and_the_run_is_the_same(text, count):
    several = asked("block_0_step_2[0,-3]=4", text, "block_1_step_7[0,5,2]=0.25")
    found = by_cell(RUNS, several)
    assert len(by_cell(RUNS, asked(text)).sets) == count
    assert not any(":" in one or "-1," in one for one in found.sets)
    same(RUNS.whole(found), RUNS.whole(several))


def same(found, expected):
    for name in expected.arrays:
        np.testing.assert_array_equal(found.arrays[name], expected.arrays[name], err_msg=name)


def test_a_file_is_set_cell_by_cell(tmp_path):
    folder = tmp_path / "ids.csv"
    folder.write_text("3,1,4,1,5,9\n")
    found = by_cell(RUNS, asked(f"{TOKENS}={folder}"))
    assert found.sets == tuple(f"{TOKENS}[1,{i}]={token}" for i, token in enumerate([3, 1, 4, 1, 5, 9]))
    folder.write_text("3,1\n")
    with pytest.raises(StageError, match="takes 6 whole numbers"):
        by_cell(RUNS, asked(f"{TOKENS}={folder}"))


def test_of_more_cells_than_a_page_lists_the_text_stays():
    whole = asked("block_0_step_2=0")
    assert MODEL.run(PROMPT).array("block_0_step_2").size <= MOST_CELLS
    assert by_cell_if_few(RUNS, whole).sets != whole.sets
    whole = asked("block_0_step_2=0", "token_embeddings=0")
    assert by_cell_if_few(RUNS, whole) == whole


@pytest.mark.browser
@pytest.mark.parametrize("text", [text for text in SETS if not text.startswith(TOKENS)])
def test_the_page_marks_what_was_set_and_shows_the_changed_run(text, page_built, chromium, tmp_path):
    wanted = RUNS.whole(asked(text))
    file = exports.export(MODEL, asked(text), tmp_path / "page.html")
    with pages.serving(Explorer(MODEL, asked(text))) as served:
        for address in (served, file.as_uri()):
            with pages.opened(chromium, address) as found:
                count = "() => sheetgpt.state.edits.value.filter(one => one.cell).length"
                assert found.page.evaluate(count) == SETS[text]
                assert found.answer == wanted.predicted_token
                logits = pages.matrix_of(found.page, LOGITS)
                np.testing.assert_allclose(logits, wanted.array(LOGITS), rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------------------------------ what a file refuses


def test_a_file_refuses_more_set_cells_than_it_lists(page_built, tmp_path):
    found = sheetgpt_here("explore", PROMPT, "--set", "model_wte=0", "--export", "page.html", cwd=tmp_path)
    assert found.error == f"model_wte=0: a page takes {MOST_CELLS} set cells at most: set fewer"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_compute_refuses_what_is_set(page_built, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "MOST_COMPUTED", 1000)
    command = ["explore", PROMPT, "--set", "block_1_step_7[0,5,2]=0", "--export", "page.html"]
    found = sheetgpt_here(*command, cwd=tmp_path)
    assert "too large" in found.error
    assert "leave --set or --export out" in found.error
    assert list(tmp_path.iterdir()) == []


def test_that_a_file_computes_in_doubles_is_said_where_the_command_does_not(page_built, tmp_path):
    for dtype, said in [("float32", "The page computes in float64"), ("float64", "")]:
        found = sheetgpt_here("explore", PROMPT, "--dtype", dtype, "--export", "page.html", cwd=tmp_path)
        assert found.code == 0
        assert said in found.err
        assert bool(found.err) == bool(said)
    assert exports.page_facts(load_model(dtype="float32"))["model"]["dtype"] == "float64"
