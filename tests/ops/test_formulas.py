"""The laws formula = value and gradient formula = gradient: every operation on random matrices, recalculated by
LibreOffice in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import openpyxl
import pytest

from op_cases import CASES, Case
from sheetgpt import ops
from sheetgpt.models.config import MODELS, POSITIONS, Config
from sheetgpt.models.kinds import model_steps, training_steps
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.references import GradientInput, Names, Source, formulas, slots

WRONG = -12345.0  # every cached value: only recalculation gives the right ones
RESULTS = 50  # the column in which results begin
every_op = pytest.mark.parametrize("case", CASES, ids=str)


@dataclass(frozen=True)
class Result:
    """What the formulas of one view of an operation should give, and where they stand."""

    op: str
    view: str  # "value", or the gradient of which input
    area: Area
    expected: np.ndarray


class Tab:
    """The tab of one case: inputs, the value and its gradient under each other, results beside them."""

    def __init__(self, book: Book, name: str, case: Case, rng: np.random.Generator):
        self.book, self.name, self.case, self.row = book, name, case, 0
        book.add_tab(name)
        self.inputs = case.draw(rng, ())
        self.out = case.op.value(*self.inputs)
        self.d_out = rng.standard_normal(self.out.shape)
        self.given: Names = {}

    def put(self, name: str, array: np.ndarray, *, across: bool = False) -> Source:
        """A named matrix; a list of ids or positions as a column, or across as a row."""
        vector = array.ndim == 1
        matrix = (array[None, :] if across else array[:, None]) if vector else array
        area = Area(self.name, self.row, 0, *matrix.shape)
        self.book.put(Numbers(area, matrix.astype(float)), "number")
        self.row += len(matrix) + 1
        self.given[f"{self.name}_{name}"] = area.address()
        return Source(f"{self.name}_{name}", area, vector=vector)

    def value(self, names: Names) -> Result:
        sources = [self.put(f"input_{number}", x) for number, x in enumerate(self.inputs)]
        area = Area(self.name, 0, RESULTS, *self.out.shape)
        found = {slot.box: formula for slot, formula, _ in formulas(self.case.op, area, sources, names)}
        return self.result("value", area, self.out, found)

    def gradients(self, names: Names) -> list[Result]:
        """As in a training workbook: ids stand in a row, positions under each other."""
        self.given = {}
        d_out, out = (GradientInput(self.put(name, x), self.name) for name, x in (("d", self.d_out), ("out", self.out)))
        inputs = []
        for number, x in enumerate(self.inputs):
            across = x.ndim == 1 and not self.case.is_positions(number)
            inputs.append(GradientInput(self.put(f"given_{number}", x, across=across), self.name))
        names |= self.given
        expected = self.case.op.gradient(self.d_out, self.out, *self.inputs)
        found = self.case.op.gradient_formula(d_out, out, *inputs)
        assert [one is None for one in found] == [one is None for one in expected]
        results, row = [], len(self.out) + 1
        for number, (cells, gradient) in enumerate(zip(found, expected, strict=True)):
            if cells is not None:
                area = Area(self.name, row, RESULTS, *gradient.shape)
                results.append(self.result(f"gradient of input {number}", area, gradient, dict(cells)))
                row += len(gradient) + 1
        return results

    def result(self, view: str, area: Area, expected: np.ndarray, found: dict[ops.Box, str]) -> Result:
        cached = np.where(covered(found, expected.shape), WRONG, 0.0)  # a gradient is 0 where nothing is said
        self.book.put(Formulas(area, cached.tolist(), found), "number")
        return Result(str(self.case), view, area, expected)


def covered(boxes, shape: tuple[int, int]) -> np.ndarray:  # how many boxes hold each cell
    count = np.zeros(shape, int)
    for row, column, rows, columns in boxes:
        count[row : row + rows, column : column + columns] += 1
    return count


def write_law(path, draws: int = 2) -> list[Result]:
    """A workbook with each operation's formulas on tabs of its own, and what they should give."""
    rng, book, names, results = np.random.default_rng(7), Book("law"), {}, []
    for case in CASES:
        for draw in range(draws):
            tab = Tab(book, f"{case}_{draw}", case, rng)
            results += [tab.value(names), *tab.gradients(names)]
    for name, refers_to in names.items():
        book.define(name, refers_to)
    book.save(path)
    return results


def failures(recalculated, results: list[Result]) -> dict[tuple[str, str], float]:
    """The largest difference of each view that fails, relative to numbers above 1; infinite where a cell has none."""
    book, found = openpyxl.load_workbook(recalculated, data_only=True), {}
    for one in results:
        area = one.area
        corners = area.row + 1, area.row + area.rows, area.column + 1, area.column + area.columns
        cells = [[cell.value for cell in row] for row in book[area.tab].iter_rows(*corners)]
        numbers = all(isinstance(cell, (int, float)) for row in cells for cell in row)
        scale = np.maximum(1, np.abs(one.expected))
        error = float(np.max(np.abs(np.array(cells, float) - one.expected) / scale)) if numbers else np.inf
        if not error < 1e-11:
            found[one.op, one.view] = error
    return found


@pytest.mark.office
def test_formula_is_value_and_gradient_formula_is_gradient_for_every_operation(tmp_path, recalculate):
    results = write_law(tmp_path / "law.xlsx")
    assert {one.op for one in results} == {str(case) for case in CASES}
    assert failures(recalculate(tmp_path / "law.xlsx"), results) == {}


MISTAKES = {
    "VARP": (ops.Normalize, "VARP", "VAR"),
    "root": (ops.AttentionScores, "/SQRT(", "/("),
    "mask": (ops.CausalMask, ">", ">="),
    "bias": (ops.Linear, "+", "-"),
    "first of equals": (ops.BestToken, ",0)-1", ",0)"),
    "a maximum for all": (ops.Relu, "IF(", "MAX("),
}
GRADIENT_MISTAKES = {
    "along the weights": (ops.Softmax, "-SUMPRODUCT", "+SUMPRODUCT", {0}),
    "turned the same way": (ops.Rotate, "*COS", "*SIN", {0}),
    "another head size": (ops.AttentionScores, "/SQRT(4)", "/SQRT(5)", {0, 1}),
    "bias as one": (ops.Linear, "SUM(", "MAX(", {2}),
    "cubic term": (ops.Gelu, "^2)*", "^3)*", {0}),
}


def break_formulas(monkeypatch) -> set[tuple[str, str]]:
    """Break the formulas of `MISTAKES` and `GRADIENT_MISTAKES`; the views that should fail."""
    for op, right, wrong in MISTAKES.values():

        def mistaken(self, *inputs, formula=op.formula, right=right, wrong=wrong):
            text = formula(self, *inputs)
            return [one.replace(right, wrong) for one in text] if isinstance(text, list) else text.replace(right, wrong)

        monkeypatch.setattr(op, "formula", mistaken)
    for op, right, wrong, _ in GRADIENT_MISTAKES.values():

        def mistaken_gradient(self, *matrices, formula=op.gradient_formula, right=right, wrong=wrong):
            found = formula(self, *matrices)
            return [one and [(box, text.replace(right, wrong)) for box, text in one] for one in found]

        monkeypatch.setattr(op, "gradient_formula", mistaken_gradient)
    gradients = {(op, f"gradient of input {i}") for op, _, _, inputs in GRADIENT_MISTAKES.values() for i in inputs}
    views = {(op, "value") for op, _, _ in MISTAKES.values()} | gradients
    return {(op.__name__, view) for op, view in views}


@pytest.mark.office
def test_an_operation_broken_on_purpose_fails_exactly_its_own_law(tmp_path, recalculate, monkeypatch):
    broken = break_formulas(monkeypatch)
    results = write_law(tmp_path / "law.xlsx", draws=1)
    assert set(failures(recalculate(tmp_path / "law.xlsx"), results)) == broken


@every_op
def test_every_cell_has_one_formula_and_every_cell_of_a_gradient_one_at_most(case):
    tab = Tab(Book("tab"), "t", case, np.random.default_rng(1))
    shape = tab.out.shape
    assert (covered((slot.box for slot in slots(case.op, *shape)), shape) == 1).all()
    matrices = (np.atleast_2d(x) for x in (tab.d_out, tab.out, *tab.inputs))
    d_out, out, *inputs = (GradientInput(tab.put("x", x), "t") for x in matrices)
    for one, cells in zip(inputs, case.op.gradient_formula(d_out, out, *inputs), strict=True):
        if cells is not None:
            count = covered((box for box, _ in cells), (one.rows, one.columns))
            assert (count == 1).all() or (isinstance(case.op, ops.Columns) and count.max() == 1)


def test_every_operation_of_every_model_is_in_the_laws():
    covered = {type(case.op) for case in CASES}
    for model, position in product(MODELS, POSITIONS):
        config = Config(1, 1, 4, 4, 4, position, model)
        steps = [*model_steps(config).computed, *training_steps(config).computed]
        assert {type(step.op) for step in steps} <= covered, model


def test_constants_of_the_formulas_are_those_of_the_values():
    assert float(ops.LAYER_NORM_EPSILON_TEXT) == ops.LAYER_NORM_EPSILON
    one = Source("x", Area("t", 0, 0, 1, 1))
    (_, text, _), *_ = formulas(ops.Gelu(), Area("t", 0, 5, 1, 1), [one], {})
    assert str(ops.GELU_CUBIC) in text
