"""How dumped workbooks look and lead: the first tab, links, colours, marks, pages, in the file and in LibreOffice."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import libreoffice, poppler, require
from models import random_ids, write_random_model
from sheetgpt.model import load_model
from sheetgpt.models.config import MODELS, Config
from sheetgpt.models.kinds import weights_of
from sheetgpt.models.parameters import count_parameters
from sheetgpt.models.step import Axis
from sheetgpt.resume import resume
from sheetgpt.sheets import way as drawn
from sheetgpt.sheets.colours import MOST_PIECES, largest, percentile, rectangles, seen
from sheetgpt.workbook import style
from sheetgpt.workbook.book import PRINTED_COLUMNS, PRINTED_ROWS
from sheetgpt.workbook.grid import Area, parse_range
from workbooks import areas_of

PROMPT = "Mike is quick. He moves"
YELLOW = (0xFF, 0xD5, 0x4F)
RENDER = Path(__file__).resolve().parents[2] / "docs" / "images" / "render.py"
KINDS = ("values", "live")


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def trace(model):
    return model.run(PROMPT)


@pytest.fixture(scope="module")
def files(embedded_book) -> dict[str, Path]:
    return {"values": embedded_book(), "live": embedded_book(formulas=True)}


@pytest.fixture(scope="module")
def books(files) -> dict[str, openpyxl.Workbook]:
    """As other programs see them: formulas by what they gave."""
    return {name: openpyxl.load_workbook(path, data_only=True) for name, path in files.items()}


def index_cells(book) -> dict[object, openpyxl.cell.Cell]:
    """The first tab's cells by what they hold, the first of each."""
    found: dict[object, openpyxl.cell.Cell] = {}
    for row in book["index"].iter_rows():
        for cell in row:
            if cell.value is not None:
                found.setdefault(cell.value, cell)
    return found


def block_of(sheet, row: int, column: int, rows: int, columns: int) -> np.ndarray:
    """Numbers from a place on, counted from 1; NaN where nothing stands."""
    cells = sheet.iter_rows(row, row + rows - 1, column, column + columns - 1, values_only=True)
    return np.array([[np.nan if one in (None, "") else one for one in line] for line in cells], float)


def target_of(book, cell):
    tab, _, address = cell.hyperlink.location.rpartition("!")
    return book[tab.strip("'")][address]


# ------------------------------------------------------------------------------------------------ the first tab


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_with_prompt_and_prediction_and_facts_of_the_model_stand_below_the_way(kind, trace, books):
    cells = index_cells(books[kind])
    way = cells["best tokens"].row
    assert cells[PROMPT].row < cells[trace.predicted_token].row < cells["final_tokens"].row < way
    assert way < cells["n_layer"].row < cells["Stage (its defined name)"].row


def test_a_long_message_has_the_whole_row_for_its_one_line(books):
    index = books["live"]["index"]
    row = index_cells(books["live"])["Message"].row
    message, *behind = index[row][2:]
    assert not message.alignment.wrap_text  # in a row of a fixed height, further lines would be cut off
    assert [one.value for one in behind if one.value is not None] == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_head_has_a_map_of_what_tokens_look_at_that_leads_to_its_columns(kind, trace, books):
    book, tokens = books[kind], len(trace.token_ids)
    captions = [cell for row in book["index"].iter_rows() for cell in row if re.fullmatch(r"head \d", str(cell.value))]
    assert len(captions) == trace.config.n_layer * trace.config.n_head
    slots = tokens if kind == "values" else tokens + drawn.SPARE_TOKENS
    for number, caption in enumerate(captions):
        block, head = divmod(number, trace.config.n_head)
        weights = trace.array(f"block_{block}_step_7")[:, head * tokens : (head + 1) * tokens]
        shown = block_of(book["index"], caption.row - slots, caption.column, slots, slots)
        np.testing.assert_allclose(shown[:tokens, :tokens], weights, rtol=1e-12)
        assert np.isnan(shown[tokens:]).all()
        first = target_of(book, caption)
        assert first.parent.title == f"block_{block}"
        assert first.value == pytest.approx(weights[0, 0])


def test_a_live_map_is_formulas_that_refer_to_the_real_cells(files, trace):
    book, places = openpyxl.load_workbook(files["live"]), areas_of(files["live"])
    cells = index_cells(book)
    caption = cells["head 0"]
    formula = book["index"].cell(caption.row - 1, caption.column).value.text
    [there] = re.findall(r"INDEX\((block_0![^,]+)", formula)
    area = parse_range(there.rpartition("!")[2], "block_0")
    assert (area.row, area.column) == (places["block_0_step_7"][0].row, places["block_0_step_7"][0].column)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_tokens_have_bars_as_long_as_their_probabilities(kind, trace, books):
    book = books[kind]
    head = index_cells(book)["best tokens"]
    for number, one in enumerate(trace.predictions(10), start=head.row + 1):
        name, share = (book["index"].cell(number, column).value for column in (2, 3))
        assert name == f"{one.rank}  {one.token.replace(' ', '·')}"
        assert share == pytest.approx(one.probability)
        bar = block_of(book["index"], number, drawn.PICTURES + 1, 1, drawn.BAR)
        assert np.minimum(bar, 1).sum() / drawn.BAR == pytest.approx(one.probability)


@pytest.mark.parametrize("kind", KINDS)
def test_the_parameters_are_counted_part_by_part(kind, model, books):
    rows = list(books[kind]["index"].iter_rows(values_only=True))
    start = next(number for number, row in enumerate(rows) if row[1] == "Parameters by part") + 1
    end = next(number for number, row in enumerate(rows) if row[1] == "all parameters")
    total = sum(matrix.size for matrix in model.weights.values())
    assert sum(row[3] for row in rows[start:end]) == rows[end][3] == total
    assert ("model_wte", "592 x 64 =".replace("592", str(model.config.n_vocab))) in [
        row[1:3] for row in rows[start:end]
    ]


@pytest.mark.parametrize("name", MODELS)
def test_counts_add_up_for_any_model(name):
    config = Config(2 if name in ("gpt2", "microgpt") else 1, 2, 8, 16, 30, model=name)
    weights = weights_of(config)
    assert sum(one.count for one in count_parameters(weights)) == sum(np.prod(one.shape) for one in weights.values())


@pytest.mark.parametrize(
    ("n_layer", "n_head", "count", "of_each_head"),
    [(12, 12, 6, False), (2, 20, 5, False), (1, 1, 40, True), (1, 4, 30, False)],
)
@pytest.mark.parametrize("formulas", [False, True])
def test_of_large_models_and_long_prompts_the_last_tokens_are_shown_and_a_sentence_says_so(
    n_layer, n_head, count, of_each_head, formulas, tmp_path
):
    config = Config(n_layer, n_head, 4 * n_head, 64, 30)
    write_random_model(tmp_path, config)
    trace = load_model(tmp_path).run(token_ids=random_ids(config, count))
    path = trace.to_excel(tmp_path / "run.xlsx", formulas=formulas)
    book = openpyxl.load_workbook(path, data_only=True)
    texts = [str(one) for row in book["index"].iter_rows(values_only=True) for one in row if isinstance(one, str)]
    cells, shown = index_cells(book), " ".join(texts)
    assert (f"the last {drawn.MOST_TOKENS} of {count} tokens" in shown) == (count > drawn.MOST_TOKENS)
    assert ("only what the last token looks at" in shown) == (not of_each_head)
    slots, weights = min(count, drawn.MOST_TOKENS), trace.array("block_0_step_7")
    if of_each_head:
        caption, expected = cells["head 0"], weights[-slots:, :count][:, -slots:]
        assert "block 0" not in cells
    else:
        caption = cells["block 0"]
        expected = weights[-1].reshape(n_head, count)[: drawn.MOST_HEADS, -slots:]
    found = block_of(book["index"], caption.row - len(expected), caption.column, len(expected), slots)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ links and sentences


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_leads_to_a_cell_and_a_stage_s_to_its_name(kind, books):
    book, stages = books[kind], 0
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.hyperlink and cell.hyperlink.location != "'index'!A1":
                    there = target_of(book, cell)
                    assert there.value is not None, (sheet.title, cell.coordinate, cell.hyperlink.location)
                    stages += there.value == cell.value
    assert stages > 80


@pytest.mark.parametrize("kind", KINDS)
def test_block_tabs_list_their_steps_in_view_and_lead_to_the_tabs_beside(kind, trace, books):
    book = books[kind]
    steps = [step for step in trace.steps if step.block == 0]
    sheet = book["block_0"]
    assert sheet.freeze_panes == "C3"
    ribbon = [cell for cell in sheet[2][2:] if cell.hyperlink]
    assert [target_of(book, cell).value for cell in ribbon] == [step.name for step in steps]
    assert [target_of(book, sheet[at]).parent.title for at in ("A2", "B2")] == ["embeddings", "block_1"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_stage_says_why_beside_its_title_and_links_its_weights(kind, trace, files, books):
    book, places = books[kind], areas_of(files[kind])
    firsts = [cell for sheet in book for row in sheet.iter_rows(max_col=1) for cell in row if cell.value]
    titles = {cell.value: cell for cell in reversed(firsts)}  # of a name that stands on several tabs, the first
    listed = {row[1]: row for row in book["index"].iter_rows(values_only=True)}
    for step in trace.steps:
        at = titles[step.name]
        assert step.title in at.offset(0, 2).value
        assert at.offset(0, 2).value.endswith(step.why)
        weights = [cell for cell in at.offset(1, 0).parent[at.row + 1][2:] if cell.hyperlink]
        assert [cell.value for cell in weights] == [name for name in step.inputs if name.startswith("model_")]
        for cell in weights:
            assert target_of(book, cell).value == cell.value
        assert step.why in listed[step.name]
        assert step.words in listed[step.name]
    assert places.keys() >= set(trace)


def test_the_values_workbook_lists_the_weights_and_readers_do_not_miss_them(model, files, books):
    rows = {row[1]: row for row in books["values"]["index"].iter_rows(values_only=True)}
    for name, matrix in model.weights.items():
        assert rows[name][3] == "{:,} × {:,}".format(*matrix.shape)
    assert not resume(files["values"]).changes


def test_with_weights_it_holds_them_to_the_last_bit_and_an_edited_one_is_resumed(model, trace, tmp_path):
    path = trace.to_excel(tmp_path / "run.xlsx", with_weights=True)
    book, places = openpyxl.load_workbook(path), areas_of(path)
    for name, matrix in model.weights.items():
        [area] = places[name]
        found = block_of(book[area.tab], area.row + 1, area.column + 1, *matrix.shape)
        np.testing.assert_array_equal(found, matrix)
    [area] = places["model_h0_attn_c_proj_b"]
    book[area.tab].cell(area.row + 1, area.column + 3).value = 2.5
    book.save(path)
    changes = resume(path).changes
    assert [(one.stage, one.at, one.after) for one in changes] == [("model_h0_attn_c_proj_b", (0, 2), 2.5)]


# ------------------------------------------------------------------------------------------------ colours and marks


def rules_of(sheet, kind: str):
    """(its ranges, rule) of each conditional format of a kind."""
    return [
        (ranges.sqref, rule) for ranges in sheet.conditional_formatting for rule in ranges.rules if rule.type == kind
    ]


def scales_over(sheet, row: int, column: int):
    at = sheet.cell(row, column).coordinate
    return [rule.colorScale for ranges, rule in rules_of(sheet, "colorScale") if at in ranges]


@pytest.mark.parametrize("kind", KINDS)
def test_stages_have_a_scale_about_0_that_ends_where_nearly_all_their_numbers_lie(kind, trace, files, books):
    places = areas_of(files[kind])
    for step in trace.steps.computed:
        if step.is_text or step.by_head or step.op.masked or step.columns is Axis.LOGIT:
            continue
        [area] = places[step.name]
        [scale] = scales_over(books[kind][area.tab], area.row + 1, area.column + 1)
        low, zero, high = (float(one.val) for one in scale.cfvo)
        assert (low, zero) == (-high, 0)
        assert high == largest(trace.array(step.name))
        inside = np.abs(trace.array(step.name)) <= high * 1.01
        assert inside.mean() > 0.97


@given(numbers=st.lists(st.floats(0, 1e6), min_size=1, max_size=40), per_cent=st.floats(0, 100))
def test_a_percentile_is_numpy_s(numbers, per_cent):
    expected = float(np.percentile(numbers, per_cent))
    assert percentile(np.array(numbers), per_cent) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_zeros_are_grey_and_masked_scores_have_no_scale(kind, trace, files, books):
    places = areas_of(files[kind])
    area = places["block_0_step_7"][0]
    [scale] = scales_over(books[kind][area.tab], area.row + 1, area.column + 2)
    assert [one.rgb[-6:] for one in scale.color] == [style.MASK[1:], "FFFFFF", style.SHARE[1:]]
    assert [float(one.val) for one in scale.cfvo] == [0, style.SEEN, 1]
    area, tokens = places["block_0_step_6"][0], len(trace.token_ids)
    for row in range(tokens):
        for key in range(tokens):
            found = scales_over(books[kind][area.tab], area.row + 1 + row, area.column + 1 + key)
            assert bool(found) == (key <= row)


@given(
    rows=st.integers(1, 12),
    keys=st.integers(1, 12),
    heads=st.integers(1, 4),
    left_out=st.sets(st.tuples(st.integers(0, 11), st.integers(0, 47)), max_size=6),
)
def test_pieces_cover_every_cell_that_is_kept_once_and_no_other(rows, keys, heads, left_out):
    area = Area("t", 3, 2, rows, keys * heads)
    left_out = {(i, j) for i, j in left_out if i < rows and j < area.columns}
    changed = np.zeros((rows, area.columns), bool)
    for at in left_out:
        changed[at] = True
    found = np.zeros((rows, area.columns), int)
    for piece in seen(area, keys, 0, changed):
        found[piece.row - 3 : piece.row - 3 + piece.rows, piece.column - 2 : piece.column - 2 + piece.columns] += 1
    expected = [[j % keys <= i and (i, j) not in left_out for j in range(area.columns)] for i in range(rows)]
    np.testing.assert_array_equal(found, np.array(expected, int))


def test_too_many_pieces_are_none():
    keep = np.indices((60, 60)).sum(0) % 2 == 0
    assert keep.sum() > MOST_PIECES
    assert rectangles(Area("t", 0, 0, 60, 60), keep) is None


@pytest.fixture(scope="module")
def edited(model, trace, tmp_path_factory) -> tuple[Path, dict[str, tuple[int, int]]]:
    """A run with set cells of each kind of stage, and where they are."""
    cells = {"block_0_step_7": (5, 2), "block_1_step_6": (4, 1), "block_0_step_1": (2, 3), "block_1_step_14": (0, 7)}
    now, overrides = trace, {}
    for name in trace.steps.by_name:
        if name in cells:
            changed = now.array(name).copy()
            changed[cells[name]] = 0.5
            overrides[name] = changed
            now = model.run(PROMPT, overrides=overrides)
    return now.to_excel(tmp_path_factory.mktemp("edited") / "run.xlsx"), cells


def test_set_cells_are_marked_with_what_was_there_and_no_scale_lies_over_them(edited):
    path, cells = edited
    book, places = openpyxl.load_workbook(path), areas_of(path)
    notes = {}
    for name, (row, column) in cells.items():
        [area] = places[name]
        cell = book[area.tab].cell(area.row + 1 + row, area.column + 1 + column)
        notes[area.tab, cell.coordinate] = cell.comment.text
        assert cell.comment.text.startswith("set: 0.5, computed: ")
        assert scales_over(book[area.tab], cell.row, cell.column) == []
        assert scales_over(book[area.tab], area.row + 1 + row, area.column + 1) != []
    found = {(s.title, one.coordinate) for s in book for row in s.iter_rows() for one in row if one.comment}
    assert found == notes.keys()


def picture_of(path: Path, tab: str, area: str):
    libreoffice()
    poppler("pdftoppm")
    require("PIL", "plot")
    spec = importlib.util.spec_from_file_location("render", RENDER)
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)
    return render.part(path, tab, area)


@pytest.mark.office
def test_a_mark_is_seen_where_libreoffice_shows_it(edited):
    path, cells = edited
    for name in ("block_0_step_7", "block_0_step_1"):
        [area] = areas_of(path)[name]
        row, column = cells[name]
        shown = picture_of(path, area.tab, area.part(row, column, 1, 1).part(rows=1, columns=2).range())
        colours = {colour: count for count, colour in shown.getcolors(1 << 20)}
        assert colours.get(YELLOW, 0) > sum(colours.values()) / 5, name


# ------------------------------------------------------------------------------------------------ the rest of it


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_begin_with_the_best_and_then_stand_in_the_order_of_the_ids(kind, trace, files, books):
    [area], sheet = areas_of(files[kind])["logits"], books[kind]["logits"]
    first = area.row - 1 - 10
    found = [[cell.value for cell in sheet[row][:5]] for row in range(first, first + 10)]
    for one, row in zip(trace.predictions(10), found, strict=True):
        assert row[:2] == [one.id, one.token]
        assert row[2:4] == pytest.approx([one.logit, one.probability])
        assert row[4] == one.rank
    assert [sheet.cell(area.row + 1 + i, 1).value for i in range(3)] == [0, 1, 2]
    assert sheet.freeze_panes == f"C{first}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_space_before_a_token_is_seen_as_a_dot_and_the_cell_holds_the_token(kind, trace, files, books):
    sheet, [area] = books[kind]["block_0"], areas_of(files[kind])["block_0_step_3"]
    at = sheet.cell(area.row + 2, 2)
    assert at.value == trace.tokens[1]
    dots = [rule for ranges, rule in rules_of(sheet, "expression") if at.coordinate in ranges]
    assert [rule.dxf.numFmt.formatCode for rule in dots] == ['"·"@']


@pytest.mark.parametrize("kind", KINDS)
def test_charts_have_alt_text_and_labels_with_as_many_digits_as_they_need(kind, files):
    with ZipFile(files[kind]) as archive:
        drawings = [archive.read(name).decode() for name in archive.namelist() if "drawings/drawing" in name]
        charts = [archive.read(name).decode() for name in archive.namelist() if "charts/chart" in name]
    assert all(re.search(r'descr="[^"]{40,}"', one) for one in drawings)
    assert len(drawings) == len(charts) == {"values": 2, "live": 3}[kind]  # bars, a map, and live the wheel of picks
    assert sum('formatCode="[&gt;=0.1]0.0%;[&gt;=0.001]0.00%;0.0000%"' in chart for chart in charts) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_pages_have_titles_and_end_where_paper_helps_nobody(kind, books):
    for sheet in books[kind]:
        area = parse_range(sheet.print_area.rpartition("!")[2].replace("$", ""), sheet.title)
        if sheet.title != "index":
            assert area.rows <= PRINTED_ROWS
            assert area.columns <= PRINTED_COLUMNS
            assert sheet.print_title_rows == "$1:$1" or sheet["A1"].value != "← index"
        assert sheet.page_setup.orientation == "landscape"
        assert (sheet.sheet_properties.pageSetUpPr.fitToPage, sheet.page_setup.fitToHeight) == (True, 0)
        assert sheet.oddHeader.right.text == "&A"
        assert sheet.oddFooter.right.text == "Page &P of &N"


@pytest.mark.office
@pytest.mark.parametrize(("kind", "most"), [("values", 30), ("live", 80)])
def test_it_prints_on_few_pages(kind, most, files, tmp_path, soffice):
    made = soffice("pdf", files[kind], tmp_path)
    told = subprocess.run([poppler("pdfinfo"), made], check=True, capture_output=True, text=True).stdout
    assert int(re.search(r"Pages:\s+(\d+)", told)[1]) <= most


@pytest.mark.parametrize("kind", KINDS)
def test_digits_that_are_tokens_are_not_called_errors(kind, files):
    with ZipFile(files[kind]) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/sheet"):
                assert b'numberStoredAsText="1"' in archive.read(name)[-4000:], name


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_tab_leads_to_every_tab(kind, books):
    book = books[kind]
    links = {cell.hyperlink.location for row in book["index"].iter_rows() for cell in row if cell.hyperlink}
    reached = {place.rpartition("!")[0].strip("'") for place in links}
    assert {*book.sheetnames} - {"index"} <= reached
    assert "neighbours" in reached
