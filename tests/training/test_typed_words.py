"""The training workbook as a class uses it: words that can't be learned from, what follows the word, how it looks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import openpyxl
import pytest

from conftest import poppler
from sheetgpt import load_model
from sheetgpt.training.workbook.layout import BANDS_ROW
from sheetgpt.training.workbook.write import ROOM, write_training
from sheetgpt.workbook.reading.names import defined_names
from training_books import LIVE, trained, with_word, write_model

NOT_LEARNED = {  # word -> what the sheet says
    "bob": "b is not known: the model knows only a i l e n",
    "an n": "a space is not known: the model knows only",
    "Ann": "A is not known",
    "ann.": ". is not known",
    "annaanna": f"too long: {ROOM - 1} letters at most; nothing is learned from it",
    "": "type a word of the letters a i l e n",
}
OF_FIRST_STEP = ("model_logits", "model_wte", "model_wpe", "model_h", "model_mlp", "model_ln", "model_lm")


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Callable[[str], Path]:
    """`live("die")`: the workbook of two steps, written once. Whoever changes a file changes a copy."""
    folder = tmp_path_factory.mktemp("live")

    @cache
    def book(model: str) -> Path:
        training = trained(folder / model, model, room=ROOM, steps=2)
        return write_training(training, folder / f"{model}.xlsx", live=True)

    return book


@pytest.fixture(scope="module")
def opened(live) -> Callable[[str], openpyxl.Workbook]:
    """The same, read once."""
    return cache(lambda model: openpyxl.load_workbook(live(model)))


def cells(book, tab: str) -> dict[str, object]:
    return {cell.coordinate: cell.value for row in book[tab].iter_rows() for cell in row if cell.value is not None}


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.office
@pytest.mark.parametrize("model", ["die", "bigram", "attention"])
def test_a_word_that_cant_be_learned_from_is_named_and_leaves_the_rest_empty(model, live, tmp_path, recalculate):
    made = live(model)
    files = [with_word(made, tmp_path / f"{number}.xlsx", word) for number, word in enumerate(NOT_LEARNED)]
    for file, said in zip(recalculate(*files), NOT_LEARNED.values(), strict=True):
        book = openpyxl.load_workbook(file, data_only=True)
        everything = {f"{tab}!{at}": value for tab in book.sheetnames for at, value in cells(book, tab).items()}
        assert not {at: v for at, v in everything.items() if isinstance(v, str) and v.startswith("#")}
        assert any(isinstance(value, str) and value.startswith(said) for value in cells(book, "training").values())
        for name, (area, *_) in defined_names(file).items():
            if area.tab != "training" or area.row < BANDS_ROW or name.startswith(OF_FIRST_STEP):
                continue
            rows = book["training"].iter_rows(
                area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns, values_only=True
            )
            assert {value for row in rows for value in row} <= {None, ""}, name
        assert not [v for v in cells(book, "loss").values() if isinstance(v, float)]


@pytest.mark.office
@pytest.mark.parametrize("model", ["die", "mlp"])
def test_the_first_tab_follows_the_word_and_the_check_says_that_it_does_not(model, live, tmp_path, recalculate):
    made = live(model)
    files = [made, with_word(made, tmp_path / "other.xlsx", "lilie")]
    expected = trained(tmp_path / "again", model, "lilie", room=ROOM, steps=2)
    same, other = (openpyxl.load_workbook(file, data_only=True) for file in recalculate(*files))
    index = list(cells(other, "index").values())
    assert index[index.index("Text") + 1] == "lilie"
    assert index[index.index("Loss before") + 1] == pytest.approx(expected.steps[0].loss)
    assert index[index.index("Loss of the last step") + 1] == pytest.approx(expected.steps[1].loss)
    assert cells(same, "gradient_check")["C2"] == "of the first step on 'ann', computed when this file was written"
    assert "NOT of the word that is typed now" in cells(other, "gradient_check")["C2"]


# ------------------------------------------------------------------------------------------------ what is where


@pytest.mark.parametrize("model", LIVE)
def test_no_labels_but_the_steps_own_stay_frozen(model, opened):
    sheet = opened(model)["training"]
    assert sheet.freeze_panes == "C2"
    beside = [row for row in sheet.iter_rows(BANDS_ROW + 1, max_col=2) if any(cell.value for cell in row)]
    words = {cell.value for row in beside for cell in row if isinstance(cell.value, str)}
    assert words <= {"step 1", "step 2", "loss", "mean of 1 - p", "mean of -ln p"} | {
        cell.value for row in beside for cell in row if str(cell.value).startswith("=")
    }
    assert len(beside) == 3 * 2  # of each step its number, its loss, and what that is the mean of


@pytest.mark.parametrize("formulas", [True, False])
@pytest.mark.parametrize("model", ["die", "attention", "gpt2"])
def test_the_first_tab_has_a_link_to_every_matrix_and_every_step(model, formulas, tmp_path):
    training = trained(tmp_path / "m", model, steps=3, room=ROOM)
    book = openpyxl.load_workbook(write_training(training, tmp_path / "t.xlsx", live=formulas))
    links = {cell.value: cell.hyperlink.location for row in book["index"].iter_rows() for cell in row if cell.hyperlink}
    for name in [*training.steps[0].matrices, "step 1", "step 2", "step 3"]:
        tab, _, at = links[name].rpartition("!")
        assert book[tab.strip("'")][at].value == name
    heads = [cell for row in book["training"].iter_rows() for cell in row if cell.hyperlink and cell.row > BANDS_ROW]
    assert len(heads) == 3 * len(training.steps[0].matrices)


@pytest.mark.parametrize("model", LIVE)
def test_a_tab_of_positions_stands_only_where_formulas_read_it(model, opened):
    book = opened(model)
    is_read = any(re.search(r"(?<!n_)positions", formula) for formula in formulas_of(book["training"]))
    assert ("positions" in book.sheetnames) == is_read
    assert ("positions" in book.sheetnames) == (model not in {"die", "softmax", "bigram", "mlp"})


def formulas_of(sheet) -> list[str]:
    found = []
    for row in sheet.iter_rows():
        for cell in row:
            text = getattr(cell.value, "text", cell.value)
            if isinstance(text, str) and text.startswith("="):
                found.append(text)
    return found


def test_nudges_stand_beside_the_weights_with_the_decimals_that_show_them(live):
    file = live("die")
    names, sheet = defined_names(file), openpyxl.load_workbook(file, data_only=True)["training"]
    table = [names[name][0] for name in ("model_logits", "nudged_loss", "nudged_slope", "new_model_logits")]
    assert all(left.column + 1 == right.column and left.row == right.row for left, right in pairwise(table))
    rows = [[f"{sheet.cell(area.row + 1 + i, area.column + 1).value:.5f}" for area in table] for i in range(6)]
    assert rows[0][:2] == ["0.62000", "0.88636"]  # from 0.88678
    assert [row[3][:5] for row in rows] == ["0.624", "0.446", "0.846", "0.666", "0.181", "0.534"]
    for area in table[1:3]:
        assert sheet.cell(area.row + 1, area.column + 1).number_format == "0.00000"
    letters = [sheet.cell(table[0].row + 1 + i, table[0].column).value for i in range(6)]
    assert letters == [*"ailen."]


@pytest.mark.parametrize("model", ["softmax", "attention"])
def test_no_number_is_shown_with_all_its_digits(model, live):
    book = openpyxl.load_workbook(live(model), data_only=True)
    for tab in book.sheetnames:
        for row in book[tab].iter_rows():
            for cell in row:
                is_long = isinstance(cell.value, float) and len(repr(cell.value)) > 8
                assert not is_long or cell.number_format != "General", (tab, cell.coordinate, cell.value)


@pytest.mark.office
@pytest.mark.parametrize("formulas", [True, False])
def test_masked_scores_can_be_read_and_nothing_is_seen_beyond_the_word(formulas, tmp_path, soffice):
    training = trained(tmp_path / "m", "attention", steps=1, room=ROOM if formulas else 0)
    book = openpyxl.load_workbook(write_training(training, tmp_path / "t.xlsx", live=formulas))
    for sheet in book:  # all of it on paper, not only the first columns
        sheet.print_area, sheet.sheet_properties.pageSetUpPr.fitToPage = None, False
    book.save(tmp_path / "whole.xlsx")
    pdf = soffice("pdf", tmp_path / "whole.xlsx", tmp_path)
    command = [poppler("pdftotext"), "-layout", pdf, "-"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "###" not in shown
    masked = sum(range(4)) * 3  # the mask, and the scores of two heads
    assert len(re.findall(r"-1E\+10", shown)) == masked
    shares = next(line for line in shown.splitlines() if "share of the loss" in line)
    assert shares.split()[4:] == ["0.250"] * 4


def test_the_live_workbooks_title_says_which_model_it_is(tmp_path):
    for model, title in (("die", "The die, live"), ("mlp", "MLP, live")):
        trace = write_model(tmp_path / model, model).run(".ann" if model == "mlp" else "ann")
        book = openpyxl.load_workbook(trace.to_excel(tmp_path / f"{model}.xlsx", formulas=True))
        assert book["index"]["B1"].value == title
        assert book.properties.title == title
    assert load_model().config.model == "gpt2"


def test_a_larger_models_steps_have_a_curve_and_links(tmp_path):
    from zipfile import ZipFile

    from sheetgpt.training.example import example
    from sheetgpt.training.optimizers import Settings
    from sheetgpt.training.step import train_steps

    model = load_model()
    settings = Settings(steps=3, optimizer="sgd", learning_rate=0.1)
    training = train_steps(model, example(model, "Mike is quick."), settings, "Mike is quick.")
    file = write_training(training, tmp_path / "t.xlsx")
    assert [name for name in ZipFile(file).namelist() if "charts/chart" in name]
    book = openpyxl.load_workbook(file)
    rows = [row[:2] for row in book["loss"].iter_rows(values_only=True)]
    at = rows.index(("step", "loss"))
    assert [row[1] for row in rows[at + 1 : at + 4]] == pytest.approx([step.loss for step in training.steps])
    links = {cell.value for row in book["index"].iter_rows() for cell in row if cell.hyperlink}
    assert set(training.steps[0].matrices) <= links
