"""Small pictures, statistics and picks that the page makes are those that Python makes."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sheetgpt import ops
from sheetgpt.explore import pictures
from sheetgpt.explore.runs import stage
from sheetgpt.generate.sample import Sampling, candidates, pick_index

pytestmark = pytest.mark.browser

SHAPES = [(1, 1), (6, 64), (6, 24), (22, 208), (23, 209), (100, 7), (4, 1), (5, 1), (592, 1), (1, 1000), (300, 500)]
FINITE = [ops.MASKED, ops.MASKED - 1, -1e9]  # marks of masked cells
seeds = st.integers(0, 2**32 - 1)
often = settings(max_examples=40, deadline=None)


def drawn(seed, shape, marks=(*FINITE, -np.inf, np.nan)):
    """Numbers of all sizes, some of them alike, zero or masked."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal(shape) * 10.0 ** rng.integers(-2, 3)
    numbers = np.where(rng.random(shape) < 0.2, np.round(numbers), numbers)
    masked = rng.random(shape) < rng.choice([0, 0.05, 0.5, 1])
    return np.where(masked, rng.choice(marks), numbers)


def same_picture(found, expected):
    assert (found["width"], found["height"]) == (expected["width"], expected["height"])
    assert found["end"] == pytest.approx(expected["end"], rel=1e-12)
    pixels = np.frombuffer(base64.b64decode(expected["pixels"]), np.int8)
    np.testing.assert_array_equal(found["pixels"], pixels)


def same_numbers(found, expected):
    for name in ("least", "mean", "greatest", "deviation"):
        assert found[name] == pytest.approx(expected[name], rel=1e-11, abs=1e-11)
    assert found["bins"] == expected["bins"]


@often
@given(seed=seeds, shape=st.sampled_from(SHAPES))
def test_the_picture_and_the_numbers_of_a_stage_are_python_s(seed, shape, script):
    matrix = drawn(seed, shape)
    found = script("return sheetgpt.thumbnail.stageInfo('a', x, null)", x=matrix)
    expected = stage("a", matrix, None)
    assert (found["name"], found["rows"], found["columns"], found["change"]) == ("a", *shape, None)
    assert found["end"] == expected["end"]
    same_picture(found["picture"], expected["picture"])
    same_numbers(found["statistics"], expected["statistics"])


@often
@given(seed=seeds, shape=st.sampled_from(SHAPES), share=st.sampled_from([0, 0.01, 0.5, 1]))
def test_the_picture_of_a_change_is_python_s(seed, shape, share, script):
    before, other, rng = drawn(seed, shape, FINITE), drawn(seed + 1, shape, FINITE), np.random.default_rng(seed)
    after = np.where(rng.random(shape) < share, other, before)
    found = script("return sheetgpt.thumbnail.stageInfo('a', after, before)", after=after, before=before)
    expected = stage("a", after, before)
    assert found["end"] == expected["end"]
    assert (found["change"] is None) == (expected["change"] is None)
    if expected["change"]:
        same_picture(found["change"]["picture"], expected["change"]["picture"])
        assert found["change"]["largest"] == pytest.approx(expected["change"]["largest"], rel=1e-12)
        assert found["change"]["ratio"] == pytest.approx(expected["change"]["ratio"], rel=1e-11)


@often
@given(seed=seeds, shape=st.sampled_from([*SHAPES, (1024, 64), (64, 1)]), size=st.sampled_from([1e-12, 1e-3, 1.0, 1e9]))
def test_one_changed_cell_is_in_the_picture_wherever_it_is_and_however_small(seed, shape, size, script):
    rng = np.random.default_rng(seed)
    before = rng.standard_normal(shape)
    after, place = before.copy(), tuple(rng.integers(shape))
    after[rng.choice([place[0], shape[0] - 1]), place[1]] += size
    expected = stage("a", after, before)["change"]["picture"]
    assert np.count_nonzero(np.frombuffer(base64.b64decode(expected["pixels"]), np.int8)) == 1
    found = script("return sheetgpt.thumbnail.stageInfo('a', after, before)", after=after, before=before)
    same_picture(found["change"]["picture"], expected)


@often
@given(seed=seeds, shape=st.sampled_from(SHAPES))
def test_the_picture_of_differences_is_python_s(seed, shape, script):
    matrix = drawn(seed, shape)
    found = script("return sheetgpt.thumbnail.pictureOfDifferences(x, 2)", x=matrix)
    same_picture(found, pictures.picture_of_differences(matrix, 2.0))


@often
@given(seed=seeds, shape=st.sampled_from(SHAPES))
def test_a_change_to_or_from_what_is_no_number_is_python_s(seed, shape, script):
    marks = (*FINITE, -np.inf, np.inf, np.nan, 1e308, -1e308)
    before, after = drawn(seed, shape, marks), drawn(seed + 1, shape, marks)
    found = script("return sheetgpt.thumbnail.change(before, after, 2)", after=after, before=before)
    expected = pictures.change(before, after, 2.0)
    if expected is None:
        assert found is None
        return
    same_picture(found["picture"], expected["picture"])
    assert found["largest"] == pytest.approx(expected["largest"], rel=1e-12)
    assert found["ratio"] == pytest.approx(expected["ratio"], rel=1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_becomes_none_is_the_largest_change(value, script):
    before, after = np.ones((30, 3)), np.ones((30, 3))
    after[29, 1] = value
    assert pictures.change(before, after, 1.0)["largest"] == np.inf
    assert script("return sheetgpt.thumbnail.change(before, after, 1)", after=after, before=before)["largest"] == np.inf
    assert pictures.change(after, after, 1.0) is None
    assert script("return sheetgpt.thumbnail.change(after, after, 1)", after=after) is None


@pytest.mark.parametrize("numbers", [[0, 1.7e308, 5], [5e-324, 0, 0]])
def test_numbers_at_the_ends_of_the_doubles_have_statistics_too(numbers, script):
    matrix = np.array([numbers])
    found = script("return sheetgpt.thumbnail.stageInfo('a', x, null).statistics", x=matrix)
    assert found["bins"] == pictures.statistics(matrix)["bins"]
    assert sum(found["bins"]) == 3


@pytest.mark.parametrize("value", [0.0, -9.8e8, -9.9e8, -9.95e8, -1e9, -1e10, -np.inf, np.inf, np.nan])
def test_what_is_shown_as_masked_is_masked_for_the_operations_too_but_for_no_number(value, script):
    found = script("return [sheetgpt.isMasked(value), sheetgpt.numbers.isMasked(value)]", value=value)
    expected = bool(ops.masked_cells(np.array(value)))
    assert found == [expected, expected and not np.isnan(value)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("short(null)", "–"),
        ("short(NaN)", "NaN"),
        ("short(-Infinity)", "−∞"),
        ("power(Infinity)", "∞"),
        ("short(2e7)", "2.0e7"),
        ("percent(NaN)", "NaN"),
    ],
)
def test_what_is_no_number_is_said_to_be_none(body, text, script):
    assert script(f"return sheetgpt.numbers.{body}") == text


@pytest.mark.parametrize("part", [0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127, 128, -127.5])
def test_halves_of_a_pixel_are_rounded_as_python_does(part, script):
    matrix = np.array([[part]])
    same_picture(script("return sheetgpt.thumbnail.picture(x, 127)", x=matrix), pictures.picture(matrix, 127.0))


# ------------------------------------------------------------------------------------------------ picks

samplings = st.builds(
    Sampling,
    st.sampled_from([0.0, 0.1, 0.8, 1.0, 3.0]),
    st.sampled_from([None, 1, 2, 5, 1000]),
    st.sampled_from([None, 1e-9, 0.5, 0.9, 1.0]),
)


def options(sampling):
    return {"temperature": sampling.temperature, "topK": sampling.top_k, "topP": sampling.top_p}


@settings(max_examples=80, deadline=None)
@given(seed=seeds, size=st.sampled_from([1, 2, 7, 300]), sampling=samplings, data=st.data())
def test_a_pick_is_python_s(seed, size, sampling, data, script):
    rng = np.random.default_rng(seed)
    logits = np.round(4 * rng.standard_normal(size), int(rng.integers(0, 4)))  # some alike
    expected = candidates(logits, sampling)
    edges = [*expected.cumulative[:-1].tolist(), 0.0, np.nextafter(1, 0)]
    target = data.draw(st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from(edges)))
    body = "return sheetgpt.picking.pick(x.data, sampling, target)"
    found = script(body, x=logits, sampling=options(sampling), target=float(target))
    made = found["candidates"]
    np.testing.assert_array_equal(made["ids"], expected.ids)
    np.testing.assert_array_equal(made["keptByTopK"], expected.kept_by_top_k)
    np.testing.assert_array_equal(made["keptByTopP"], expected.kept_by_top_p)
    for name in ("logits", "scaled", "probabilities", "cumulative"):
        np.testing.assert_allclose(made[name][0], getattr(expected, name), rtol=1e-12, atol=1e-15)
    greedy = sampling.greedy
    assert found["target"] == (None if greedy else target)
    near = np.abs(expected.cumulative - target).min() < 1e-12  # where the last digit of an exponential may decide
    if greedy or not near:
        assert found["index"] == (0 if greedy else pick_index(expected.probabilities, float(target)))
    assert found["id"] == expected.ids[found["index"]]


@pytest.mark.parametrize(
    ("sums", "target", "index"),
    [([0.3, 0.1, 0.1, 0.1, 0.2, 0.2], 0.53, 3), ([0.5, 0.5, 0.0], 0.5, 1), ([0.5, 0.4, 0.0], 0.95, 1)],
)
def test_the_first_sum_above_the_target_is_picked_and_the_last_possible_where_none_is(sums, target, index, script):
    body = "return sheetgpt.picking.pickIndex({ probabilities: p.data, cumulative: sums.data }, target)"
    assert script(body, p=np.array(sums), sums=np.cumsum(sums), target=target) == index
    assert pick_index(np.array(sums), target) == index
