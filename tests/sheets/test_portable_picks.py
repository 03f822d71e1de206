"""The tab of picks in the portable live workbook: every program makes of the inputs the pick of `generate`."""

from __future__ import annotations

from dataclasses import replace
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
    for name, config in (("small", SMALL), ("large", replace(SMALL, n_layer=1, n_vocab=ALL_RANKS + 1))):
        write_random_model(folder / name, config)
        found[name] = load_model(folder / name).run(token_ids=random_ids(config, 3))
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_every_program_picks_as_generate_does(engine, traces, tmp_path, recalculate):
    for name, spins in (("small", [*SPINS, *drawn(5)]), ("large", LARGE)):
        path = write_portable_workbook(traces[name], tmp_path / f"{name}.xlsx")
        logits = traces[name].role(Role.LOGITS)[:, -1]
        copies = [typed(path, tmp_path / f"{name}{i}.xlsx", spin) for i, spin in enumerate(spins)]
        for cells, spin in zip(computed(engine, copies, recalculate), spins, strict=True):
            require_pick(rows_of(cells, len(logits) if name == "small" else 10), logits, spin)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_cannot_be_an_input_is_told_and_nothing_is_picked(engine, traces, tmp_path, recalculate):
    path = write_portable_workbook(traces["small"], tmp_path / "x.xlsx")
    copies = [typed(path, tmp_path / f"{name}.xlsx", Spin(), **{name: value}) for name, value in WRONG.items()]
    for cells, name in zip(computed(engine, copies, recalculate), WRONG, strict=True):
        said = name.replace("_", "-" if name.startswith("top") else " ")
        assert text_of(cells, Area(picks.PICK, picks.MESSAGE, 1, 1, 1)).startswith(f"{said}: type")
        found = [row[1] for row in rows_of(cells, 1)]
        assert {str(found[row]) for row in (picks.PICKED, picks.TOKEN, picks.APPEND)} <= {"", "None", "nan"}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_words_show_the_pick_and_what_to_dump_next(engine, tmp_path, recalculate):
    trace = load_model().run(PROMPT)
    path = write_portable_workbook(trace, tmp_path / "x.xlsx")
    copies = [
        typed(path, tmp_path / "rolled.xlsx", Spin(), roll=1),
        typed(path, tmp_path / "best.xlsx", Spin(temperature=0)),
    ]
    rolled, best = computed(engine, copies, recalculate)
    areas, token = name_areas(path), trace.predicted_token
    assert 0 <= rolled(Area(picks.PICK, picks.STOPS, 1, 1, 1))[0][0] < 1
    assert text_of(best, areas["picked_token"]) == token
    said = f"this sheet is laid out for 6 tokens: dump the text with {token.replace(' ', '·')} behind it"
    assert text_of(best, areas["to_append"]) == said
    words = {value for row in best(Area("words", 0, 0, 6, 30)) for value in row if isinstance(value, str)}
    assert {token, said} <= words


def test_cached_values_are_those_of_the_default_inputs(tmp_path, traces):
    for trace in (load_model().run(PROMPT), traces["small"]):
        path = write_portable_workbook(trace, tmp_path / "x.xlsx")
        copy = typed(path, tmp_path / "bare.xlsx", Spin())
        sheet, cells = openpyxl.load_workbook(path, data_only=True)["pick"], RECALCULATING["ironcalc"](copy)
        for row in range(picks.STOPS, picks.APPEND + 1):
            expected = cells(Area(picks.PICK, row, 1, 1, 1))[0][0]
            shown = sheet.cell(row + 1, 2).value or ""
            assert shown == (expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-9)), row
