"""Laws over every operation, in a real browser: what the page's script computes is what Python does, view by view."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from op_cases import CASES, HEADS, case, normal, positive
from sheetgpt import ops

pytestmark = pytest.mark.browser

SEEDS = [0, 1, 2]


def steep(*shape):
    """Scores whose exponentials overflow without care."""
    return lambda rng, _batch: 800 * rng.standard_normal(shape)


def scores(*shape):
    """The same, some masked."""
    return lambda rng, _batch: np.where(rng.random(shape) < 0.3, ops.MASKED, steep(*shape)(rng, ()))


def huge(*shape):
    return lambda rng, _batch: np.exp(rng.uniform(-300, 300, shape)) * rng.choice([-1, 1], shape)


def extreme(*shape):
    return lambda rng, _batch: rng.choice([0.0, 40.0, -40.0, 1e5, -1e5], shape)


HARD = [
    case(ops.Softmax(HEADS), scores(5, HEADS * 5)),
    case(ops.SoftmaxColumns(), scores(11, 4)),
    case(ops.LogLoss(), steep(11, 4), lambda rng, _batch: rng.integers(0, 11, 4)),
    case(ops.Gelu(), extreme(5, 7)),
    case(ops.Relu(), extreme(5, 7)),
    case(ops.BestToken(), lambda rng, _batch: rng.integers(0, 3, (11, 2)).astype(float)),
    case(ops.Add(), huge(5, 7), huge(5, 7)),
    case(ops.Log(), positive(1, 1)),
    case(ops.Sinusoids(), normal(5, 7), lambda _rng, _batch: np.arange(5)),
    case(ops.Rotate(1), normal(3, 6), lambda _rng, _batch: np.array([3, 0, 1000])),
    case(ops.Window(4), normal(2, 4), normal(2, 4)),
]
LAST_ROWS = case(ops.Window(3), normal(1, 4), normal(6, 4))  # a decoder's, which has no gradient
every_op = pytest.mark.parametrize("case", [*CASES, *HARD, LAST_ROWS], ids=str)
every_gradient = pytest.mark.parametrize("case", [*CASES, *HARD], ids=str)


def fields(op):
    return {"name": type(op).__name__, **asdict(op)}


def drawn(case):
    """Inputs by several seeds, and the value of each."""
    made = [case.draw(np.random.default_rng(seed), ()) for seed in SEEDS]
    return made, [case.op.value(*inputs) for inputs in made]


def assert_close(found, expected):
    found, expected = (np.atleast_2d(np.asarray(one, float)) for one in (found, expected))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def places(array):
    return [[int(i), int(j)] for i, j in np.ndindex(np.atleast_2d(array).shape)]


def test_the_script_has_every_operation_and_no_other(script):
    defined = {name for name, one in vars(ops).items() if isinstance(one, type) and issubclass(one, ops.Op)}
    assert set(script("return Object.keys(sheetgpt.OPS)")) == defined - {"Op", "Given", "Penalty"}


@every_op
def test_the_value_is_python_s(case, script):
    inputs, values = drawn(case)
    found = script("return all.map((inputs) => sheetgpt.opOf(op).value(op, ...inputs))", op=fields(case.op), all=inputs)
    for value, expected in zip(found, values, strict=True):
        assert_close(value, expected)


@every_gradient
def test_the_gradient_is_python_s(case, script):
    inputs, values = drawn(case)
    upstream = [np.random.default_rng(7).standard_normal(value.shape) for value in values]
    given = [[d_out, out, *of] for d_out, out, of in zip(upstream, values, inputs, strict=True)]
    found = script("return all.map((given) => sheetgpt.opOf(op).gradient(op, ...given))", op=fields(case.op), all=given)
    for gradients, of in zip(found, given, strict=True):
        for gradient, expected in zip(gradients, case.op.gradient(*of), strict=True):
            assert (gradient is None) == (expected is None)
            if expected is not None:
                assert_close(gradient, expected)


def cells_as_data(cells):
    return cells and {"input": cells.input, "box": list(cells.box)}


@every_op
def test_the_terms_are_python_s(case, script):
    inputs, values = drawn(case)
    cells = places(values[0])
    body = """
    const { inNames, entering } = sheetgpt.terms;
    const words = ({ formula, sum }) => inNames(formula, sum && { what: sum.what, count: sum.values.length });
    return all.map((inputs) => cells.map((cell) => {
      const found = sheetgpt.opOf(op).terms(op, cell, ...inputs);
      return { ...found, entering: entering(found), inNames: words(found) };
    }));
    """
    for of, made in zip(inputs, script(body, op=fields(case.op), cells=cells, all=inputs), strict=True):
        for (row, column), found in zip(cells, made, strict=True):
            assert_terms(found, case.op.terms((row, column), *of))


def assert_terms(found, terms):
    assert_close(found["value"], terms.value)
    assert (found["formula"], found["source"]) == (terms.formula, terms.source)
    assert list(found["numbers"]) == list(terms.numbers)
    for name, number in terms.numbers.items():
        made = found["numbers"][name]
        assert_close(made["value"], number.value)
        assert (made["cells"], made["addend"]) == (cells_as_data(number.cells), number.addend)
    assert_sum(found["sum"], terms.sum)
    assert found["chosenBy"] == [cells_as_data(cells) for cells in terms.chosen_by]
    assert found["entering"] == [cells_as_data(cells) for cells in terms.cells]
    assert found["inNames"] == terms.in_names


def assert_sum(found, expected):
    assert (found is None) == (expected is None)
    if expected is None:
        return
    assert found["what"] == expected.what
    assert_close(found["values"], expected.values)
    assert_close(found["total"], expected.total)
    for side, made in ((expected.left, found["left"]), (expected.right, found["right"])):
        assert (side is None) == (made is None)
        if side is not None:
            assert_close(made["values"], side.values)
            assert made["cells"] == cells_as_data(side.cells)


@every_op
def test_the_dependents_are_python_s(case, script):
    inputs = case.draw(np.random.default_rng(3), ())
    for number, x in enumerate(inputs):
        body = "return cells.map((cell) => sheetgpt.opOf(op).dependents(op, number, cell, ...inputs))"
        cells = places(x)
        found = script(body, op=fields(case.op), number=number, cells=cells, inputs=inputs)
        expected = [case.op.dependents(number, (i, j), *inputs) for i, j in cells]
        assert found == [[list(box) for box in boxes] for boxes in expected]


def test_a_row_that_a_table_has_not_is_named(script):
    body = "try { sheetgpt.OPS.TakeRows.value({}, table, ids); } catch (error) { return error.message; }"
    assert script(body, table=np.ones((3, 2)), ids=np.array([0, 3])) == "there is no row 3: rows are 0 to 2"
