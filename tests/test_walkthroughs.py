"""The walk-throughs: each command as it stands there, in order; and the list of causes is the code's."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest

from command_line import sheetgpt
from foreign_workbook import write_foreign
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.model import load_model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import model_steps
from sheetgpt.models.sizes import Sizes
from sheetgpt.run.forward import forward
from sheetgpt.weights.folder import embedded_folder

DOCS = Path(__file__).parents[1] / "docs"
PROMPT = "Mike is quick. He moves"
REFERENCE, PORT = ((DOCS / f"{page}.md").read_text(encoding="utf-8") for page in ("reference", "port"))


def commands(text):
    """Every line of the page's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def walked(text, folder):
    """What each command prints, run one after the other; none is trouble."""
    results = []
    for arguments in commands(text):
        results.append(sheetgpt(*arguments, cwd=folder))
        assert results[-1].code in (0, 1), (arguments, results[-1].err)
    return [result.out for result in results]


@pytest.fixture(scope="module")
def trace():
    return load_model().run(PROMPT)


def write_zip(path):
    """The embedded model as the reference publishes GPT-2: its CSVs in a zip."""
    with zipfile.ZipFile(path, "w") as file:
        for csv in embedded_folder().glob("*.csv"):
            file.write(csv, csv.name)


def write_page(path, trace):
    tables = {
        name: trace.text_table(name) if trace.step(name).is_text else trace.array(name).tolist() for name in trace
    }
    path.write_text(json.dumps({"prompt": PROMPT, "stages": tables}))


def test_the_reference_is_held_against_us_step_by_step(trace, tmp_path):
    write_zip(tmp_path / "gpt2-small-csv.zip")
    edited = write_foreign(tmp_path / "reference.xlsx", trace, edited="block_1_step_9")
    write_page(tmp_path / "page.json", trace)
    _, checked, _, _, workbook, recorder, page = walked(REFERENCE, tmp_path)
    assert "Whole and sane" in checked
    assert workbook.startswith("43 of 43 stages compared; block_1_step_9 ")
    assert f"look at {edited}" in workbook
    assert recorder.startswith("Wrote recorder.js")
    assert (tmp_path / "recorder.js").exists()
    assert page.startswith("No stage diverges: 43 of 43 stages compared")


def test_a_workbook_that_is_right_is_equal(trace, tmp_path):
    write_zip(tmp_path / "gpt2-small-csv.zip")
    write_foreign(tmp_path / "reference.xlsx", trace)
    write_page(tmp_path / "page.json", trace)
    workbook = walked(REFERENCE, tmp_path)[4]
    assert workbook.startswith("No stage diverges: 43 of 43 stages compared")


def write_port(path, trace, mistake=None):
    """A port's stages, all computed on from one mistake."""
    steps = [step for step in trace.steps if step.name in trace.arrays]
    sizes = Sizes(trace.config, len(trace.token_ids))
    wrong = [one for one in known_mistakes(sizes) if one.name == mistake]
    changed = [next(filter(None, (one.change(step, trace.steps) for one in wrong)), step) for step in steps]
    weights = load_model().weights
    made = forward(type(trace.steps)(changed), weights, trace.steps.inputs(trace.token_ids), dtype=trace.dtype)
    np.savez(path, **{step.name: np.atleast_2d(made[step.name]) for step in steps if not step.is_text})


def test_a_port_is_held_against_the_oracle_step_by_step(trace, tmp_path):
    write_port(tmp_path / "port.npz", trace, "exact (erf) GELU")
    _, _, whole, block, strict = walked(PORT, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"oracle.npz", "first.json"}
    assert "block_0_step_14 (MLP: GELU) diverges first; exact (erf) GELU reproduces it" in whole
    assert "block_0_step_14" in block
    assert "block_1_step_14" not in block
    assert "diverges first" in strict
    write_port(tmp_path / "port.npz", trace)
    assert all(out.startswith("No stage diverges") for out in walked(PORT, tmp_path)[2:4])


# ------------------------------------------------------------------------------------------------ the causes


def causes():
    """Every cause in the table, as a pattern: N is a number, or several."""
    table = PORT.partition("## What each cause means")[2].partition("Where no known mistake fits")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) == len(set(names))
    return {name: re.compile(re.sub(r"\bN\b", r"[0-9][0-9.,e -]*", re.escape(name))) for name in names}


def names_in_code():
    sizes = [Sizes(Config(n_layer, n_head, 12, 8, 8), 3) for n_layer, n_head in ((3, 3), (1, 1))]
    return {mistake.name for one in sizes for mistake in known_mistakes(one)}


def test_every_cause_that_the_code_knows_is_explained_once():
    for name in names_in_code():
        explained = [cause for cause, pattern in causes().items() if pattern.fullmatch(name)]
        assert len(explained) == 1, (name, explained)


def test_every_cause_that_is_explained_is_one_that_the_code_knows():
    names = names_in_code()
    assert [cause for cause, pattern in causes().items() if not any(map(pattern.fullmatch, names))] == []


def test_the_stages_that_a_porter_is_shown_exist():
    known = model_steps(Config(2, 1, 2, 1, 1)).by_name
    table = PORT.partition("| write |")[2].partition("\n\n")[0]
    for name in re.findall(r"`(\w+?)_?(?:\.\.\.)?`", table):
        assert any(stage.startswith(name) for stage in known), name
