"""The tab of picks in the portable live workbook: every program makes of the inputs the pick of `generate`."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import openpyxl
import pytest

from engines import RECALCULATING, Cells, of_file, text_of, with_typed
from models import SMALL, random_ids, write_random_model
from portable_books import PROMPT, name_areas
from sheetgpt.model import load_model
from sheetgpt.models.step import Role
from sheetgpt.sheets.live import picks
from sheetgpt.sheets.live.labels import ALL_RANKS
from sheetgpt.sheets.live.portable import write_portable_workbook
from sheetgpt.workbook.grid import Area
from spins import INPUT, SPINS, Spin, drawn, require_pick

pytestmark = pytest.mark.office
ONE_BLOCK = replace(SMALL, n_layer=1)  # as many logits
ENGINES = ["libreoffice", *RECALCULATING]
LARGE = (Spin(random=0.95), Spin(top_k=40, temperature=2, random=0.8), Spin(top_k=4, top_p=0.6, random=0.9))
WRONG = {"temperature": -1, "top_k": 2.5, "top_p": 1.5, "random_number": 1}


def typed(path: Path, copy: Path, spin: Spin, **others) -> Path:
    """A copy with a spin typed, in which no formula has a value."""
    values = {"temperature": spin.temperature, "top_k": spin.top_k, "top_p": spin.top_p, "random_number": spin.random}
    return with_typed(path, copy, {(picks.PICK, INPUT[name]): value for name, value in (values | others).items()})


def computed(engine: str, paths: list[Path], recalculate) -> list[Cells]:
    if engine == "libreoffice":
        return [of_file(path) for path in recalculate(*paths)]
    return [RECALCULATING[engine](path) for path in paths]


def rows_of(cells: Cells, rows: int) -> list[list]:
    return cells(Area(picks.PICK, 0, 0, picks.HEAD_ROW + 1 + rows, len(picks.HEADS)))


@pytest.fixture(scope="module")
def traces(tmp_path_factory) -> dict[str, object]:
    """Runs of models without words, one with all tokens as candidates, one with the ten best."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for name, config in (("small", ONE_BLOCK), ("large", replace(ONE_BLOCK, n_vocab=ALL_RANKS + 1))):
        write_random_model(folder / name, config)
        found[name] = load_model(folder / name).run(token_ids=random_ids(config, 3))
    return found


@pytest.fixture(scope="module")
def books(traces, tmp_path_factory) -> dict[str, Path]:
    """The workbook of each run, and of README's prompt. Whoever changes a file changes a copy."""
    folder, runs = tmp_path_factory.mktemp("books"), {**traces, "words": load_model().run(PROMPT)}
    return {name: write_portable_workbook(trace, folder / f"{name}.xlsx") for name, trace in runs.items()}


CHOSEN = {"small": (*SPINS, *drawn(5)), "large": LARGE}


@pytest.fixture(scope="module")
def spun(books, tmp_path_factory) -> dict[str, list[Path]]:
    """A copy for every spin."""
    folder = tmp_path_factory.mktemp("spun")
    return {
        name: [typed(books[name], folder / f"{name}{i}.xlsx", spin) for i, spin in enumerate(spins)]
        for name, spins in CHOSEN.items()
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_every_program_picks_as_generate_does(engine, traces, spun, recalculate):
    found = iter(computed(engine, [*chain.from_iterable(spun.values())], recalculate))
    for name, spins in CHOSEN.items():
        logits = traces[name].role(Role.LOGITS)[:, -1]
        for spin in spins:
            require_pick(rows_of(next(found), len(logits) if name == "small" else 10), logits, spin)


@pytest.fixture(scope="module")
def wrong_files(books, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wrong")
    return [typed(books["small"], folder / f"{name}.xlsx", Spin(), **{name: value}) for name, value in WRONG.items()]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_cannot_be_an_input_is_told_and_nothing_is_picked(engine, wrong_files, recalculate):
    for cells, name in zip(computed(engine, wrong_files, recalculate), WRONG, strict=True):
        said = name.replace("_", "-" if name.startswith("top") else " ")
        assert text_of(cells, Area(picks.PICK, picks.MESSAGE, 1, 1, 1)).startswith(f"{said}: type")
        found = [row[1] for row in rows_of(cells, 1)]
        assert {str(found[row]) for row in (picks.PICKED, picks.TOKEN, picks.APPEND)} <= {"", "None", "nan"}


@pytest.fixture(scope="module")
def rolled_and_best(books, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rolled")
    return [
        typed(books["words"], folder / "rolled.xlsx", Spin(), roll=1),
        typed(books["words"], folder / "best.xlsx", Spin(temperature=0)),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_words_show_the_pick_and_what_to_dump_next(engine, books, rolled_and_best, recalculate):
    rolled, best = computed(engine, rolled_and_best, recalculate)
    areas, token = name_areas(books["words"]), load_model().run(PROMPT).predicted_token
    assert 0 <= rolled(Area(picks.PICK, picks.STOPS, 1, 1, 1))[0][0] < 1
    assert text_of(best, areas["picked_token"]) == token
    said = f"this sheet is laid out for 6 tokens: dump the text with {token.replace(' ', '·')} behind it"
    assert text_of(best, areas["to_append"]) == said
    words = {value for row in best(Area("words", 0, 0, 6, 30)) for value in row if isinstance(value, str)}
    assert {token, said} <= words


def test_cached_values_are_those_of_the_default_inputs(books, tmp_path):
    for path in (books["words"], books["small"]):
        copy = typed(path, tmp_path / "bare.xlsx", Spin())
        sheet, cells = openpyxl.load_workbook(path, data_only=True)["pick"], RECALCULATING["ironcalc"](copy)
        for row in range(picks.STOPS, picks.APPEND + 1):
            expected = cells(Area(picks.PICK, row, 1, 1, 1))[0][0]
            shown = sheet.cell(row + 1, 2).value or ""
            assert shown == (expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-9)), row
