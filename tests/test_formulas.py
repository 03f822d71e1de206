"""The law formula = value: every operation on random matrices, recalculated by LibreOffice in one go."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest

from op_cases import CASES
from sheetgpt import ops
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.places import Area
from sheetgpt.workbook.references import Source, formulas

WRONG = -12345.0  # every cached value: only recalculation gives the right ones


def place_inputs(book: Book, tab: str, inputs: list[np.ndarray]) -> list[Source]:
    """Each input under the other on its tab, as named matrices; lists of ids and positions as columns."""
    sources, row = [], 0
    for number, array in enumerate(inputs):
        vector = array.ndim == 1
        matrix = (array[:, None] if vector else array).astype(float)
        area = Area(tab, row, 0, *matrix.shape)
        book.put(Numbers(area, matrix), "number")
        sources.append(Source(f"{tab}_input_{number}", area, vector=vector))
        row += matrix.shape[0] + 1
    return sources


def write_law(path, cases, draws: int = 2) -> dict[str, np.ndarray]:
    """A workbook with each operation's formulas on a tab of its own; the values they should give, by tab."""
    rng, book, expected, names = np.random.default_rng(7), Book("law"), {}, {}
    for case in cases:
        for draw in range(draws):
            tab = f"{case}_{draw}"
            book.add_tab(tab)
            inputs = case.draw(rng, ())
            sources = place_inputs(book, tab, inputs)
            expected[tab] = case.op.value(*inputs)
            rows, columns = expected[tab].shape
            out = Area(tab, 0, 50, rows, columns)
            found = {piece.box: formula for piece, formula, _ in formulas(case.op, out, sources, names)}
            book.put(Formulas(out, np.full((rows, columns), WRONG).tolist(), found), "number")
    for name, refers_to in names.items():
        book.define(name, refers_to)
    book.save(path)
    return expected


def differences(recalculated, expected: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of each tab, relative to numbers above 1; infinite where a cell is no number."""
    book = openpyxl.load_workbook(recalculated, data_only=True)
    found = {}
    for tab, matrix in expected.items():
        rows, columns = matrix.shape
        cells = [[one.value for one in row] for row in book[tab].iter_rows(1, rows, 51, 50 + columns)]
        numbers = all(isinstance(one, (int, float)) for row in cells for one in row)
        error = np.abs(np.array(cells, float) - matrix) / np.maximum(1, np.abs(matrix)) if numbers else np.inf
        found[tab] = float(np.max(error))
    return found


@pytest.mark.office
def test_formula_is_value_for_every_operation(tmp_path, recalculate):
    expected = write_law(tmp_path / "law.xlsx", CASES)
    found = differences(recalculate(tmp_path / "law.xlsx"), expected)
    assert {tab: error for tab, error in found.items() if not error < 1e-11} == {}


MISTAKES = {
    "VARP": (ops.Normalize, "VARP", "VAR", "Normalize"),
    "root": (ops.AttentionScores, "/SQRT(", "/(", "AttentionScores"),
    "mask": (ops.CausalMask, ">", ">=", "CausalMask"),
    "bias": (ops.Linear, "+", "-", "Linear"),
    "first of equals": (ops.BestToken, ",0)-1", ",0)", "BestToken"),
}


@pytest.mark.office
def test_an_operation_broken_on_purpose_fails_exactly_its_own_law(tmp_path, recalculate, monkeypatch):
    broken = []
    for op, right, wrong, _ in MISTAKES.values():
        formula = op.formula

        def mistaken(self, *inputs, formula=formula, right=right, wrong=wrong):
            text = formula(self, *inputs)
            return [one.replace(right, wrong) for one in text] if isinstance(text, list) else text.replace(right, wrong)

        monkeypatch.setattr(op, "formula", mistaken)
    expected = write_law(tmp_path / "law.xlsx", CASES, draws=1)
    found = differences(recalculate(tmp_path / "law.xlsx"), expected)
    broken = {tab.removesuffix("_0") for tab, error in found.items() if not error < 1e-11}
    assert broken == {name for *_, name in MISTAKES.values()}


def test_every_operation_of_the_pipeline_has_a_formula_in_the_law():
    from sheetgpt.models.config import Config
    from sheetgpt.models.gpt2 import gpt2, matrix_steps

    covered = {type(case.op) for case in CASES}
    assert {type(step.op) for step in matrix_steps(gpt2(Config(1, 1, 4, 4, 4)))} <= covered


def test_constants_of_the_formulas_are_those_of_the_values():
    assert float(ops.LAYER_NORM_EPSILON_TEXT) == ops.LAYER_NORM_EPSILON
    one = Source("x", Area("t", 0, 0, 1, 1))
    (_, text, _), *_ = formulas(ops.Gelu(), Area("t", 0, 5, 1, 1), [one], {})
    assert str(ops.GELU_CUBIC) in text
