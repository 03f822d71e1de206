"""Dumps of a model whose stages all have strange names hold the same as those of the plain one, but for the names."""

from __future__ import annotations

import json

import openpyxl
import pytest

from models import write_random_model
from sheetgpt.bpe import learn, write_tables
from sheetgpt.model import load_model
from sheetgpt.models.config import Config
from strange import NAMES, called, in_strange_words, registered

PROMPT = "Mike is quick. He moves"
OURS = {"plain": "strange"}  # the models' own names, on the index


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """The run of the plain model, and that of the strange one."""
    folder = tmp_path_factory.mktemp("model")
    merges, tokens = learn(f"{PROMPT} quickly. " * 3, 270)
    write_tables(folder, merges, tokens)
    write_random_model(folder, Config(n_layer=2, n_head=3, n_embd=12, n_ctx=16, n_vocab=len(tokens)))
    with pytest.MonkeyPatch.context() as patch:
        registered(patch)
        model = load_model(folder)
        yield [called(name, model).run(PROMPT) for name in ("plain", "strange")]


def cells(path) -> tuple[dict[tuple[str, int, int], object], dict[str, str]]:
    """Every cell's value or formula by tab, row and column, and every defined name."""
    book = openpyxl.load_workbook(path)
    found = {
        (sheet.title, cell.row, cell.column): getattr(cell.value, "text", cell.value)
        for sheet in book
        for row in sheet.iter_rows()
        for cell in row
        if cell.value is not None
    }
    return found, {name: defined.attr_text for name, defined in book.defined_names.items()}


WORKBOOKS = {
    "values": {},
    "live": {"formulas": True},
    "one block": {"formulas": True, "blocks": range(1, 2)},
}


@pytest.mark.parametrize("options", WORKBOOKS.values(), ids=WORKBOOKS)
def test_workbooks_hold_the_same_cells_but_for_the_names(traces, tmp_path, options):
    paths = [trace.to_excel(tmp_path / f"{trace.config.model}.xlsx", **options) for trace in traces]
    (plain, plain_names), (strange, strange_names) = map(cells, paths)
    assert {in_strange_words(name): place for name, place in plain_names.items()} == strange_names
    assert set(NAMES) & set(strange_names) == set()
    assert set(plain) == set(strange)
    for place, value in plain.items():
        expected = OURS.get(value) or in_strange_words(value) if isinstance(value, str) else value
        assert strange[place] == expected, place


def test_folders_hold_the_same_files_but_for_the_names(traces, tmp_path):
    plain, strange = (trace.to_csv(tmp_path / trace.config.model) for trace in traces)
    files = {path.stem: path.read_bytes() for path in plain.glob("*.csv")}
    assert {NAMES[name]: content for name, content in files.items()} == {
        path.stem: path.read_bytes() for path in strange.glob("*.csv")
    }
    ours, theirs = (json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in (plain, strange))
    named = [stage | {key: in_strange_words(stage[key]) for key in ("name", "title")} for stage in ours.pop("stages")]
    assert named == theirs.pop("stages")
    assert ours["constants"].pop("model") != theirs["constants"].pop("model")
    assert ours == theirs
