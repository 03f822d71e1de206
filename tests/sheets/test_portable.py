"""The portable live workbook: Gnumeric, IronCalc, formualizer and LibreOffice compute what `run` does, from scratch.

No file that they are given holds the value of any formula, so whatever a program shows it has computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engines import RECALCULATING, Cells, of_file, text_of, with_typed
from portable_books import EMBEDDED, PROMPT, TINY, differences, name_areas
from sheetgpt.bpe.words import cut
from sheetgpt.model import load_model
from sheetgpt.models.kinds import matrix_shapes
from sheetgpt.workbook.grid import Area, cell

pytestmark = pytest.mark.office
OTHER, SWAPPED = "Mike is warm. He moves", "Mike is moves. He quick"  # other words, as many tokens
FIRST_WORD = 5  # row of the tab words
ENGINES = ["libreoffice", *RECALCULATING]


# ------------------------------------------------------------------------------------------------ edits

Typed = dict[tuple[str, str], float | str | None]


def words_tab(words: dict[int, str | None]):
    """Words typed into rows of the tab."""
    return lambda _areas: {("words", cell(FIRST_WORD - 1 + row, 1)): word for row, word in words.items()}


def words_of(prompt: str):
    return words_tab(dict(enumerate(cut(prompt))))


def cell_of(name: str, row: int, column: int, value: float):
    def edit(areas) -> Typed:
        area = areas[name]
        return {(area.tab, cell(area.row + row, area.column + column)): value}

    return edit


def below_the_words(areas) -> Typed:
    area = areas["words_beyond"]
    return {("words", cell(area.row, area.column)): " is"}


def overridden(name: str, row: int, column: int, value: float, prompt: str = PROMPT):
    def expected(model):
        base = model.run(prompt)
        matrix = np.array(model.weights[name] if name in model.weights else base.array(name))
        matrix[row, column] = value
        return model.run(prompt, overrides={name: matrix})

    return expected


@dataclass
class Case:
    """A portable workbook of PROMPT: of which model, what is changed in it, and what it should compute then."""

    model: str
    expected: Callable | str  # model -> Trace, or how the message begins
    edit: Callable  # areas by name -> what is typed


def changed(name: str) -> Case:
    """Words and a weight are changed, of which every prediction of the model depends."""
    prompt, config = (SWAPPED, TINY[name]) if name in TINY else (OTHER, load_model().config)
    first = {"die": "model_logits", "softmax": "model_logits", "bigram": "model_wte"}
    matrices = matrix_shapes(config)
    weight = first.get(config.model) or next(one for one in matrices if one.endswith("_w"))
    row, column = 40, 0 if weight == "model_logits" else 3
    if weight.endswith("_w"):
        row = 5
    typed = cell_of(weight, row, column, 1.5)
    expected = overridden(weight, row, column, 1.5, prompt)
    return Case(name, expected, lambda areas: {**words_of(prompt)(areas), **typed(areas)})


CASES = {
    **{f"{name}, words and a weight": changed(name) for name in (EMBEDDED, *TINY)},
    "embedded, typed over": Case(
        EMBEDDED, overridden("block_0_step_9", 2, 7, -3.0), cell_of("block_0_step_9", 2, 7, -3.0)
    ),
    "more tokens": Case("gpt2", "The prompt has ", words_tab({2: " zzz"})),
    "fewer tokens": Case("gpt2", "The prompt has ", words_tab({5: None})),
    "gap": Case("gpt2", "Word 3: this row is empty", words_tab({2: None})),
    "no space": Case("gpt2", "Word 2: GPT-2 cuts this and the word above as one", words_tab({1: "is"})),
    "foreign": Case("softmax", "Word 3: it holds a character outside ASCII", words_tab({2: " né"})),
    "dots": Case("softmax", "Word 3: it holds autocorrected dots", words_tab({2: "…"})),
    "two words": Case("softmax", "Word 1: GPT-2 reads this as several", words_tab({0: "Mike is"})),
    "too long": Case("softmax", "Word 1: it has 13 characters", words_tab({0: "Abcdefghijklm"})),
    "bad id": Case("softmax", "Word 1: a token id is a whole number", lambda _: {("words", "E5"): 2.5}),
    "words beyond": Case("softmax", "This sheet holds ", below_the_words),
    "id typed over": Case("attention", "A token id is a whole number", cell_of("token_ids", 0, 1, 0.5)),
}


@pytest.fixture(scope="module")
def edited(portable_files, tmp_path_factory) -> dict[str, Path]:
    """Case -> its workbook, in which no formula has a value."""
    folder, found = tmp_path_factory.mktemp("edited"), {}
    for number, (name, case) in enumerate(CASES.items()):
        path = portable_files[case.model]
        found[name] = with_typed(path, folder / f"{number}.xlsx", case.edit(name_areas(path)))
    return found


@pytest.fixture(scope="module")
def computed(edited, recalculate) -> Callable[[str, str], Cells]:
    """(engine, case) -> the cells as the engine computes them."""
    saved: dict[str, Path] = {}

    def cells(engine: str, name: str) -> Cells:
        if engine != "libreoffice":
            return RECALCULATING[engine](edited[name])
        if not saved:
            saved.update(zip(edited, recalculate(*edited.values()), strict=True))
        return of_file(saved[name])

    return cells


# ------------------------------------------------------------------------------------------------ the whole of it


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not isinstance(case.expected, str)])
def test_every_stage_equals_the_run_in_every_program(name, engine, portable_models, portable_files, computed):
    case = CASES[name]
    model, areas = portable_models[case.model], name_areas(portable_files[case.model])
    trace, cells = case.expected(model), computed(engine, name)
    assert len(trace.token_ids) == len(model.run(PROMPT).token_ids)
    assert differences(cells, areas, trace) == {}
    assert cells(areas["predicted_token"])[2][1] == trace.predicted_token
    assert cells(areas["token_ids"]) == [trace.token_ids]
    assert text_of(cells, areas["message"]) == ""
    best, ids = trace.predictions(10), areas["best_ids"]
    table = cells(Area(ids.tab, ids.row, 0, ids.rows, 5))
    assert [(row[1], row[2]) for row in table] == [(one.token, one.id) for one in best]
    assert [row[4] for row in table] == pytest.approx([one.probability for one in best], rel=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if isinstance(case.expected, str)])
def test_what_the_sheet_was_not_laid_out_for_is_said_and_nothing_is_predicted(name, engine, portable_files, computed):
    areas, cells = name_areas(portable_files[CASES[name].model]), computed(engine, name)
    assert text_of(cells, areas["message"]).startswith(CASES[name].expected)
    for stage in ("predicted_token", "logits", "last_hidden_state", "block_0_step_7"):
        if stage in areas:
            found = cells(areas[stage].part(column=1)) if stage == "predicted_token" else cells(areas[stage])
            assert {str(one) for row in found for one in row} <= {"", "None", "nan"}, stage
