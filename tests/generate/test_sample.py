"""Choosing the next token: the worked example, laws over random logits, seeds, the table, Hugging Face's filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import require
from sheetgpt.errors import PromptError
from sheetgpt.generate.sample import COLUMNS, Pick, Sampler, Sampling, candidates, pick_index

LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40).map(lambda x: np.array(x, np.float32))
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.floats(0.01, 5),
    top_k=st.none() | st.integers(1, 50),
    top_p=st.none() | st.floats(0.01, 1),
    seed=st.integers(0, 2**40),
)


def test_the_pick_is_the_first_cumulative_sum_greater_than_the_random_number():
    probabilities = np.array([0.3, 0.1, 0.1, 0.1, 0.2, 0.2])
    assert pick_index(probabilities, 0.53) == 3
    assert pick_index(probabilities, 0.0) == 0
    assert pick_index(np.array([0.5, 0.5]), 0.5) == 1  # greater than, not equal to


def test_where_rounding_leaves_no_sum_greater_the_last_possible_candidate_is_picked():
    assert pick_index(np.array([0.5, 0.5 - 1e-9, 0.0]), 1 - 2**-53) == 1


@given(LOGITS, SAMPLINGS)
@settings(max_examples=150, deadline=None)
def test_candidates_stand_by_falling_logit_and_equals_by_rising_id(logits, sampling):
    table = candidates(logits, sampling)
    assert sorted(table.ids.tolist()) == list(range(len(logits)))
    pairs = list(zip((-table.logits).tolist(), table.ids.tolist(), strict=True))
    assert pairs == sorted(pairs)
    np.testing.assert_array_equal(table.scaled, table.logits / sampling.temperature)


@given(LOGITS, SAMPLINGS)
@settings(max_examples=150, deadline=None)
def test_probabilities_of_the_kept_add_up_to_1_and_the_others_have_none(logits, sampling):
    table = candidates(logits, sampling)
    assert table.cumulative[-1] == pytest.approx(1, abs=1e-12)
    assert (table.probabilities[~table.kept_by_top_p] == 0).all()
    assert table.kept_by_top_k.sum() == min(sampling.top_k or len(logits), len(logits))
    assert (table.kept_by_top_p <= table.kept_by_top_k).all()
    kept = table.kept_by_top_p.sum()
    assert kept >= 1
    assert table.kept_by_top_p[:kept].all()  # the kept stand at the top
    if sampling.top_p is not None:  # no candidate more than needed, and none less
        by_k = np.where(table.kept_by_top_k, np.exp(table.scaled - table.scaled[0]), 0)
        share = np.cumsum(by_k) / by_k.sum()
        assert share[kept - 1] >= sampling.top_p - 1e-9
        assert kept == 1 or share[kept - 2] < sampling.top_p + 1e-9


@given(LOGITS, SAMPLINGS)
@settings(max_examples=100, deadline=None)
def test_the_same_seed_picks_the_same_tokens_and_the_table_explains_each(logits, sampling):
    first, second = Sampler(sampling), Sampler(sampling)
    for _ in range(3):
        pick, again = first.pick(logits), second.pick(logits)
        assert (pick.id, pick.random) == (again.id, again.random)
        rows = list(pick.table().rows(str))
        chosen = next((row for row in rows if row[8] > pick.random), None)
        if chosen is not None:
            assert chosen[1] == pick.id
        assert [row[1] for row in rows if row[-1] == "yes"] == [pick.id]
        assert rows[pick.rank - 1][3] == pick.logit
        assert rows[pick.rank - 1][7] == pick.probability > 0


def test_random_numbers_are_numpys_doubles_of_pcg64():
    sampler = Sampler(Sampling(temperature=1.0, seed=1234))
    drawn = [sampler.pick(np.zeros(3)).random for _ in range(5)]
    assert drawn == np.random.Generator(np.random.PCG64(1234)).random(5).tolist()
    assert drawn[0] == 0.9766997666981422  # the same on every machine


def test_picks_come_as_often_as_their_probabilities_say():
    logits = np.log(np.array([0.5, 0.25, 0.15, 0.1]))
    sampler = Sampler(Sampling(temperature=1.0, seed=7))
    counts = np.bincount([sampler.pick(logits).id for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.5, 0.25, 0.15, 0.1], atol=0.03)


@given(LOGITS)
@settings(max_examples=50, deadline=None)
def test_greedy_picks_the_first_of_the_greatest_and_draws_nothing(logits):
    pick = Sampler(Sampling.of()).pick(logits)
    assert pick.id == candidates(logits, pick.sampling).ids[0] == logits.argmax()
    assert (pick.rank, pick.random) == (1, None)
    weights = np.exp(logits.astype(float) - logits.max())
    assert pick.probability == pytest.approx(1 / weights.sum())


def test_greedy_is_the_default_and_any_option_samples():
    assert Sampling.of().greedy
    assert Sampling.of(temperature=0).greedy
    assert Sampling.of(greedy=True, seed=3).greedy
    for options in ({"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.5}, {"seed": 1}):
        assert not Sampling.of(**options).greedy
    assert Sampling.of(top_k=3).temperature == 1
    assert Sampling.of(top_k=3).seed is not None  # drawn, so that it can be told


def test_a_low_temperature_ends_at_the_greedy_choice_and_a_high_one_at_equal_chances():
    logits = np.array([1.0, 3.0, 2.0])
    assert candidates(logits, Sampling(1e-3)).probabilities.tolist() == [1, 0, 0]
    np.testing.assert_allclose(candidates(logits, Sampling(1e6)).probabilities, 1 / 3, atol=1e-5)


def test_a_temperature_near_zero_does_not_overflow():
    table = candidates(np.array([1e4, 9e3, -1e4]), Sampling(1e-308))
    assert table.probabilities.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1: give 0 (greedy) or more, such as 0.8"),
        ({"temperature": float("nan")}, "temperature is nan: give 0 (greedy) or more, such as 0.8"),
        ({"temperature": float("inf")}, "temperature is inf: give 0 (greedy) or more, such as 0.8"),
        ({"top_k": 0}, "top-k is 0: keep at least 1 candidate, or leave it out"),
        ({"top_p": 0}, "top-p is 0: give more than 0 and at most 1, such as 0.9"),
        ({"top_p": 1.01}, "top-p is 1.01: give more than 0 and at most 1, such as 0.9"),
        ({"top_p": float("nan")}, "top-p is nan: give more than 0 and at most 1, such as 0.9"),
        ({"seed": -1}, "seed is -1: give a whole number, 0 or more"),
        ({"seed": 1.5}, "seed is 1.5: give a whole number, 0 or more"),
        (
            {"temperature": 0.7, "greedy": True},
            "greedy has no temperature, and temperature 0.7 is given: leave one out",
        ),
    ],
)
def test_an_option_out_of_range_is_told_in_one_line(options, message):
    with pytest.raises(PromptError) as error:
        Sampling.of(**options)
    assert str(error.value) == message


def test_a_long_table_shows_the_first_rows_and_the_picked_one_and_tells_the_rest():
    logits = np.zeros(100)
    pick = Pick(60, logits, Sampling(1.0, top_k=70, seed=1), 0.865)
    table = pick.table(limit=10)
    rows = list(table.rows(str))
    assert [row[0] for row in rows] == [*range(1, 11), 61]
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert table.left_out() == "89 more candidates, 59 of them kept, together with a probability of 0.842857"
    assert pick.table(100).left_out() == ""
    assert len(pick.table(100)) == 100


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(5))
def test_the_probabilities_are_hugging_faces_after_temperature_top_k_and_top_p(seed):
    torch, _ = require("torch", "oracle"), require("transformers", "oracle")
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    rng = np.random.default_rng(seed)
    logits, temperature, top_k, top_p = rng.standard_normal(500) * 3, 0.5 + rng.random(), 40 + seed, 0.5 + seed / 10
    scores = torch.tensor(logits)[None]
    for warper in (TemperatureLogitsWarper(temperature), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)):
        scores = warper(None, scores)
    theirs = torch.softmax(scores, -1)[0].numpy()
    table = candidates(logits, Sampling(temperature, top_k, top_p))
    np.testing.assert_allclose(table.probabilities, theirs[table.ids], rtol=1e-10, atol=1e-14)
