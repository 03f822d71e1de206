"""Neighbours: the cosine's laws, the plane's, which token is meant, and what the command writes."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import models
from command_line import sheetgpt_here
from conftest import require
from sheetgpt import corpus, load_model
from sheetgpt.commands.neighbours import command
from sheetgpt.errors import PromptError
from sheetgpt.lens import neighbours as lens
from sheetgpt.lens import scatter
from sheetgpt.models.config import Config
from sheetgpt.sheets.neighbours import TAB

PROMPT = "Mike is quick. He moves"
TABLES = hnp.arrays(float, st.tuples(st.integers(2, 30), st.integers(1, 6)), elements=st.floats(-9, 9, width=16))


@pytest.fixture(scope="module")
def model():
    return load_model()


@settings(max_examples=60, deadline=None)
@given(table=TABLES, seed=st.integers(0, 99))
def test_a_cosine_is_the_product_of_two_directions(table, seed):
    i = seed % len(table)
    for row, found in zip(table, lens.cosines(table, i), strict=True):
        lengths = np.linalg.norm(row) * np.linalg.norm(table[i])
        assert found == pytest.approx(row @ table[i] / lengths if lengths else 0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(table=TABLES, seed=st.integers(0, 99), count=st.integers(1, 40))
def test_the_nearest_are_all_others_sorted_and_cut(table, seed, count):
    i = seed % len(table)
    found, cosines = lens.nearest(table, i, count), lens.cosines(table, i)
    assert [one for one, _ in found] == sorted(set(range(len(table))) - {i}, key=lambda j: (-cosines[j], j))[:count]


@settings(max_examples=40, deadline=None)
@given(table=TABLES, data=st.data(), count=st.integers(1, 12), at_once=st.integers(1, 31))
def test_the_nearest_of_several_rows_are_those_of_each(table, data, count, at_once):
    table = np.round(table)  # so that some are equal
    ids = data.draw(st.lists(st.integers(0, len(table) - 1), min_size=1, max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lens, "ROWS_AT_ONCE", at_once)
        found, cosines = lens.nearest_of(table, ids, count), {i: lens.cosines(table, i) for i in ids}
    assert list(found) == list(dict.fromkeys(ids))
    for i, near in found.items():
        expected = sorted(set(range(len(table))) - {i}, key=lambda j: (-cosines[i][j], j))[:count]
        assert near == [(j, cosines[i][j]) for j in expected]


@settings(max_examples=40, deadline=None)
@given(table=TABLES)
def test_a_plane_keeps_what_two_dimensions_can_keep(table):
    found = lens.plane(table)
    centred = table - table.mean(0)
    values = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    assert np.sum(found.points**2) == pytest.approx(values[:2].sum(), abs=1e-6)
    assert abs(found.points[:, 0] @ found.points[:, 1]) < 1e-6
    if values.sum() > 1e-6:
        assert sum(found.shares) == pytest.approx(values[:2].sum() / values.sum(), abs=1e-6)


def test_many_rows_at_once_or_few_are_the_same(model, monkeypatch):
    table = lens.token_table(model)
    whole = lens.cosines(table, 300)
    monkeypatch.setattr(lens, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(lens.cosines(table, 300), whole, atol=1e-12)


def test_every_token_is_found_by_its_spelling(model):
    for i, token in enumerate(model.tokenizer.tokens):
        assert model.tokenizer.tokens[lens.find_token(model.tokenizer, token)] == token, i


@pytest.mark.parametrize(
    ("text", "says"), [("slow", "put a space before it: ' slow'"), ("mike", "'Mike'"), ("zzzz", "sheetgpt tokenize")]
)
def test_what_is_no_token_is_answered_with_what_is_like_it(text, says, model):
    with pytest.raises(PromptError, match="is no token of this model") as error:
        lens.find_token(model.tokenizer, text)
    assert says in str(error.value)


def test_a_man_s_neighbours_are_names(model):
    """The corpus uses all men's names alike."""
    from sheetgpt.corpus import HE, SHE

    found = lens.neighbours(lens.token_table(model), model.vocabulary(), lens.find_token(model.tokenizer, "Mike"), 10)
    assert {one.token.strip() for one in found} <= {*HE, *SHE}


# ------------------------------------------------------------------------------------------------ the command


def test_json_holds_what_the_table_shows():
    data = json.loads(CliRunner().invoke(command, ["Mike", "-n", "3", "--json"]).output)
    shown = CliRunner().invoke(command, ["Mike", "-n", "3"]).output
    assert [one["rank"] for one in data["neighbours"]] == [1, 2, 3]
    for one in data["neighbours"]:
        assert f'"{one["token"]}"' in shown
        assert f"{one['cosine']:.4f}" in shown


def test_a_token_by_its_id_is_the_token(model):
    i = lens.find_token(model.tokenizer, "Mike")
    by_name, by_id = (CliRunner().invoke(command, words).output for words in (["Mike"], [str(i), "--by-id"]))
    assert by_name == by_id


def test_a_model_without_a_token_table_is_asked_by_id(tmp_path):
    models.write_random_model(tmp_path, models.SMALL)
    assert sheetgpt_here("neighbours", "7", "--weights", tmp_path, "--by-id").code == 0
    assert "--by-id" in sheetgpt_here("neighbours", "7", "--weights", tmp_path).error
    assert "ids are 0 to 39" in sheetgpt_here("neighbours", "40", "--weights", tmp_path, "--by-id").error


def test_a_model_without_vectors_is_refused_in_one_line(tmp_path):
    models.write_random_model(tmp_path, Config(1, 1, 1, 8, 6, model="softmax"))
    assert "has no vectors for tokens" in sheetgpt_here("neighbours", "1", "--weights", tmp_path, "--by-id").error


def test_the_picture_is_of_the_kind_that_its_name_says(tmp_path, monkeypatch):
    require("matplotlib", "plot")
    monkeypatch.chdir(tmp_path)
    for name, begins in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("b.svg", b"<?xml")):
        done = CliRunner().invoke(command, [" quick", "--plot", name])
        assert done.exit_code == 0, done.output
        assert Path(name).read_bytes().startswith(begins)
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert "ends in .png or .svg" in sheetgpt_here("neighbours", "Mike", "--plot", "a.jpg").error


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), wide=st.floats(0.1, 1000))
def test_names_in_the_picture_are_apart_where_it_is_drawn(seed, wide):
    from matplotlib import pyplot as plt

    points = np.random.default_rng(seed).normal(size=(200, 2)) * [wide, 1]
    names = [f"$ {number}_$" for number in range(len(points))]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(plt, "close", lambda _figure: None)
        scatter.write_map(lens.Plane(points, (0.5, 0.4)), names, 10, Path(folder) / "map.svg")
    figure = plt.gcf()
    figure.canvas.draw()
    named = [text.xy for text in figure.axes[0].texts]
    at = figure.axes[0].transData.transform(named)
    plt.close("all")
    assert len(at) > 1
    for number, one in enumerate(at):
        assert (np.abs(at[:number] - one) >= np.array(scatter.NAME_SIZE) - 0.01).any(axis=1).all()


# ------------------------------------------------------------------------------------------------ the tab


def lines(path):
    """The tab's tokens: (their neighbours, their cosines), as they stand there."""
    rows = [list(row) for row in openpyxl.load_workbook(path)[TAB].iter_rows(values_only=True)]
    return {row[1]: (row[2:12], below[2:12]) for row, below in pairwise(rows) if below[1] == "cosine"}


@pytest.mark.parametrize("formulas", [False, True])
def test_a_run_s_workbook_has_the_neighbours_of_its_tokens(formulas, model, tmp_path):
    trace = model.run(PROMPT)
    path = trace.to_excel(tmp_path / "run.xlsx", formulas=formulas)
    found, table = lines(path), lens.token_table(model)
    assert list(found) == trace.tokens
    for i, token in zip(trace.token_ids, trace.tokens, strict=True):
        expected = lens.neighbours(table, model.vocabulary(), i)
        assert found[token] == ([one.token for one in expected], [one.cosine for one in expected])


def test_the_map_holds_every_token_and_a_chart_that_says_what_it_is(model, tmp_path):
    from zipfile import ZipFile

    path = model.run(PROMPT).to_excel(tmp_path / "run.xlsx")
    sheet = openpyxl.load_workbook(path)[TAB]
    assert len(sheet._charts) == 1
    ids = [row[0] for row in sheet.iter_rows(min_row=20, values_only=True) if isinstance(row[0], int)]
    assert sorted(ids) == list(range(model.config.n_vocab))
    with ZipFile(path) as file:
        drawings = [file.read(name).decode() for name in file.namelist() if name.startswith("xl/drawings/drawing")]
    assert any('descr="Scatter chart' in text for text in drawings)


def test_of_a_large_vocabulary_only_neighbours_are_mapped(model, tmp_path, monkeypatch):
    monkeypatch.setattr(lens, "MOST_MAPPED", 500)
    path = model.run("Mike").to_excel(tmp_path / "run.xlsx")
    sheet = openpyxl.load_workbook(path)[TAB]
    ids = [row[0] for row in sheet.iter_rows(min_row=15, values_only=True) if isinstance(row[0], int)]
    assert len(ids) == 11


def test_a_run_with_other_vectors_has_no_such_tab(model, tmp_path):
    trace = model.run(PROMPT)
    other = model.run(PROMPT, overrides={"model_wte": 2 * model.weights["model_wte"]}, base=trace)
    assert TAB not in openpyxl.load_workbook(other.to_excel(tmp_path / "run.xlsx")).sheetnames


def test_verbs_are_closer_to_each_other_than_names_and_names_than_adjectives(model):
    """docs/lesson.md asks why of the first."""
    names = mean_cosine(model, [name for name in corpus.HE if name in model.tokenizer.tokens])
    verbs = mean_cosine(model, [f" {verb}" for verb in corpus.VERBS])
    adjectives = mean_cosine(model, [f" {adjective}" for adjective in corpus.ADVERBS])
    assert verbs > names + 0.05 > adjectives + 0.1


def mean_cosine(model, tokens):
    ids = [model.tokenizer.tokens.index(token) for token in tokens]
    pairs = np.array([lens.cosines(lens.token_table(model), i)[ids] for i in ids])
    return (pairs.sum() - len(ids)) / (len(ids) * (len(ids) - 1))
