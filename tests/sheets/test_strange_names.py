"""Dumps of a run whose stages all have strange names hold the same cells as those of the plain one, formulas too."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import openpyxl
import pytest

from models import write_random_model
from sheetgpt.bpe import learn, write_tables
from sheetgpt.model import load_model
from sheetgpt.models.config import Config
from sheetgpt.models.step import Steps
from strange_model import renamed, strange

WORKBOOKS = {
    "values": {},
    "live": {"formulas": True},
    "one block": {"formulas": True, "blocks": range(1, 2)},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    merges, tokens = learn("Mike is quick. He moves quickly. " * 3, 270)
    write_tables(folder, merges, tokens)
    write_random_model(folder, Config(n_layer=2, n_head=3, n_embd=12, n_ctx=16, n_vocab=len(tokens)))
    return load_model(folder).run("Mike is quick. He moves")


@pytest.fixture(scope="module")
def other(plain):
    arrays = {strange(name) if name in plain else name: array for name, array in plain.arrays.items()}
    return replace(plain, steps=Steps(renamed(plain.steps)), arrays=arrays)


@pytest.fixture(scope="module")
def in_strange_words(plain):
    """A text or formula with strange names for those of stages; tabs keep theirs."""
    names = re.compile(rf"(?<!\w)({'|'.join(plain)})(?=_head_\d|(?![\w!]))")
    return lambda text: names.sub(lambda found: strange(found[1]), text)


def cells(path) -> tuple[dict[tuple[str, int, int], object], dict[str, str]]:
    """Every cell's value or formula by tab, row and column, and what every defined name stands for."""
    book = openpyxl.load_workbook(path)
    found = {
        (sheet.title, cell.row, cell.column): getattr(cell.value, "text", cell.value)
        for sheet in book
        for row in sheet.iter_rows()
        for cell in row
        if cell.value is not None
    }
    return found, {name: defined.attr_text for name, defined in book.defined_names.items()}


@pytest.mark.parametrize("options", WORKBOOKS.values(), ids=WORKBOOKS)
def test_workbooks_hold_the_same_cells_but_for_the_names(plain, other, in_strange_words, tmp_path, options):
    ours, names = cells(plain.to_excel(tmp_path / "plain.xlsx", **options))
    theirs, strange_names = cells(other.to_excel(tmp_path / "strange.xlsx", **options))
    assert {in_strange_words(name): place for name, place in names.items()} == strange_names
    assert set(ours) == set(theirs)
    for place, value in ours.items():
        text = in_strange_words(value) if isinstance(value, str) else value
        kept = [] if str(value).startswith("=") else [value]  # titles and words, which may be names of stages too
        assert theirs[place] in [text, *kept], place


def test_folders_hold_the_same_files_but_for_the_names(plain, other, tmp_path):
    ours, theirs = (trace.to_csv(tmp_path / name) for trace, name in ((plain, "plain"), (other, "strange")))
    for name in plain:
        assert (ours / f"{name}.csv").read_bytes() == (theirs / f"{strange(name)}.csv").read_bytes(), name
    about, other_about = (json.loads((folder / "manifest.json").read_text("utf-8")) for folder in (ours, theirs))
    for stage in about["stages"]:
        stage["name"] = strange(stage["name"])
    assert about == other_about
