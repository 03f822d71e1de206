"""The workbook of values: every number where its name says, every text as it is, a file that opens everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from models import ONE_BLOCK, SMALL, WIDE_HEADS, random_ids, random_matrices, write_random_model
from sheetgpt.bpe import learn, write_tables
from sheetgpt.dump import stage_matrix
from sheetgpt.errors import DumpError, StageError
from sheetgpt.model import load_model
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import model_steps
from sheetgpt.sheets import shared
from sheetgpt.weights.folder import write_weights
from sheetgpt.workbook import book, cells
from sheetgpt.workbook import places as layout
from workbooks import areas_of

PROMPT = "Mike is quick. He moves"
STRANGE = [
    "=1+1",
    "+1",
    "-1",
    "@a",
    "'a",
    "#N/A",
    "NaN",
    "1E5",
    "TRUE",
    "a\x01b",
    "_x0041_",
    "\ufffe",
    "x" * 5000,
    " a ",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small random model with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("model")
    merges, tokens = learn("Mike is quick. He moves quickly. " * 3, 270)
    write_tables(folder, merges, tokens)
    config = Config(n_layer=2, n_head=3, n_embd=12, n_ctx=32, n_vocab=len(tokens))
    write_weights(folder, config, random_matrices(config))
    return load_model(folder)


@pytest.fixture(scope="module")
def trace(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def file(trace, tmp_path_factory) -> Path:
    return trace.to_excel(tmp_path_factory.mktemp("dump") / "run.xlsx")


def by_name(path: Path, name: str, book=None) -> list[list]:
    """The cells that a defined name points to; several areas side by side."""
    book = book or openpyxl.load_workbook(path)
    parts = []
    for tab, area in book.defined_names[name].destinations:
        found = book[tab][area.replace("$", "")]
        rows = found if isinstance(found, tuple) else ((found,),)
        parts.append([[one.value for one in row] for row in rows])
    return [list(chain.from_iterable(rows)) for rows in zip(*parts, strict=True)]


def assert_equals_trace(path: Path, trace, head_layout: str = "heads") -> None:
    """Every matrix stage of the file, by its name, to the last bit."""
    found = openpyxl.load_workbook(path)
    assert [name for name in trace if name not in found.defined_names] == []
    for name in trace:
        if not trace.step(name).is_text:
            matrix = stage_matrix(trace, name, head_layout)[0]
            np.testing.assert_array_equal(np.array(by_name(path, name, found), matrix.dtype), matrix, err_msg=name)


def test_every_stage_stands_under_its_name_to_the_last_bit(trace, file):
    assert_equals_trace(file, trace)


@pytest.mark.parametrize(
    "config",
    [ONE_BLOCK, SMALL, WIDE_HEADS, *(replace(ONE_BLOCK, model=rung) for rung in ("softmax", "bigram", "mlp"))],
    ids=lambda config: f"{config.model} {config.n_layer} x {config.n_embd}",
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_models_of_any_shape_and_both_numeric_modes_are_written_exactly(config, dtype, tmp_path):
    write_random_model(tmp_path, config)
    trace = load_model(tmp_path, dtype).run(token_ids=random_ids(config, 7))
    assert_equals_trace(trace.to_excel(tmp_path / "run.xlsx"), trace)


def test_the_reference_head_layout_pads_each_head_to_its_slot(tmp_path):
    write_random_model(tmp_path, WIDE_HEADS)
    trace = load_model(tmp_path).run(token_ids=random_ids(WIDE_HEADS, 5))
    path = trace.to_excel(tmp_path / "run.xlsx", head_layout="reference")
    assert_equals_trace(path, trace, "reference")
    assert len(by_name(path, "block_1_step_7")[0]) == WIDE_HEADS.n_embd


def test_the_reference_head_layout_is_refused_where_heads_would_overlap(trace, tmp_path):
    with pytest.raises(StageError, match="holds 4 tokens"):
        trace.to_excel(tmp_path / "run.xlsx", head_layout="reference")
    assert list(tmp_path.iterdir()) == []


def test_words_merges_tokens_and_prediction_stand_as_the_run_has_them(trace, file):
    for name in ("separated_into_words", "prompt_to_tokens", "final_tokens", "predicted_token"):
        table = by_name(file, name)
        assert [[one if one is not None else "" for one in row] for row in table] == trace.text_table(name), name


def test_the_sheets_say_truly_how_far_they_extend(trace, file):
    book, place = (
        openpyxl.load_workbook(file, read_only=True),
        layout.lay_out(dump_stages(trace))["block_0_step_14"].area,
    )
    rows = book["block_0"].iter_rows(values_only=True)  # in this mode openpyxl believes what the sheet says
    found = [row[place.column : place.column + place.columns] for row in list(rows)[place.row : place.row + place.rows]]
    np.testing.assert_array_equal(found, trace.array("block_0_step_14"))
    book.close()


def test_calamine_reads_the_same_numbers(trace, file):
    found = CalamineWorkbook.from_path(file).get_sheet_by_name("block_1").to_python(skip_empty_area=False)
    place = layout.lay_out(dump_stages(trace))["block_1_step_7"].area
    rows = [row[place.column : place.column + place.columns] for row in found[place.row : place.row + place.rows]]
    np.testing.assert_array_equal(rows, trace.array("block_1_step_7"))


def dump_stages(trace):
    from sheetgpt.sheets.values import stage_panel, text_table

    texts = {name: text_table(trace, name) for name in trace if trace.step(name).is_text}
    return [stage_panel(trace, name, texts, "heads") for name in trace]


def test_rows_are_labelled_by_position_and_token_and_columns_by_head_and_key(trace, file):
    found = openpyxl.load_workbook(file)
    place = layout.lay_out(dump_stages(trace))["block_0_step_7"].area
    sheet, tokens = found["block_0"], trace.tokens
    rows = [[sheet.cell(place.row + 1 + i, column).value for column in (1, 2)] for i in range(place.rows)]
    assert rows == [[i, token] for i, token in enumerate(tokens)]
    header = [
        [sheet.cell(place.row - 2 + i, place.column + 1 + column).value for i in range(3)]
        for column in range(place.columns)
    ]
    assert header == [[head, key, token] for head in range(3) for key, token in enumerate(tokens)]


def test_the_logits_have_token_probability_and_rank_beside_them(trace, file):
    (tab, area) = next(openpyxl.load_workbook(file).defined_names["logits"].destinations)
    first = int(re.search(r"\d+", area)[0])
    sheet = openpyxl.load_workbook(file)[tab]
    rows = {sheet.cell(first + i, 1).value: [sheet.cell(first + i, c).value for c in range(2, 6)] for i in range(270)}
    for best in trace.predictions(270):
        assert rows[best.id] == [best.token, best.logit, best.probability, best.rank]


def test_every_stage_is_in_the_index_with_a_link_to_its_name_and_every_tab_links_back(trace, file):
    found = openpyxl.load_workbook(file)
    index = found["index"]
    head = next(row[1].row for row in index.iter_rows() if row[1].value == "Stage (its defined name)")
    lines = index.iter_rows(head + 1, head + len(trace))
    links = {row[1].value: row[1].hyperlink for row in lines}
    assert list(links) == list(trace)
    for name, link in links.items():
        tab, _, address = link.location.partition("!")
        assert found[tab.strip("'")][address].value == name
    for tab in found.sheetnames[1:]:
        assert found[tab]["A1"].hyperlink.location == "'index'!A1"
        assert found[tab].freeze_panes is not None


def test_the_index_says_what_was_run(trace, file):
    index = openpyxl.load_workbook(file)["index"]
    facts = {row[1]: row[2] for row in index.iter_rows(values_only=True) if row[1]}
    assert facts["Prompt"] == PROMPT
    assert facts["Predicted token"] == trace.predicted_token
    assert facts["n_vocab"] == 270


def strange_trace(folder: Path, tokens: list[str]):
    """A run whose prompt is these tokens, made by hand: a token table may hold them all."""
    from sheetgpt.run.frames import Labels

    config = Config(1, 1, 4, 32, len(tokens))
    write_random_model(folder, config)
    trace = load_model(folder).run(token_ids=range(len(tokens)))
    return replace(trace, prompt="".join(tokens), labels=Labels(tokens, 1, lambda: tokens))


def test_tokens_are_texts_whatever_they_look_like(tmp_path):
    path = strange_trace(tmp_path, STRANGE).to_excel(tmp_path / "run.xlsx")
    sheet = CalamineWorkbook.from_path(path).get_sheet_by_name("logits").to_python(skip_empty_area=False)
    first = areas_of(path)["logits"][0].row
    column = [row[1] for row in sheet[first : first + len(STRANGE)]]
    assert [one for one in column if one != "_xFFFE_"] == [one for one in STRANGE if one != "\ufffe"]
    with ZipFile(path) as archive:
        assert not any(b"<f>" in archive.read(name) for name in archive.namelist())


def test_a_token_longer_than_a_cell_is_refused_and_a_longer_prompt_is_split(tmp_path):
    with pytest.raises(DumpError, match=r"40,000 characters .* a cell holds 32,767: use --dump-csv"):
        strange_trace(tmp_path, ["y" * 40_000, "a"]).to_excel(tmp_path / "run.xlsx")
    path = strange_trace(tmp_path, ["ab" * 10_000, "cd" * 10_000]).to_excel(tmp_path / "run.xlsx")
    index = openpyxl.load_workbook(path)["index"]
    assert index["C4"].value + index["C5"].value == "ab" * 10_000 + "cd" * 10_000


def test_numbers_that_are_none_stand_as_texts(model, tmp_path):
    changed = model.run(PROMPT).array("block_0_step_9").copy()
    changed[0, :3] = [np.nan, np.inf, -np.inf]
    with np.errstate(invalid="ignore"):
        trace = model.run(PROMPT, overrides={"block_0_step_9": changed})
    path = trace.to_excel(tmp_path / "run.xlsx")
    assert by_name(path, "block_0_step_9")[0][:4] == ["NaN", "inf", "-inf", changed[0, 3]]


def test_a_stage_wider_than_a_sheet_continues_below_and_its_name_covers_all_parts(trace, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_COLUMNS", 14)
    path = trace.to_excel(tmp_path / "run.xlsx")
    assert_equals_trace(path, trace)
    assert by_name(path, "prompt_to_tokens")[1][:5] == ["Input", *"Mike"]
    areas = [area for _, area in openpyxl.load_workbook(path).defined_names["block_0_step_7"].destinations]
    assert len(areas) == 3  # no head is torn apart


def test_a_stage_longer_than_a_sheet_is_refused(trace, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_ROWS", 250)
    with pytest.raises(DumpError, match="use --dump-csv"):
        trace.to_excel(tmp_path / "run.xlsx")


def test_the_merge_trace_of_a_very_long_word_is_left_out_with_a_sentence(model, tmp_path, monkeypatch):
    from sheetgpt.sheets import values as write

    monkeypatch.setattr(write, "MAX_MERGE_CELLS", 10)
    path = model.run(PROMPT).to_excel(tmp_path / "run.xlsx")
    assert "sheetgpt tokenize --trace" in by_name(path, "prompt_to_tokens")[0][0]


def test_the_same_run_gives_the_same_bytes(trace, file, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert trace.to_excel(tmp_path / "again.xlsx").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_dump_leaves_the_old_file_and_nothing_else(trace, tmp_path, monkeypatch, error):
    path = tmp_path / "run.xlsx"
    path.write_bytes(b"before")
    written = []

    def interrupted(sheet, rectangles):
        written.append(1)
        if len(written) > 12:
            raise error
        return iter([sheet])

    monkeypatch.setattr(cells, "filled", interrupted)
    with pytest.raises(error):
        trace.to_excel(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_folder_is_told_in_one_line(trace, tmp_path):
    (tmp_path / "exports").write_text("a file")
    with pytest.raises(DumpError, match=r"can't write .*choose another folder") as caught:
        trace.to_excel(tmp_path / "exports" / "run.xlsx")
    assert "\n" not in str(caught.value)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60), st.integers(1, 3)), min_size=28, max_size=28),
    together=st.integers(1, 9),
)
def test_no_two_stages_share_a_cell_and_none_lies_outside_a_sheet(shapes, together):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "MAX_COLUMNS", 24)
        steps = model_steps(Config(1, 1, 4, 4, 4))
        stages = [
            shared.panel(step, rows, columns, header_rows=header_rows, together=together)
            for step, (rows, columns, header_rows) in zip(steps, shapes, strict=False)
        ]
        places = layout.lay_out(stages)
    taken = set()
    for stage in stages:
        place = places[stage.name]
        assert place.shape == (stage.rows, stage.columns)
        own = {(place.tab, place.title_row + i, "title") for i in range(layout.TITLE_ROWS)}
        for area in place.areas:
            assert area.column + area.columns <= 24
            own |= {(area.tab, row, "header") for row in range(area.row - place.panel.header_rows, area.row)}
            own |= {(area.tab, row, "row") for row in range(area.row, area.row + area.rows)}
        lines = {(tab, row) for tab, row, _ in own}
        assert len(lines) == len(own)
        assert not lines & taken
        taken |= lines


def test_stage_names_are_names_in_a_workbook(trace):
    found = book.Book("names")
    for name in trace:
        found.define(name, "index!$A$1")
    with pytest.raises(DumpError, match="can't be a name"), pytest.warns(UserWarning, match="looks like a cell"):
        found.define("A1", "index!$A$1")


@pytest.mark.office
def test_libreoffice_opens_it_and_finds_the_same_numbers(trace, file, tmp_path, soffice):
    found = openpyxl.load_workbook(soffice("xlsx", file, tmp_path))
    for name in ("token_embeddings", "block_0_step_6", "block_1_step_16", "logits"):
        np.testing.assert_allclose(by_name(file, name, found), trace.array(name), rtol=1e-14)
    assert by_name(file, "final_tokens", found)[0] == trace.tokens


@pytest.mark.parametrize("formulas", [False, True])
@pytest.mark.parametrize(("n_vocab", "title"), [(6, "all 6 tokens, the best first"), (12, "the ten best tokens")])
def test_the_best_tokens_are_as_many_as_their_title_says(formulas, n_vocab, title, tmp_path):
    write_random_model(tmp_path / "w", replace(SMALL, n_vocab=n_vocab))
    trace = load_model(tmp_path / "w").run(token_ids=[3, 1, 4])
    path = trace.to_excel(tmp_path / "x.xlsx", formulas=formulas)
    rows = [list(row[:5]) for row in openpyxl.load_workbook(path, data_only=True)["head"].iter_rows(values_only=True)]
    first = next(i for i, row in enumerate(rows) if row[0] == "best_tokens")
    assert rows[first][2] == title
    assert rows[first + 1] == ["rank", "token", "id", "logit", "probability"]
    found = trace.predictions(10)
    assert len(found) == min(n_vocab, 10)
    assert [row[:3] for row in rows[first + 2 :]] == [[one.rank, one.token, one.id] for one in found]
    numbers = [number for row in rows[first + 2 :] for number in row[3:]]
    assert numbers == pytest.approx([number for one in found for number in (one.logit, one.probability)])
    with ZipFile(path) as package:
        charts = "".join(package.read(name).decode() for name in package.namelist() if name.startswith("xl/charts/"))
    assert ("All 6 next tokens" if n_vocab == 6 else "The ten best next tokens") in charts
