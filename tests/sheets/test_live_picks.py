"""The tab of picks: LibreOffice makes of temperature, top-k, top-p and a random number the pick of `generate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from engines import with_typed
from models import SMALL, random_ids, write_random_model
from sheetgpt.generate.sample import Sampling, candidates, pick_index
from sheetgpt.model import load_model
from sheetgpt.models.step import Role
from sheetgpt.sheets.live import picks
from sheetgpt.sheets.live.labels import ALL_RANKS
from sheetgpt.sheets.live.write import write_live_workbook
from spins import INPUT, SPINS, Spin, drawn, require_pick

PROMPT = "Mike is quick. He moves"
ONE_BLOCK = replace(SMALL, n_layer=1)  # as many logits


def rows_of(path: Path, tab: str) -> list[list]:
    return CalamineWorkbook.from_path(path).get_sheet_by_name(tab).to_python(skip_empty_area=False)


def type_spin(path: Path, copy: Path, spin: Spin, **others) -> Path:
    """A copy with a spin typed, in which no formula has a value."""
    typed = {"temperature": spin.temperature, "top_k": spin.top_k, "top_p": spin.top_p, "random_number": spin.random}
    return with_typed(path, copy, {("pick", INPUT[name]): value for name, value in (typed | others).items()})


@pytest.mark.office
def test_libreoffice_picks_as_generate_does(tmp_path, recalculate):
    write_random_model(tmp_path / "small", ONE_BLOCK)
    trace = load_model(tmp_path / "small").run(token_ids=random_ids(ONE_BLOCK, 5))
    spins = [*SPINS, *drawn(6)]
    file = write_live_workbook(trace, tmp_path / "written.xlsx", max_tokens=5)
    files = [type_spin(file, tmp_path / f"{i}.xlsx", spin) for i, spin in enumerate(spins)]
    for path, spin in zip(recalculate(*files), spins, strict=True):
        require_pick(rows_of(path, "pick"), trace.role(Role.LOGITS)[:, -1], spin)


@pytest.mark.office
def test_of_a_large_vocabulary_the_ten_best_are_the_candidates(tmp_path, recalculate):
    config = replace(SMALL, n_layer=1, n_vocab=ALL_RANKS + 1)
    write_random_model(tmp_path / "large", config)
    trace = load_model(tmp_path / "large").run(token_ids=random_ids(config, 3))
    spins = (Spin(random=0.95), Spin(top_k=40, temperature=2, random=0.8), Spin(top_k=4, top_p=0.6, random=0.9))
    file = write_live_workbook(trace, tmp_path / "written.xlsx", max_tokens=4)
    assert "of 2,001 tokens, the ten best are the candidates, as with top-k 10" in rows_of(file, "pick")[1]
    files = [type_spin(file, tmp_path / f"{i}.xlsx", spin) for i, spin in enumerate(spins)]
    for path, spin in zip(recalculate(*files), spins, strict=True):
        require_pick(rows_of(path, "pick"), trace.role(Role.LOGITS)[:, -1], spin)


WRONG = {"temperature": (-1, "hot", None), "top_k": (0, 2.5, "x"), "top_p": (0, 1.5), "random_number": (1, -0.1, None)}


@pytest.mark.office
def test_what_cannot_be_an_input_is_told_and_nothing_is_picked(tmp_path, recalculate):
    write_random_model(tmp_path / "small", ONE_BLOCK)
    trace = load_model(tmp_path / "small").run(token_ids=random_ids(ONE_BLOCK, 5))
    file, files = write_live_workbook(trace, tmp_path / "written.xlsx", max_tokens=5), {}
    for name, values in WRONG.items():
        for number, value in enumerate(values):
            files[type_spin(file, tmp_path / f"{name}{number}.xlsx", Spin(), **{name: value})] = name
    for path, name in zip(recalculate(*files), files.values(), strict=True):
        rows = rows_of(path, "pick")
        said = name.replace("_", "-" if name.startswith("top") else " ")
        assert rows[picks.MESSAGE][1].startswith(f"{said}: type ")
        assert [rows[row][1] for row in (picks.PICKED, picks.TOKEN, picks.SHARE, picks.APPEND)] == [""] * 4


# ------------------------------------------------------------------------------------------------ the loop


@pytest.fixture(scope="module")
def model():
    """The embedded model."""
    return load_model()


def hint(path: Path) -> dict[int, str]:
    """Row of the tab words, from 1 -> what stands beside it as the next word."""
    rows = rows_of(path, "words")
    return {number: row[2] for number, row in enumerate(rows, start=1) if str(row[2]).startswith("\u2190")}


@pytest.mark.office
def test_what_is_told_to_be_typed_next_makes_the_loop_go_on(model, tmp_path, recalculate):
    words, made = ["Mike", " is", " quick", ".", " He", " moves"], model.run(PROMPT)
    file = written = write_live_workbook(made, tmp_path / "0.xlsx", max_tokens=9)
    typed = {("pick", INPUT["temperature"]): 0}
    expected = [one.token for one in model.generate(PROMPT, 2, greedy=True)]
    for step, token in enumerate(expected):
        row = 5 + len(words)
        token_id = model.run("".join(words)).predictions(1)[0].id
        assert hint(file) == {row: "\u2190 " + token.replace(" ", "·")}
        append = rows_of(file, "pick")[picks.APPEND][1]
        assert append == f"type {token.replace(' ', '·')} into words!B{row}, or its id {token_id} into words!E{row}"
        at, value = (f"B{row}", token) if step == 0 else (f"E{row}", token_id)
        typed[("words", at)] = value
        file = recalculate(with_typed(written, tmp_path / f"{step + 1}.xlsx", typed))
        words.append(token)
    assert [one for one in rows_of(file, "embeddings")[5] if one][1:9] == [*model.run(PROMPT).tokens, *expected]


@pytest.mark.office
def test_a_full_sheet_says_so_and_a_roll_makes_a_number_of_its_own(model, embedded_book, tmp_path, recalculate):
    trace = model.run(PROMPT)
    full = write_live_workbook(trace, tmp_path / "full.xlsx", max_tokens=len(trace.token_ids))
    rolled = type_spin(embedded_book(formulas=True), tmp_path / "rolled.xlsx", Spin(), roll=1)
    full, rolled = recalculate(full, rolled)
    assert rows_of(full, "pick")[picks.APPEND][1].startswith("no room for more than 6 tokens")
    assert hint(full) == {}
    number = rows_of(rolled, "pick")[picks.STOPS][1]
    assert 0 <= number < 1
    assert number != 0.5
    require = candidates(trace.role(Role.LOGITS)[:, -1], Sampling(1.0))
    assert rows_of(rolled, "pick")[picks.PICKED][1] == pick_index(require.probabilities, number) + 1


def test_cached_values_are_generate_s_pick(model, embedded_book):
    trace = model.run(PROMPT)
    rows = rows_of(embedded_book(formulas=True), "pick")
    found = candidates(trace.role(Role.LOGITS)[:, -1], Sampling(1.0))
    assert [row[picks.ID] for row in rows[picks.HEAD_ROW + 1 :]] == found.ids.tolist()
    assert rows[picks.TOKEN][1] == trace.labels.vocabulary()[int(found.ids[pick_index(found.probabilities, 0.5)])]


def test_the_wheel_is_a_doughnut_of_the_candidates_and_says_what_it_is(embedded_book):
    charts = openpyxl.load_workbook(embedded_book(formulas=True))["pick"]._charts
    assert [type(chart).__name__ for chart in charts] == ["DoughnutChart"]
    assert [series.val.numRef.f.split("!")[0] for series in charts[0].series] == ["pick", "pick"]
