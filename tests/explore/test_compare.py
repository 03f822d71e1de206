"""`sheetgpt explore --compare` in a browser: what the page says is what `sheetgpt diff` finds."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from command_line import sheetgpt_here
from sheetgpt.model import load_model

pytestmark = pytest.mark.browser
PROMPT = "Mike is quick. He moves"
CELL, BY = (3, 36), 0.25  # of CHANGED in RIGHT, and by how much it is another
CHANGED, MISSING = "block_1_step_11", "block_0_step_9"

SHEETS = ["left", "right", "difference"]
ALL_SCROLLED = "([all, to]) => all.every((one) => document.getElementById(`compare-${one}`).scrollLeft === to)"


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


@pytest.fixture(scope="module")
def sides(tmp_path_factory, trace):
    """Two dumps; in the right one a cell is another and a stage is missing."""
    folder = tmp_path_factory.mktemp("sides")
    left, right = trace.to_csv(folder / "left"), trace.to_csv(folder / "right")
    (right / f"{MISSING}.csv").unlink()
    lines = (right / f"{CHANGED}.csv").read_text().splitlines()
    cells = lines[1 + CELL[0]].split(",")  # below and beside the labels
    cells[1 + CELL[1]] = repr(float(cells[1 + CELL[1]]) + BY)
    lines[1 + CELL[0]] = ",".join(cells)
    (right / f"{CHANGED}.csv").write_text("\n".join(lines) + "\n")
    return str(left), str(right)


@pytest.fixture(scope="module")
def report(sides):
    """What `sheetgpt diff --json` prints."""
    return json.loads(sheetgpt_here("diff", *sides, "--json", cwd=".").out)


@contextmanager
def served(*arguments: str):
    """The address that `sheetgpt explore` prints."""
    command = [sys.executable, "-m", "sheetgpt", "explore", "--no-browser", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate(timeout=20)


@pytest.fixture(scope="module")
def address(page_built, sides):
    with served("--compare", *sides) as found:
        yield found


@pytest.fixture
def page(chromium, address):
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_function(
        "at => document.querySelector('#name-box')?.value === at", arg=f"{CHANGED}[{CELL[0]},{CELL[1]}]"
    )
    page.wait_for_selector("#compare-difference .cell.at:not(.unknown)")
    yield page
    page.close()


def at(page, which: str) -> str:
    """The text of the chosen cell in one of the three sheets."""
    return page.inner_text(f"#compare-{which} .cell.at")


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def chosen(page) -> str:
    return page.input_value("#name-box")


def test_verdicts_are_those_of_diff(page, report):
    lines = page.eval_on_selector_all(
        ".compare-way [role=option]", "all => all.map((one) => [one.id.replace('compared-', ''), one.dataset.verdict])"
    )
    assert lines == [[stage["stage"], stage["verdict"]] for stage in report["stages"]]
    assert {verdict for _, verdict in lines} == {"equal", "different", "missing"}
    assert page.inner_text(".banner b") == f"{report['first']} diverges first."
    sentence = report["diagnosis"]["sentence"]
    assert sentence[1:] in page.inner_text(".banner p")


def test_it_begins_at_the_worst_cell_with_the_values_of_diff(page, report, trace):
    stage = next(stage for stage in report["stages"] if stage["stage"] == CHANGED)
    assert chosen(page) == f"{CHANGED}[{CELL[0]},{CELL[1]}]"
    left, right = stage["worst"]["left"], stage["worst"]["right"]
    assert number(page.inner_text(".compare-values .left")) == pytest.approx(left, rel=1e-11)
    assert number(page.inner_text(".compare-values .right")) == pytest.approx(right, rel=1e-11)
    assert left == pytest.approx(trace.array(CHANGED)[CELL], abs=1e-12)
    assert number(at(page, "difference")) == pytest.approx(BY)


def test_a_missing_stage_says_why(page, report):
    note = next(stage["note"] for stage in report["stages"] if stage["stage"] == MISSING)
    page.click(f"#compared-{MISSING}")
    assert page.inner_text(".said") == f"Not compared: {note}."
    assert note in page.inner_text(f"#compared-{MISSING}")


def test_the_three_sheets_scroll_together(page):
    page.click("#compared-block_0_step_14")
    page.wait_for_selector("#compare-left[aria-label*=block_0_step_14]")
    for moved in SHEETS:
        there = 400 * len(moved)
        page.evaluate(f"document.getElementById('compare-{moved}').scrollLeft = {there}")
        page.wait_for_function(ALL_SCROLLED, arg=[SHEETS, there])


def test_keys_go_to_what_differs_next_and_cell_by_cell(page, report):
    page.click("#compared-token_embeddings")
    page.keyboard.press("n")
    assert chosen(page).startswith(f"{report['first']}[")
    page.wait_for_selector("#compare-difference .cell.at:not(.unknown)")
    page.keyboard.press("w")
    page.wait_for_function("(to) => document.querySelector('#name-box').value === to", arg=f"{CHANGED}[3,36]")
    page.focus("#compare-right")
    page.keyboard.press("ArrowLeft")
    assert chosen(page) == f"{CHANGED}[3,35]"
    assert at(page, "left") == at(page, "right")
    assert at(page, "difference") == "0"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--compare", "run:Mike", "nowhere.npz"], "nowhere.npz does not exist"),
        (["--compare", "run:Mike", "run:Mike", "--stages", "none_*"], "no stage is called so"),
        (["--compare", "run:Mike", "train-step:"], "compare it by sheetgpt diff"),
        (["Mike", "--compare", "run:Mike", "run:Mike"], "leave PROMPT out"),
        (["Mike", "--rtol", "1e-3"], "--rtol belongs with --compare"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path):
    assert sentence in sheetgpt_here("explore", "--no-browser", *arguments, cwd=tmp_path).error


def test_other_tokens_are_shown_as_they_are(chromium, page_built):
    with served("--compare", f"run:{PROMPT}", "run:Mike is slow. He moves") as address:
        page = chromium.new_page()
        page.goto(address)
        page.click("#compared-final_tokens")
        page.wait_for_selector(".texts td")
        ids = [load_model().run(text).token_ids[2] for text in (PROMPT, PROMPT.replace("quick", "slow"))]
        cells = page.eval_on_selector_all(".texts td.unlike", "all => all.map((one) => one.innerText.slice(2))")
        assert cells == ["\N{MIDDLE DOT}quick", str(ids[0]), "\N{MIDDLE DOT}slow", str(ids[1])]
        page.click("#compared-block_1_step_16")
        page.wait_for_selector("#compare-difference .cell.at:not(.unknown)")
        assert at(page, "difference") == "0"  # the same model's run of the same tokens
        page.close()


def test_a_run_with_changes_is_compared_with_the_run_before(chromium, page_built, trace):
    with served(PROMPT, "--set", "block_0_step_16[2,5]=1.5") as address:
        page = chromium.new_page()
        page.goto(address)
        page.click("nav.views >> text=Compare")
        page.click("#compared-block_1_step_1")
        page.wait_for_selector("#compare-difference .cell.at:not(.unknown)")
        page.keyboard.press("w")
        row, column = np.unravel_index(np.abs(changed(trace) - trace.array("block_1_step_1")).argmax(), (6, 64))
        page.wait_for_function(
            "(to) => document.querySelector('#name-box').value === to", arg=f"block_1_step_1[{row},{column}]"
        )
        assert number(page.inner_text(".compare-values .left")) == pytest.approx(
            trace.array("block_1_step_1")[row, column], rel=1e-11
        )
        assert number(page.inner_text(".compare-values .right")) == pytest.approx(
            changed(trace)[row, column], rel=1e-11
        )
        assert page.get_attribute("#compared-block_0_step_15", "data-verdict") == "equal"
        assert page.get_attribute("#compared-block_0_step_16", "data-verdict") == "different"
        page.close()


def changed(trace) -> np.ndarray:
    from sheetgpt.run.edit import parse

    run = load_model().run_edited(trace, [parse("block_0_step_16[2,5]=1.5", trace.sizes)])
    return run.array("block_1_step_1")


NO_OPTIONS = dict.fromkeys(("left_map", "right_map", "atol", "rtol", "stages"))


def test_a_mask_that_one_side_lacks_is_seen_in_the_picture(tmp_path):
    """The mask that a port forgot: the verdict says so, and the picture shows the cells that it is about."""
    from sheetgpt.commands.explore_sides import open_sides

    trace = load_model().run("Mike is quick. He moves")
    trace.to_csv(tmp_path / "left")
    trace.to_csv(tmp_path / "right")
    path = tmp_path / "right" / "triangle_matrix.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("-10000000000.0", "0.0"), encoding="utf-8")
    sides = open_sides((str(tmp_path / "left"), str(tmp_path / "right")), None, "float64", NO_OPTIONS)
    cells = sides.compared.cells("triangle_matrix")
    found, _ = sides.compared.differences(cells)
    assert np.array_equal(found != 0, cells.out)
    assert cells.out.sum() == 15
