"""Cells of portable live workbooks that hold no number are named; cells that `--set` changed are values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner

import portable_books
from engines import RECALCULATING, Cells, of_file, text_of, with_typed
from live_books import differences as saved_differences
from models import SMALL, random_ids, write_random_model
from portable_books import PROMPT, differences, name_areas
from sheetgpt.cli import cli
from sheetgpt.model import Model, load_model
from sheetgpt.run.edit import parse
from sheetgpt.run.trace import Trace
from sheetgpt.sheets.live import plan as plan_module
from sheetgpt.sheets.live.plan import plan
from sheetgpt.sheets.live.portable import PortableWriter, write_portable_workbook
from sheetgpt.sheets.live.words import FAULT_CELL
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.reading.open import Workbook

pytestmark = pytest.mark.office
ENGINES = ["libreoffice", *RECALCULATING]
N_TOKENS = 6  # of the prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    """A tiny one with words."""
    return portable_books.models(tmp_path_factory.mktemp("models"))["gpt2"]


@pytest.fixture(autouse=True, scope="module")
def _short_words():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "LONGEST_WORD", portable_books.TINY_WORD)
        yield


@pytest.fixture(scope="module")
def book(model, tmp_path_factory) -> Path:
    """The tiny model's workbook. Whoever changes it changes a copy."""
    return write_portable_workbook(model.run(PROMPT), tmp_path_factory.mktemp("book") / "x.xlsx")


def computed(engine: str, paths: list[Path], recalculate) -> list[Cells]:
    if engine == "libreoffice":
        found = recalculate(*paths)
        return [of_file(path) for path in ([found] if len(paths) == 1 else found)]
    return [RECALCULATING[engine](path) for path in paths]


# ------------------------------------------------------------------------------------------------ no numbers

SPOILT = {  # (matrix, row, column) -> what stands there instead of a number
    "nothing": {},
    "weight deleted": {("model_h0_mlp_c_fc_w", 4, 20): None},
    "weight a text": {("model_wte", 200, 2): "o.5"},
    "computed cell deleted": {("block_0_step_7", 5, 2): None},
    "computed cell a text": {("block_0_step_7", 3, 2): "much"},
    "a text in a product": {("block_0_step_4", 0, 0): "x"},
    "the first of two": {("block_0_step_14", 0, 0): "x", ("block_0_step_13", 5, 1): None},
    "a weight and a stage": {("block_0_step_1", 0, 0): "x", ("model_ln_f_b", 0, 0): None},
}
FIRST = {"the first of two": "block_0_step_13", "a weight and a stage": "model_ln_f_b"}


def said(name: str, path: Path) -> str:
    """What the first tab should say."""
    if not SPOILT[name]:
        return "ready"
    matrix = FIRST.get(name) or next(iter(SPOILT[name]))[0]
    return f"{matrix}: a cell of {(area := name_areas(path)[matrix]).tab}!{area.range()} holds no number"


def message_of(path: Path) -> Area:
    rows = openpyxl.load_workbook(path)["index"].iter_rows(max_row=9, max_col=3)
    return next(Area("index", row[2].row - 1, 2, 1, 1) for row in rows if row[1].value == "Message")


def spoilt(path: Path, copy: Path, name: str) -> Path:
    """A copy with those cells typed over, in which no formula has a value."""
    areas, typed = name_areas(path), {}
    for (matrix, row, column), value in SPOILT[name].items():
        area = areas[matrix]
        typed[area.tab, cell(area.row + row, area.column + column)] = value
    return with_typed(path, copy, typed)


@pytest.fixture(scope="module")
def spoilt_files(book, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("spoilt")
    return [spoilt(book, folder / f"{i}.xlsx", name) for i, name in enumerate(SPOILT)]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_matrix_with_a_cell_that_is_no_number_is_named(engine, book, spoilt_files, recalculate):
    message = message_of(book)
    for cells, name in zip(computed(engine, spoilt_files, recalculate), SPOILT, strict=True):
        told = said(name, book)
        assert text_of(cells, message) == told, name
        assert text_of(cells, FAULT_CELL) == ("" if told == "ready" else told), name


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_wrong_with_the_words_comes_first_and_no_number_is_missing_then(engine, book, tmp_path, recalculate):
    copy = with_typed(book, tmp_path / "words.xlsx", {("words", "B6"): "is"})
    [cells] = computed(engine, [copy], recalculate)
    assert text_of(cells, message_of(book)).startswith("Word 2: GPT-2 cuts this")
    assert text_of(cells, FAULT_CELL) == ""
    assert text_of(cells, name_areas(book)["fault"]) == ""


# ------------------------------------------------------------------------------------------------ cells that were set

SETTINGS = {  # what is set -> a cell that is marked: (matrix, row, column)
    "an attention weight": (("block_0_step_7[1,5,2]=0.9",), ("block_0_step_7", 5, N_TOKENS + 2)),
    "a cell of a product": (("block_0_step_4[1,2]=3",), ("block_0_step_4", 1, 2)),
    "a cell of a norm": (("block_0_step_2[0,0]=-2", "block_0_step_2[5,5]=2"), ("block_0_step_2", 5, 5)),
    "a whole stage": (("block_0_step_15=0.25",), ("block_0_step_15", 5, 3)),
    "a head": (("block_0_step_7[0]=0",), ("block_0_step_7", 4, 3)),
    "a weight": (("model_wte[3,4]=1",), ("model_wte", 3, 4)),
    "several": (("token_embeddings[2,1]=0.3", "block_0_step_13[0,9]=0", "logits[7,0]=30"), ("logits", 7, 0)),
    "the last row": (("predicted_embedding[0,3]=4",), ("predicted_embedding", 0, 3)),
    "a token id": (("final_tokens[1,2]=40",), None),
}
TOGETHER = (  # in one workbook, each in stages of its own: every stage is held against the run's
    ("an attention weight", "a cell of a norm", "the last row", "a token id"),
    ("a cell of a product", "a head", "a weight"),
    ("a whole stage", "several"),
)


def changed(model: Model, assignments: tuple[str, ...], prompt: str = PROMPT) -> Trace:
    before = model.run(prompt)
    return model.run_edited(before, [parse(text, before.sizes) for text in assignments])


def require_marked(path: Path, area: Area, row: int, column: int) -> None:
    """A cell that was set is a value, and says what it would be."""
    at = openpyxl.load_workbook(path)[area.tab].cell(area.row + row + 1, area.column + column + 1)
    assert at.data_type == "n"
    assert at.comment is not None


@dataclass(frozen=True)
class Edited:
    """The run with a setting, where its matrices stand in the workbook, and a copy in which no formula has a value."""

    trace: Trace
    areas: dict[str, Area]
    bare: Path


@pytest.fixture(scope="module")
def edited(model, tmp_path_factory) -> dict[tuple[str, ...], Edited]:
    """The workbooks of all settings, whose own values are the run's."""
    assert set(chain.from_iterable(TOGETHER)) == set(SETTINGS)
    folder, found = tmp_path_factory.mktemp("edited"), {}
    for number, names in enumerate(TOGETHER):
        assignments = tuple(chain.from_iterable(SETTINGS[name][0] for name in names))
        trace, path = changed(model, assignments), folder / f"{number}.xlsx"
        PortableWriter(plan(trace, portable=True)).write(path)
        areas = name_areas(path)
        assert "unset" not in Workbook(path).tabs
        assert saved_differences(path, trace) == {}, names
        for matrix, row, column in filter(None, (SETTINGS[name][1] for name in names)):
            require_marked(path, areas[matrix], row, column)
        found[names] = Edited(trace, areas, with_typed(path, folder / f"{number}bare.xlsx", {}))
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_every_program_recomputes_the_run_with_the_same_changes(engine, edited, recalculate):
    bare = [one.bare for one in edited.values()]
    for cells, (names, one) in zip(computed(engine, bare, recalculate), edited.items(), strict=True):
        assert differences(cells, one.areas, one.trace) == {}, names
        assert cells(one.areas["predicted_token"])[2][1] == one.trace.predicted_token, names
        assert text_of(cells, one.areas["message"]) == "", names
        assert text_of(cells, one.areas["fault"]) == "", names


@pytest.mark.parametrize("engine", ["libreoffice", "ironcalc"])
def test_the_rest_follows_from_the_words_in_a_file_of_the_command(engine, tmp_path, recalculate):
    text, model = "block_0_step_4[1,2]=3", load_model()
    arguments = ["run", PROMPT, "--set", text, "--dump-xlsx", "--formulas", "--portable", "--name", "x"]
    done = CliRunner().invoke(cli, [*arguments, "--exports", str(tmp_path)])
    assert done.exit_code == 0, done.output
    path = tmp_path / "x.xlsx"
    [cells] = computed(engine, [with_typed(path, tmp_path / "y.xlsx", {("words", "B7"): " warm"})], recalculate)
    other = changed(model, (text,), PROMPT.replace("quick", "warm"))
    assert differences(cells, name_areas(path), other) == {}


def test_sets_in_a_block_alone(tmp_path):
    write_random_model(tmp_path / "small", SMALL)
    small = load_model(tmp_path / "small")
    before = small.run(token_ids=random_ids(SMALL, 5))
    texts = ("block_1_step_1[0,0]=9", "block_1_step_12[4,2]=-9")
    trace = small.run_edited(before, [parse(text, before.sizes) for text in texts])
    path = write_portable_workbook(trace, tmp_path / "x.xlsx", blocks=range(1, 2))
    cells = RECALCULATING["ironcalc"](with_typed(path, tmp_path / "bare.xlsx", {}))
    shown = [name for name in trace if trace.step(name).block == 1]
    assert differences(cells, name_areas(path), trace, shown) == {}
