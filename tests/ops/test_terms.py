"""Laws over every operation: the terms give back the cell, the formula with the numbers in it does, and the cells that
it names are those that it is made of, seen from both sides.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from op_cases import CASES

every_op = pytest.mark.parametrize("case", CASES, ids=str)
seeds = st.integers(0, 2**32 - 1)
FUNCTIONS = {name: getattr(math, name) for name in ("exp", "sqrt", "tanh", "sin", "cos", "pi")}
FUNCTIONS |= {"ln": math.log, "max": max, "IF": lambda condition, yes, no: yes if condition else no}


def evaluated(formula: str) -> float:
    """A formula as a person types it."""
    return eval(formula.replace("^", "**").replace("if(", "IF("), {"__builtins__": {}}, dict(FUNCTIONS))


def close(found: float, expected: float) -> bool:
    return abs(found - expected) <= 1e-12 * max(1.0, abs(expected))


def drawn(case, seed):
    inputs = case.draw(np.random.default_rng(seed), ())
    return inputs, case.op.value(*inputs)


def has_floats(case):
    return any(x.dtype.kind == "f" for x in drawn(case, 0)[0])


def cells_of(box):
    row, column, rows, columns = box
    return set(itertools.product(range(row, row + rows), range(column, column + columns)))


def places(array):
    return list(np.ndindex(np.atleast_2d(array).shape))


def entering(terms):
    """(input, cell) of all that enters a cell."""
    return {(cells.input, cell) for cells in terms.cells for cell in cells_of(cells.box)}


@every_op
@settings(max_examples=25, deadline=None)
@given(seed=seeds, data=st.data())
def test_the_terms_and_the_formula_with_its_numbers_give_back_the_cell(case, seed, data):
    inputs, out = drawn(case, seed)
    cell = data.draw(st.sampled_from(places(out)))
    terms = case.op.terms(cell, *inputs)
    assert close(terms.value, out[cell])
    assert close(evaluated(terms.in_numbers()), out[cell])


@every_op
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_every_number_and_factor_is_in_the_cell_that_is_named(case, seed):
    inputs, out = drawn(case, seed)
    for cell in places(out):
        terms = case.op.terms(cell, *inputs)
        sides = [side for side in (terms.sum and terms.sum.left, terms.sum and terms.sum.right) if side]
        held = [(side.values, side.cells) for side in sides]
        single = [number for number in terms.numbers.values() if number.cells and number.cells.box[2:] == (1, 1)]
        held += [([number.value], number.cells) for number in single]
        for values, cells in held:
            if cells is not None:
                row, column, rows, columns = cells.box
                box = np.atleast_2d(inputs[cells.input])[row : row + rows, column : column + columns]
                assert box.shape == (rows, columns)  # inside the input
                np.testing.assert_array_equal(np.ravel(values), box.ravel())


@every_op
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_the_summands_are_the_products_of_their_sides_and_add_up(case, seed):
    inputs, out = drawn(case, seed)
    for cell in places(out):
        terms = case.op.terms(cell, *inputs)
        if terms.sum is not None and terms.sum.right is not None:
            np.testing.assert_array_equal(terms.sum.values, terms.sum.left.values * terms.sum.right.values)
        if terms.sum is not None:
            assert close(terms.sum.total, float(np.sum(terms.sum.values)))
        addends = [number.value for number in terms.numbers.values() if number.addend]
        assert all(f"{{{name}}}" in terms.formula for name, number in terms.numbers.items() if number.addend)
        if terms.formula in ("{sum}", "{sum} + {bias}", "{left} + {right}"):
            assert close(math.fsum([*addends, *(terms.sum.values if terms.sum else ())]), out[cell])


@every_op
@settings(max_examples=2, deadline=None)
@given(seed=seeds)
def test_dependents_are_the_cells_that_name_a_cell_among_theirs(case, seed):
    inputs, out = drawn(case, seed)
    from_here = {(*one, cell) for cell in places(out) for one in entering(case.op.terms(cell, *inputs))}
    from_there = {
        (number, source, cell)
        for number, x in enumerate(inputs)
        for source in places(x)
        for box in case.op.dependents(number, source, *inputs)
        for cell in cells_of(box)
    }
    assert from_here == from_there


@pytest.mark.parametrize("case", [case for case in CASES if has_floats(case)], ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=seeds, data=st.data())
def test_a_number_that_is_not_named_changes_nothing(case, seed, data):
    inputs, out = drawn(case, seed)
    floats = [number for number, x in enumerate(inputs) if x.dtype.kind == "f"]
    number = data.draw(st.sampled_from(floats))
    source = data.draw(st.sampled_from(places(inputs[number])))
    changed = [x.copy() for x in inputs]
    np.atleast_2d(changed[number])[source] += 0.5
    reached = set().union(*(cells_of(box) for box in case.op.dependents(number, source, *inputs)))
    for cell in set(places(out)) - reached:
        assert close(case.op.value(*changed)[cell], out[cell])


def test_numbers_stand_in_the_formula_so_that_it_can_be_typed_again():
    shift = next(case for case in CASES if str(case) == "ScaleShift")
    terms = shift.op.terms((0, 0), np.array([[2.0]]), np.array([[-3.0]]), np.array([[-0.5]]))
    assert terms.in_names == "product + bias"
    assert terms.in_numbers() == "(-6.0) + (-0.5)"
    copy = next(case for case in CASES if str(case) == "Copy")
    assert copy.op.terms((0, 0), np.array([[-2.0]])).in_numbers() == "-2.0"
